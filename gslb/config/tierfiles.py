"""The files and secrets of the L7 tier, which need not be where nobody runs it.

All hosts read the same main file.  Only one that runs the tier needs its certificates, keys and
pages: there, what is missing is wrong.  A node does not look at them.  `gslb check`, which may
be run on either, warns of what is missing, and says what is wrong with what is there.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from gslb.config import certificates, secrets
from gslb.config.nodes import At, Sheet
from gslb.config.secrets import SecretReader, SecretSpec
from gslb.config.yamlfile import UnreadableError, read_bytes
from gslb.tier import Certificate

ELSEWHERE = "it is needed where `gslb proxy` runs"


class Need(Enum):
    """How much of the tier's files is looked at."""

    NONE = "none"
    IF_THERE = "if there"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class TierFiles:
    """Reads the tier's files as far as there is need.

    `named` notes a path written in the main file and returns it from here; `beside` only does the
    latter.
    """

    need: Need
    named: Callable[[str], Path]
    beside: Callable[[str], Path]
    secrets: SecretReader

    def content(self, written: str, at: At) -> bytes | None:
        """Return the octets of the file named at *at*, or None where they are not there."""
        if self.need is Need.NONE:
            return None
        path = self.named(written)
        try:
            return read_bytes(path)
        except UnreadableError as error:
            self._miss(at, f"{path} {error.problem}", error.hint)
            return None

    def writable(self, path: Path, at: At) -> None:
        """Complain where the file *path*, which is written to, cannot be."""
        if self.need is Need.NONE:
            return
        hint = "write the path of a file in a folder that is there"
        if path.is_dir():
            self._miss(at, f"{path} is a folder", hint)
        elif not path.parent.is_dir():
            self._miss(at, f"{path.parent} is not there, or no folder", hint)

    def _miss(self, at: At, problem: str, hint: str) -> None:
        """Complain of what is not there, where it is needed; warn of it elsewhere."""
        if self.need is Need.ALL:
            at.wrong(problem, hint)
        else:
            at.warn(problem, ELSEWHERE)

    def certificate(self, cert: str, key: str | None, at: At) -> Certificate:
        """Return a certificate and its key, once they are seen to be a pair."""
        key_at = at / "key" if key is not None else at / "cert"
        found = [self.content(cert, at / "cert")]
        if key is not None:
            found.append(self.content(key, key_at))
        pair = self.beside(cert).absolute(), self.beside(cert if key is None else key).absolute()
        if None not in found:
            _check_pair(*pair, at / "cert", key_at)
        return Certificate(*map(str, pair))

    def authorities(self, written: str | None, at: At) -> str | None:
        """Return the whole path of a file of authorities."""
        if written is None:
            return None
        if self.content(written, at) is not None:
            certificates.authorities(written, at, self.beside)
        return str(self.beside(written).absolute())

    def key(self, spec: SecretSpec | None, at: At) -> bytes:
        """Return the key that signs cookies, empty where it is not there."""
        if self.need is Need.NONE:
            return b""
        if self.need is Need.ALL:
            return self.secrets.read(spec, at, secrets.key) or b""
        sheet = Sheet(at.sheet.file)
        found = self.secrets.read(spec, At(sheet, at.node, at.path), secrets.key)
        at.sheet.warnings.extend(sheet.complaints)
        return found or b""


def _check_pair(cert: Path, key: Path, cert_at: At, key_at: At) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    # OpenSSL would ask at the terminal for the password of an encrypted key.
    asked: list[bool] = []

    def password() -> str:
        asked.append(True)
        return ""

    try:
        context.load_cert_chain(cert, key, password)
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or ""
        if asked:
            hint = "take its password off: openssl pkey -in KEY -out KEY.plain"
            key_at.wrong(f"{key} is encrypted", hint)
        elif "KEY_VALUES_MISMATCH" in reason or "KEY_TYPE_MISMATCH" in reason:
            key_at.wrong(f"{key} is not the key of {cert}", "name the key that it was made with")
        elif _has_certificates(cert):
            hint = "name the PEM file of its key after `key:`"
            key_at.wrong(f"{key} holds no key that can be used", hint)
        else:
            hint = "name a PEM file of the certificate and those above it"
            cert_at.wrong(f"{cert} holds no certificate that can be used", hint)


def _has_certificates(path: Path) -> bool:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=path)
    except (OSError, ValueError):
        return False
    return True
