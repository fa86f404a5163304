"""`gslb check`: what a configuration holds, and how long a death may stay unnoticed."""

import json
from functools import partial

import pytest
from typer.testing import CliRunner

from gslb.cli.app import app
from gslb.daemons.controller import TICK_S
from gslb.daemons.events import Events
from gslb.daemons.reload import Restarts, needs_restart
from gslb.health.report import REPORT_GAP_S
from tests.configs import MAIN, ZONE, Folder

KEY = "0123456789abcdef-"
PROBED = ZONE + "  www: {monitor: web, pools: {eu-west: [192.0.2.1, 192.0.2.2, 192.0.2.3]}}\n"
VOTERS = (
    f"vantages: {{voters: {{eu: {{region: eu-west, key: {KEY}eu}}, us: {{key: {KEY}us}}, "
    f"ap: {{key: {KEY}ap}}}}}}\n"
)
CARRIER = f"carrier: {{key: {KEY}nodes, nodes: {{ns1: 'http://192.0.2.53:8053'}}}}\n"
WHOLE = MAIN + VOTERS + CARRIER

# interval + (fall - 1) x max(recheck, timeout) + timeout, as the monitor's defaults have it
PROBING_S = 5 + 2 * 2 + 2


@pytest.fixture
def check(tmp_path):
    def run(main, *options):
        Folder(tmp_path).load(main, PROBED)
        return CliRunner().invoke(app, ["check", str(tmp_path / "gslb.yaml"), *options])

    return run


@pytest.mark.parametrize(("main", "report_s"), [(MAIN, 0), (WHOLE, REPORT_GAP_S)])
def test_the_worst_time_counts_the_report_where_there_are_voters(check, main, report_s):
    (monitor,) = json.loads(check(main, "--json").stdout)["monitors"]

    assert monitor["worst_s"] == pytest.approx(PROBING_S + report_s + TICK_S)


def test_the_summary_says_who_votes_and_how_votes_travel(check):
    said = check(WHOLE)

    lines = [line.split() for line in said.stdout.splitlines()]
    assert said.exit_code == 0
    assert ["eu", "prober", "eu-west", "3"] in lines
    assert ["us", "prober", "3"] in lines
    assert "reports and words travel over HTTP between ns1" in said.stdout
    assert KEY not in said.output


def test_each_voter_probes_its_share_where_not_all_probe_all(check):
    main = WHOLE.replace("vantages: {", "vantages: {probes_per_member: 2, ")

    summary = json.loads(check(main, "--json").stdout)

    assert {each["vantage"] for each in summary["voters"]} == {"eu", "us", "ap"}
    assert sum(each["members"] for each in summary["voters"]) == 2 * 3


def test_the_summary_names_the_servers_that_carry(check):
    nats = f"carrier: {{key: {KEY}nodes, nats: {{servers: ['nats://127.0.0.1'], token: t0ken}}}}\n"

    summary = json.loads(check(MAIN + VOTERS + nats, "--json").stdout)

    assert summary["carrier"] == "by NATS at nats://127.0.0.1:4222"


def test_without_voters_the_summary_says_nothing_of_them(check):
    said = check(MAIN)

    assert "voter" not in said.stdout
    assert "travel" not in said.stdout
    assert json.loads(check(MAIN, "--json").stdout)["carrier"] is None


@pytest.mark.parametrize(
    ("old", "new", "keys"),
    [
        (WHOLE, WHOLE.replace("region: eu-west, ", ""), []),
        (WHOLE, WHOLE + "vantage: eu\n", ["vantage"]),
        (WHOLE, WHOLE.replace("192.0.2.53", "192.0.2.54"), ["carrier"]),
        (WHOLE, WHOLE.replace(f"{KEY}nodes", f"{KEY}n0des"), ["carrier"]),
        (MAIN, WHOLE, ["voters", "carrier"]),
    ],
)
def test_who_votes_may_change_while_a_node_runs_but_not_how_it_takes_part(tmp_path, old, new, keys):
    assert needs_restart(Folder(tmp_path).load(old), Folder(tmp_path).load(new)) == keys


def test_what_needs_a_restart_is_told_when_it_changes_and_not_when_it_is_taken_back(tmp_path):
    def read(text):
        return Folder(tmp_path).load(text)

    started = read(MAIN)
    events = Events(lambda: 0.0)
    restarts = Restarts(partial(needs_restart, started), events)
    with events.listen() as heard:
        for text in (MAIN, WHOLE, WHOLE, MAIN, WHOLE + "vantage: eu\n"):
            restarts.look(read(text))

    told = [heard.get_nowait().fields["changed"] for _ in range(heard.qsize())]
    assert told == ["voters, carrier", "vantage, voters, carrier"]


TIER = (
    "proxy: {listen: [80, {port: 443, tls: {certificates: [www.pem]}}, "
    "{port: 25, mode: tcp, service: www.example.com}], routes: [{service: www.example.com}]}\n"
)
WITH_TIER = MAIN.replace("-6.26]}", "-6.26], proxies: [192.0.2.80]}") + TIER


def test_the_summary_says_where_the_tier_listens_and_what_it_routes(check):
    said = check(WITH_TIER)

    line = "proxies listen at 80 (http), 443 (https), 25 (tcp): 1 route to 1 service"
    assert said.exit_code == 0
    assert line in said.stdout.splitlines()
    assert json.loads(check(WITH_TIER, "--json").stdout)["tier"] == {
        "engine": "gslb",
        "ports": [80, 443, 25],
        "routes": ["route 1"],
        "services": ["www.example.com"],
    }
    assert json.loads(check(MAIN, "--json").stdout)["tier"] is None


def test_files_of_the_tier_are_missed_where_it_runs_and_warned_of_elsewhere(check):
    anywhere, there = check(WITH_TIER), check(WITH_TIER, "--region", "eu-west")

    assert anywhere.exit_code == 0
    assert "warning: " in anywhere.stderr
    assert "needed where `gslb proxy` runs" in anywhere.stderr
    assert there.exit_code == 1
    assert "www.pem cannot be read" in there.stderr
