"""Certificates: which is shown to whom, by the name that a client asks for (RFC 6066 3).

Python lets a callback put another context in a handshake's place.  What that takes over is the
certificate alone; versions, ciphers, client certificates and ALPN are those of the context that the
handshake began with.  So a listener has one context to begin with, and one for each certificate.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography import x509

from gslb.daemons.handshakes import ServerContext
from gslb.tier import Tls, UpstreamTls

# Forward secrecy and authenticated encryption alone, for TLS 1.2; 1.3 has no others.
CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"
_VERSIONS: Final = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


@dataclass(frozen=True, slots=True)
class Secured:
    """TLS at a listener: the context that handshakes begin with."""

    context: ServerContext

    @classmethod
    def of(cls, tls: Tls) -> Secured:
        """Read the certificates of *tls*; raises OSError, ssl.SSLError among them."""
        loaded = [(each, _context(tls)) for each in tls.certificates]
        by_name: dict[str, ServerContext] = {}
        for certificate, context in loaded:
            context.load_cert_chain(certificate.cert_file, certificate.key_file)
            for name in names_of(certificate.cert_file):
                by_name.setdefault(name, context)
        first = loaded[0][1]

        def choose(handshake: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
            found = None if name is None else _named(by_name, name.lower())
            if found is not None:
                handshake.context = found

        first.sni_callback = choose
        return cls(first)


def _context(tls: Tls) -> ServerContext:
    context = ServerContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _VERSIONS[tls.min_version]
    context.set_ciphers(CIPHERS)
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
    context.set_alpn_protocols(["h2", "http/1.1"] if tls.http2 else ["http/1.1"])
    if tls.client_ca_file is not None:
        context.load_verify_locations(tls.client_ca_file)
        context.verify_mode = ssl.CERT_REQUIRED if tls.client_required else ssl.CERT_OPTIONAL
    return context


def _named(by_name: Mapping[str, ServerContext], name: str) -> ServerContext | None:
    """Return the context for *name*: its own, or that of a wildcard for its last label."""
    found = by_name.get(name)
    if found is None:
        _, _, parent = name.partition(".")
        found = by_name.get(f"*.{parent}")
    return found


def names_of(cert_file: str) -> list[str]:
    """Return the host names that a certificate in PEM is for, in lower case.

    Raises OSError, and ssl.SSLError for what is no certificate.
    """
    try:
        certificate = x509.load_pem_x509_certificate(Path(cert_file).read_bytes())
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return []
    except ValueError as error:
        raise ssl.SSLError(f"{cert_file}: {error}") from None
    return [name.lower() for name in extension.value.get_values_for_type(x509.DNSName)]


def to_members(tls: UpstreamTls) -> ssl.SSLContext:
    """Return the context of connections to members; raises OSError, ssl.SSLError among them."""
    context = ssl.create_default_context(cafile=tls.ca_file)
    context.set_alpn_protocols(["http/1.1"])
    if not tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
