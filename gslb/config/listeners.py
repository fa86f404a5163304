"""The ports that the L7 tier listens at, as written → its listeners."""

from __future__ import annotations

from dataclasses import dataclass

from gslb.config.nodes import At
from gslb.config.proxykeys import ListenerSpec, PassSpec, TlsSpec
from gslb.config.requestroutes import balance
from gslb.config.tierfiles import TierFiles
from gslb.config.upstreams import Offered
from gslb.tier import Listener, PassRoute, Tls

HTTPS_PORT = 443


@dataclass(frozen=True, slots=True)
class ListenerReader:
    """Reads listeners; `at` is the place of their list."""

    at: At
    offered: Offered
    files: TierFiles

    def read(self, specs: list[ListenerSpec]) -> tuple[Listener, ...]:
        """Return the listeners, of which no two have one port."""
        found: dict[int, Listener] = {}
        for index, spec in enumerate(specs):
            here = self.at / index
            if spec.port in found:
                problem = f"port {spec.port} is listened at already"
                (here / "port").wrong(problem, "keep one of them, or choose another port")
            found[spec.port] = self._listener(spec, here)
        return tuple(found.values())

    def _listener(self, spec: ListenerSpec, at: At) -> Listener:
        if spec.mode == "tcp":
            return Listener(
                port=spec.port,
                mode="tcp",
                proxy_protocol=spec.proxy_protocol,
                passes=self._passes(spec, at),
            )
        for key in ("service", "pass"):
            if at.has(key):
                hint = "write `mode: tcp` beside it, or name the service in `routes`"
                (at / key).wrong(f"`{key}` is for mode tcp", hint, on_key=True)
        if spec.port == HTTPS_PORT and spec.tls is None and not at.spoiled:
            hint = "write tls: {certificates: [{cert: PATH, key: PATH}]}"
            at.warn("port 443 speaks plain HTTP here", hint)
        return Listener(
            port=spec.port,
            tls=None if spec.tls is None else self._tls(spec.tls, at / "tls"),
            proxy_protocol=spec.proxy_protocol,
        )

    def _passes(self, spec: ListenerSpec, at: At) -> tuple[PassRoute, ...]:
        if spec.tls is not None:
            hint = "leave it out: connections are passed on as they are, to members that end TLS"
            (at / "tls").wrong("mode tcp ends no TLS", hint, on_key=True)
        if spec.service is not None:
            if spec.passes:
                (at / "pass").wrong("stands beside `service`", "keep one of the two", on_key=True)
            return (PassRoute((), self.offered.name(spec.service, at / "service")),)
        if not spec.passes and not at.spoiled:
            at.wrong("passes connections to nobody", "write `service: NAME`, or `pass: […]`")
        found: list[PassRoute] = []
        for index, each in enumerate(spec.passes):
            here = at / "pass" / index
            if found and not found[-1].server_names:
                hint = "move it above the one that has no `server_names`"
                here.wrong("is never reached: the one above takes all", hint)
            found.append(self._pass(each, here))
        return tuple(found)

    def _pass(self, spec: PassSpec, at: At) -> PassRoute:
        service = self.offered.name(spec.service, at / "service")
        chosen = balance(spec.balance, at / "balance")
        if chosen.by not in (None, "client"):
            hint = "write {hash: client}, or a balance without a hash"
            (at / "balance").wrong(f"mode tcp knows no {chosen.by}", hint)
        return PassRoute(tuple(spec.server_names), service, chosen)

    def _tls(self, spec: TlsSpec, at: At) -> Tls:
        if at.has("client_required") and spec.client_ca is None:
            problem = "has no effect: no client is asked for a certificate"
            (at / "client_required").warn(problem, "write `client_ca`, or leave it out")
        return Tls(
            certificates=tuple(
                self.files.certificate(each.cert, each.key, at / "certificates" / index)
                for index, each in enumerate(spec.certificates)
            ),
            client_ca_file=self.files.authorities(spec.client_ca, at / "client_ca"),
            client_required=spec.client_required,
            min_version=spec.min_version,
            http2=spec.http2,
        )
