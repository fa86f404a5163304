"""How reports, words and events leave a node, as written → its carrier and its webhooks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from gslb.config import certificates, scalars, secrets
from gslb.config.mainkeys import MainFile
from gslb.config.nodes import At, shown
from gslb.config.scalars import ScalarError
from gslb.config.secrets import SecretReader
from gslb.config.settings import Carrier, Endpoint, Nats, Webhook
from gslb.config.votekeys import CarrierSpec, NatsSpec, WebhookSpec
from gslb.config.yamlfile import UnreadableError, read_bytes

HAS_NATS = find_spec("nats") is not None


@dataclass(frozen=True, slots=True)
class CarrierReader:
    """Reads how what leaves a node travels; `named` turns a path written there into one from here.

    `top` is the place of the whole main file.  On a vantage's host the key of the nodes need
    not be: it is used where it is, to understand what nodes say.
    """

    top: At
    secrets: SecretReader
    named: Callable[[str], Path]
    has_nats: bool
    is_vantage: bool = False

    def carrier(self, spec: MainFile, hostname: str) -> Carrier | None:
        """Return the carrier of the node that has this host name unless it is written."""
        written, at = spec.carrier, self.top / "carrier"
        if written is None:
            return None
        if written.nats is not None and written.nodes:
            (at / "nats").wrong("stands beside `nodes`", "keep one of the two", on_key=True)
        if written.nats is None and not written.nodes and not at.spoiled:
            hint = "write nodes: {NODE: URL}, or nats: {servers: [URL]}"
            at.wrong("names neither `nodes` nor `nats`", hint)
        read = self.secrets.read_if_there if self.is_vantage else self.secrets.read
        key = read(written.key, at / "key", secrets.key)
        self._check_nodes(written, at)
        if not self.is_vantage:
            self._check_own(spec, written, hostname, at)
        return Carrier(
            key or b"",
            dict(written.nodes),
            certificates.authorities(written.ca, at / "ca", self.named),
            self._nats(written.nats, at / "nats"),
        )

    def webhooks(self, specs: list[WebhookSpec]) -> tuple[Webhook, ...]:
        """Return where events are posted to; a vantage tells its nodes alone."""
        at = self.top / "webhooks"
        if self.is_vantage:
            return ()
        return tuple(
            Webhook(
                spec.url,
                None if spec.events is None else frozenset(spec.events),
                self.secrets.read(spec.key, at / index / "key", _signing),
            )
            for index, spec in enumerate(specs)
        )

    def _check_nodes(self, spec: CarrierSpec, at: At) -> None:
        holders: dict[str, str] = {}
        for name, url in spec.nodes.items():
            if (first := holders.setdefault(url, name)) != name:
                (at / "nodes" / name).wrong(f"is the URL of {first} already", "list it once")

    def _check_own(self, spec: MainFile, written: CarrierSpec, hostname: str, at: At) -> None:
        name = spec.node or hostname
        try:
            scalars.label(name)
        except ScalarError as error:
            where = self.top / "node" if spec.node else at
            problem = f"{shown(name)} cannot be this node's name where there is a carrier"
            where.wrong(problem, f"{error.hint} after `node:`")
            return
        if not written.nodes or at.spoiled:
            return
        if (url := written.nodes.get(name)) is None:
            problem = f"this node, {name}, is not among them, so nothing is sent to it"
            hint = "add its name and URL, or write its name as it stands here after `node:`"
            (at / "nodes").warn(problem, hint, on_key=True)
        elif _is_elsewhere(url, spec.listen.admin):
            problem = f"this node's admin API listens at {spec.listen.admin}, where no other gets"
            hint = (
                "write an address that other nodes reach after `listen.admin`, and an admin_token"
            )
            (at / "nodes" / name).warn(problem, hint)

    def _nats(self, spec: NatsSpec | None, at: At) -> Nats | None:
        if spec is None:
            return None
        if not self.has_nats:
            at.wrong("nats-py is not installed", "pip install 'gslb[nats]'", on_key=True)
        ways = [key for key in ("credentials", "user", "token") if at.has(key)]
        for key in ways[1:]:
            problem = f"stands beside `{ways[0]}`: a server asks for one of the two"
            (at / key).wrong(problem, "keep one", on_key=True)
        if spec.user is not None and spec.password is None:
            (at / "password").miss("write the user's password")
        if spec.password is not None and spec.user is None and not (at / "user").spoiled:
            (at / "password").wrong("has no `user`", "write the user that it is of", on_key=True)
        return Nats(
            servers=tuple(spec.servers),
            credentials=self._credentials(spec.credentials, at / "credentials"),
            user=spec.user,
            password=self.secrets.read(spec.password, at / "password", scalars.secret_text),
            token=self.secrets.read(spec.token, at / "token", scalars.secret_text),
            ca_file=certificates.authorities(spec.ca, at / "ca", self.named),
            bucket=spec.bucket,
            replicas=spec.replicas,
        )

    def _credentials(self, written: str | None, at: At) -> Path | None:
        if written is None:
            return None
        path = self.named(written)
        try:
            read_bytes(path)
        except UnreadableError as error:
            at.wrong(f"{path} {error.problem}", error.hint)
        return path.absolute()


def _signing(value: object) -> bytes:
    return scalars.token(value).encode("ascii")


def _is_elsewhere(url: str, admin: Endpoint) -> bool:
    """Return whether *url* is not on loopback, though *admin* is, and nothing stands between."""
    split = urlsplit(url)
    host = split.hostname or ""
    try:
        is_loopback = ip_address(host).is_loopback
    except ValueError:
        is_loopback = host == "localhost"
    return split.scheme == "http" and ip_address(admin.host).is_loopback and not is_loopback
