"""What a running HAProxy is told, and what is read from it."""

from __future__ import annotations

import pytest

from gslb.errors import EngineError
from gslb.proxy.haproxy import PROXIES, Wanted
from gslb.proxy.haproxydiff import Seen, changes, seen_in
from gslb.proxy.haproxyfigures import figures
from gslb.tier import (
    Affinity,
)
from tests.haproxies import GOOD, WANTED, WWW, of_route, of_upstream, rendered

SHOWN = """1
# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight
3 p0.us.members 1 {one} 192.0.2.1 2 0 256
3 p0.us.members 2 mgone 192.0.2.9 2 8 1
3 p0.us.members 3 mleft 192.0.2.8 0 1 1
3 p0.eu.proxies 4 {proxy} 127.0.0.2 2 0 1
4 other 1 mwhoever 192.0.2.9 2 0 1

"""


def shown():
    one, proxy = WANTED[WWW][0].server, WANTED[PROXIES][0].server
    return SHOWN.format(one=one, proxy=proxy)


def test_only_what_differs_is_said():
    made = rendered(GOOD)
    said = changes(GOOD, made.backends, WANTED, seen_in(shown()))
    two, three = WANTED[WWW][1].server, WANTED[WWW][2].server
    lines = [command.line for command in said]
    assert lines[0].startswith(f"add server p0.us.members/{two} [2001:db8::1]:80 weight 1 ")
    assert lines[1] == f"enable health p0.us.members/{two}"
    assert lines[2] == f"set server p0.us.members/{two} state drain"
    assert lines[3].startswith(f"add server p0.eu.members/{three} 192.0.2.3:80 weight 1 backup ")
    assert lines[4] == f"enable health p0.eu.members/{three}"
    assert lines[5:] == [
        "set server p0.us.members/mgone state maint",
        "del server p0.us.members/mgone",
        "del server p0.us.members/mleft",
    ]
    assert [command.line for command in said if command.may_fail] == lines[6:]


def test_a_server_that_is_otherwise_is_put_right():
    made = rendered(GOOD)
    seen = seen_in(shown())
    one = WANTED[WWW][0].server
    seen["p0.us.members", one] = Seen(3, "drain", False)
    lines = [command.line for command in changes(GOOD, made.backends, WANTED, seen)]
    assert f"set server p0.us.members/{one} state ready" in lines
    assert f"set server p0.us.members/{one} weight 256" in lines


def test_members_that_nobody_checks_are_not_checked():
    tier = of_upstream(ejection=None)
    lines = [each.line for each in changes(tier, rendered(tier).backends, WANTED, {})]
    assert not [line for line in lines if "health" in line or "check" in line]


def test_a_drained_member_keeps_its_clients_until_the_deadline():
    affinity = Affinity(by="client", drain_s=60)
    tier = of_route(affinity=affinity)
    for drained_s, expected in ((59, "drain"), (60, "maint")):
        wanted = {WWW: [Wanted("a", "192.0.2.1", 80, "us", state="drain", drained_s=drained_s)]}
        at = f"p0.us.members/{wanted[WWW][0].server}"
        seen = {("p0.us.members", wanted[WWW][0].server): Seen(1, "ready", True)}
        (said,) = changes(tier, rendered(tier).backends, wanted, seen)
        assert said.line == f"set server {at} state {expected}"


@pytest.mark.parametrize(
    "reply", ["", "Unknown command", "1\nnothing\n", SHOWN + "3 p0.us.members x\n", "1\n# a\nb\n"]
)
def test_a_reply_that_is_not_understood_is_an_error(reply):
    with pytest.raises(EngineError, match="not understood"):
        seen_in(reply)


STAT = """# pxname,svname,scur,stot,qcur,econ,eresp,hrsp_5xx,wretr,status,weight,req_rate,
listen-80,FRONTEND,3,9,,,,1,,OPEN,,7,
p0.us.members,{one},2,8,1,3,4,1,5,UP 1/2,256,,
p0.us.members,BACKEND,2,8,1,3,4,1,5,UP,256,,
"""
INFO = "Name: HAProxy\nPid: 7\nUptime_sec: 5\nCurrConns: 3\nConnRate: 2\nCumReq: 9\n"


def test_figures_are_read_by_the_names_of_members():
    one = WANTED[WWW][0]
    made = rendered(GOOD)
    found = figures(INFO, STAT.format(one=one.server), made.backends, WANTED)
    assert (found.pid, found.since_s, found.connections, found.requests) == (7, 5, 3, 9)
    assert (found.connections_per_s, found.requests_per_s, found.active) == (2, 7, 2)
    (server,) = found.servers
    assert (server.service, server.region, server.name) == (WWW, "us", "one")
    assert (server.state, server.weight, server.active, server.queued) == ("UP", 256, 2, 1)
    counted = (server.requests, server.connect_errors, server.response_errors)
    assert counted == (8, 3, 4)
    assert (server.server_errors, server.retries) == (1, 5)


def test_a_server_that_nobody_checks_is_up():
    stat = STAT.format(one=WANTED[WWW][0].server).replace("UP 1/2", "no check")
    (server,) = figures(INFO, stat, rendered(GOOD).backends, WANTED).servers
    assert server.state == "UP"


def test_figures_that_are_not_understood_are_an_error():
    made = rendered(GOOD)
    with pytest.raises(EngineError, match="not understood"):
        figures("Pid: 1\n", "# pxname,svname\n", made.backends, WANTED)
