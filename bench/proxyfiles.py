"""The files of the proxies that are compared: what a careful operator would write for each.

All of them do the same: one listener for HTTP, one for TLS; least connections over three members
with kept connections; timeouts; X-Forwarded-For; one line of access log for each request, to a
file.  Hosts named after a balancing rule go to members that are slow now and then.  What differs:

- nginx gathers 64 kB of its log before it writes (`buffer=`), HAProxy writes line by line (it
  has no file log of its own; its lines go to standard output, which is a file).
- nginx and gslb take a request's body in before they choose a member; HAProxy and Caddy stream.
- HAProxy and gslb probe the members; nginx (without its paid edition) and Caddy as written
  here learn from requests alone.
- nginx's answers of more than its buffers wait in memory (512 kB a request here), not on disk.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

WWW, HOST = "www", "www.example.com"
MEMBERS = ("127.1.0.1", "127.1.0.2", "127.1.0.3")
ROUND_ROBIN, LEAST_CONNECTIONS, LEAST_TIME = "round robin", "least connections", "least time"
POLICIES = {"rr": ROUND_ROBIN, "lc": LEAST_CONNECTIONS, "lt": LEAST_TIME}
REGION = "eu-west"


@dataclass(frozen=True, slots=True)
class Ports:
    """Where a proxy listens (127.0.0.1) and where its members do: quick ones, slow ones."""

    http: int
    https: int
    admin: int
    quick: int
    slow: int


def nginx(folder: Path, ports: Ports, certificate: Path) -> list[str]:
    """Write nginx's configuration and return its command."""
    rules = {"lc": "least_conn; ", "rr": ""}
    pools = [("quick", "least_conn; ", ports.quick)]
    pools += [(f"slow_{short}", rule, ports.slow) for short, rule in rules.items()]
    upstreams = "".join(
        f"  upstream {name} {{ zone {name} 64k; {rule}"
        + "".join(f"server {member}:{port}; " for member in MEMBERS)
        + "keepalive 256; keepalive_requests 1000000; }\n"
        for name, rule, port in pools
    )
    hosts = [(HOST, "quick"), *((f"{short}.example.com", f"slow_{short}") for short in rules)]
    servers = "".join(
        f"  server {{ listen 127.0.0.1:{ports.http}{backlog}; server_name {host};"
        f" listen 127.0.0.1:{ports.https} ssl{backlog};"
        f" location / {{ proxy_pass http://{pool}; }} }}\n"
        for (host, pool), backlog in zip(hosts, [" backlog=4096", "", ""], strict=True)
    )
    keys = {
        "time": "$time_iso8601",
        "client": "$remote_addr",
        "method": "$request_method",
        "host": "$host",
        "path": "$request_uri",
        "bytes_in": "$request_length",
        "member": "$upstream_addr",
        "duration_s": "$request_time",
        "connect_s": "$upstream_connect_time",
        "first_byte_s": "$upstream_header_time",
        "tls": "$ssl_protocol",
        "http": "$server_protocol",
        "request_id": "$request_id",
        "user_agent": "$http_user_agent",
        "referer": "$http_referer",
    }
    line = "".join(f'"{key}":"{value}",' for key, value in keys.items())
    config = folder / "nginx.conf"
    config.write_text(
        "worker_processes 1;\ndaemon off;\n"
        f"pid {folder}/nginx.pid;\nerror_log {folder}/error.log warn;\n"
        "events { worker_connections 11000; }\n"
        "http {\n"
        f"  log_format json escape=json '{{{line}"
        '"status":$status,"bytes_out":$body_bytes_sent}\';\n'
        f"  access_log {folder}/access.log json buffer=64k flush=1s;\n"
        "  server_tokens off; keepalive_timeout 75s; keepalive_requests 1000000;\n"
        "  client_header_timeout 10s; client_body_timeout 30s; send_timeout 60s;\n"
        "  client_body_buffer_size 64k; client_max_body_size 64m; reset_timedout_connection on;\n"
        f"  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxied;\n"
        "  proxy_http_version 1.1; proxy_connect_timeout 1s; proxy_read_timeout 30s;\n"
        "  proxy_send_timeout 30s; proxy_next_upstream_tries 3;\n"
        "  proxy_buffer_size 16k; proxy_buffers 16 32k; proxy_busy_buffers_size 128k;\n"
        "  proxy_max_temp_file_size 0;\n"
        '  proxy_set_header Connection ""; proxy_set_header Host $host;\n'
        "  proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;\n"
        "  proxy_set_header X-Forwarded-Proto $scheme; proxy_set_header X-Request-Id $request_id;\n"
        f"  ssl_certificate {certificate}; ssl_certificate_key {certificate};\n"
        "  ssl_protocols TLSv1.2 TLSv1.3; ssl_session_cache shared:tls:10m;\n"
        f"{upstreams}{servers}}}\n"
    )
    return ["nginx", "-p", str(folder), "-e", f"{folder}/start.log", "-c", str(config)]


def haproxy(folder: Path, ports: Ports, certificate: Path) -> list[str]:
    """Write HAProxy's configuration and return its command."""
    rules = {"quick": ("leastconn", ports.quick)}
    rules |= {"rr": ("roundrobin", ports.slow), "lc": ("leastconn", ports.slow)}
    backends = "".join(
        f"backend {name}\n balance {rule}\n option httpchk GET /healthz\n"
        " default-server check inter 5s pool-max-conn 256 maxconn 1024\n"
        + "".join(f" server {member} {member}:{port}\n" for member in MEMBERS)
        for name, (rule, port) in rules.items()
    )
    config = folder / "haproxy.cfg"
    config.write_text(
        "global\n nbthread 1\n maxconn 11000\n no strict-limits\n log stdout format raw local0\n"
        " ssl-default-bind-options ssl-min-ver TLSv1.2\n"
        "defaults\n mode http\n log global\n option httplog\n option redispatch\n retries 2\n"
        " timeout connect 1s\n timeout client 75s\n timeout server 30s\n"
        " timeout http-request 10s\n timeout http-keep-alive 75s\n timeout queue 1s\n"
        " http-reuse always\n option forwardfor\n"
        "frontend www\n"
        f" bind 127.0.0.1:{ports.http} backlog 4096\n"
        f" bind 127.0.0.1:{ports.https} backlog 4096 ssl crt {certificate} alpn h2,http/1.1\n"
        " unique-id-format %[uuid()]\n unique-id-header X-Request-Id\n"
        " http-request set-header X-Forwarded-Proto https if { ssl_fc }\n"
        " http-request set-header X-Forwarded-Proto http if !{ ssl_fc }\n"
        " use_backend rr if { req.hdr(host) -i rr.example.com }\n"
        " use_backend lc if { req.hdr(host) -i lc.example.com }\n"
        f" use_backend quick if {{ req.hdr(host) -i {HOST} }}\n"
        f"{backends}"
    )
    return ["haproxy", "-db", "-f", str(config)]


def caddy(folder: Path, ports: Ports, certificate: Path) -> list[str]:
    """Write Caddy's configuration and return its command."""

    def site(host: str, rule: str, port: int) -> str:
        members = " ".join(f"{member}:{port}" for member in MEMBERS)
        # One block cannot have both: TLS belongs to the listener.
        schemes = {
            "http": (ports.http, ""),
            "https": (ports.https, f" tls {2 * f'{certificate} '}\n"),
        }
        return "".join(
            f"{scheme}://{host}:{listen} {{\n bind 127.0.0.1\n{tls}"
            f" log {{\n  output file {folder}/access.log {{\n   roll_disabled\n  }}\n }}\n"
            f" reverse_proxy {members} {{\n  lb_policy {rule}\n"
            "  lb_try_duration 1s\n  fail_duration 10s\n  transport http {\n   dial_timeout 1s\n"
            "   response_header_timeout 30s\n   compression off\n   keepalive 30s\n"
            "   keepalive_idle_conns 1024\n   keepalive_idle_conns_per_host 256\n"
            "  }\n }\n}\n"
            for scheme, (listen, tls) in schemes.items()
        )

    config = folder / "Caddyfile"
    config.write_text(
        "{\n admin off\n auto_https off\n default_sni www.example.com\n"
        f" storage file_system {folder}/store\n"
        " servers {\n  timeouts {\n   read_body 30s\n   read_header 10s\n   idle 75s\n  }\n }\n}\n"
        + site(HOST, "least_conn", ports.quick)
        + site("rr.example.com", "round_robin", ports.slow)
        + site("lc.example.com", "least_conn", ports.slow)
    )
    command = ["caddy", "run", "--config", str(config), "--adapter", "caddyfile"]
    return ["env", "GOMAXPROCS=1", f"HOME={folder}", *command]


def gslb(folder: Path, ports: Ports, certificate: Path, program: Sequence[str]) -> list[str]:
    """Write gslb's configuration and return its command."""
    rules = {"rr": "round_robin", "lc": "least_connections", "lt": "least_time"}
    services = {"www": ports.quick, **dict.fromkeys(rules, ports.slow)}
    zone = {
        "zone": "example.com",
        "file": "example.com.zone",
        "services": {
            name: {"monitor": _monitor(port, ports), "pools": {REGION: list(MEMBERS)}}
            for name, port in services.items()
        },
    }
    (folder / "example.com.yaml").write_text(json.dumps(zone))
    (folder / "example.com.zone").write_text(
        "$TTL 300\n@ SOA ns1 hostmaster 1 7200 3600 1209600 300\n@ NS ns1\nns1 A 192.0.2.1\n"
    )
    config = folder / "gslb.yaml"
    config.write_text(
        json.dumps(
            {
                "state_dir": str(folder / "var"),
                "zones": ["example.com.yaml"],
                "regions": {REGION: {"location": [53.34, -6.26], "proxies": ["127.0.0.1"]}},
                "monitors": {
                    _monitor(port, ports): {"type": "http", "port": port, "path": "/healthz"}
                    for port in (ports.quick, ports.slow)
                },
                "proxy": {
                    "listen": [
                        {"port": ports.http},
                        {
                            "port": ports.https,
                            "tls": {"certificates": [{"cert": str(certificate)}]},
                        },
                    ],
                    "workers": 1,
                    "admin": f"127.0.0.1:{ports.admin}",
                    "access_log": str(folder / "access.log"),
                    "services": {
                        f"{name}.example.com": {"port": port} for name, port in services.items()
                    },
                    "routes": [
                        {
                            "name": name,
                            "match": {"host": f"{name}.example.com"},
                            "service": f"{name}.example.com",
                            "balance": rules.get(name, "least_connections"),
                        }
                        for name in services
                    ],
                },
            },
            indent=1,
        )
    )
    return [*program, "proxy", str(config), "--region", REGION]


def _monitor(port: int, ports: Ports) -> str:
    return "quick" if port == ports.quick else "slow"
