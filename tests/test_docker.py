"""What is deployed: the image, the world of the compose file, and the unit, by their structure.

Nothing is built or started here; the configuration is loaded and compiled.
"""

import re
import shutil
import subprocess
import sys
from configparser import ConfigParser
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
import yaml

from gslb.config.load import load
from gslb.daemons import planner
from gslb.daemons.crew import KILL_AFTER_S
from gslb.daemons.database import Cache
from gslb.dns import name
from gslb.dns.records import NS, A, name_in
from gslb.model import VoterKind
from gslb.routing.snapshot import members_of
from gslb.tier import Tier

ROOT = Path(__file__).parent.parent
DOCKER = ROOT / "docker"
COMPOSE = yaml.safe_load((DOCKER / "compose.yaml").read_text())
SERVICES = COMPOSE["services"]
NODES = {text: each for text, each in SERVICES.items() if text.startswith("node-")}
VANTAGES = {text: each for text, each in SERVICES.items() if text.startswith("vantage-")}
PROXIES = {text: each for text, each in SERVICES.items() if text.startswith("proxy-")}
MEMBERS = {t: each for t, each in SERVICES.items() if t not in {*NODES, *VANTAGES, *PROXIES}}
UNIT = DOCKER / "gslb.service"
PROXY_UNIT = DOCKER / "gslb-proxy@.service"


@pytest.fixture
def config(tmp_path):
    """Return the configuration as a node has it."""
    mount(NODES["node-us-east"], tmp_path)
    return load(tmp_path / "gslb.yaml", hostname="ns1.example.com", environ={})


def mount(service: dict, folder: Path) -> None:
    """Put each file of a service where it is mounted, under *folder*."""
    for each in service["volumes"]:
        source, target, *_ = each.split(":")
        if source.startswith("."):
            inside = folder / Path(target).relative_to("/etc/gslb")
            inside.parent.mkdir(parents=True, exist_ok=True)
            copy = shutil.copytree if (DOCKER / source).is_dir() else shutil.copy
            copy(DOCKER / source, inside)


def addresses(service: dict) -> list[str]:
    """Return the fixed addresses of a service of the compose file."""
    return [
        network["ipv4_address"]
        for network in service["networks"].values()
        if "ipv4_address" in network
    ]


@pytest.mark.parametrize("vantage", VANTAGES)
def test_each_region_has_a_vantage_that_can_report_with_the_keys_it_is_given(vantage, tmp_path):
    mount(VANTAGES[vantage], tmp_path)
    *_, name = VANTAGES[vantage]["command"]

    found = load(tmp_path / "gslb.yaml", hostname="a", environ={}, vantage=name)

    assert f"vantage-{found.voters[name].region}" == vantage
    assert [each for each, voter in found.voters.items() if voter.key] == [name]
    assert found.carrier.key


def test_reports_go_to_every_node_where_it_listens(config):
    nodes = {NODES[text]["hostname"]: addresses(NODES[text])[0] for text in NODES}
    kinds = {name: voter.kind for name, voter in config.voters.items()}

    assert {name for name, kind in kinds.items() if kind is VoterKind.PROBER} == set(config.regions)
    assert {name for name, kind in kinds.items() if kind is VoterKind.PROXY} == set(PROXIES)
    assert config.carrier.nodes == {
        name: f"http://{address}:{config.listen_admin.port}" for name, address in nodes.items()
    }


def test_three_regions_have_two_members_a_node_and_a_proxy_each(config):
    for region in config.regions:
        here = [text for text, each in MEMBERS.items() if region in each["networks"]]
        assert len(here) == 2
        assert f"node-{region}" in NODES
        assert f"proxy-{region}" in PROXIES


@pytest.mark.parametrize("proxy", PROXIES)
def test_a_proxy_stands_at_its_regions_address_with_all_the_files_that_its_tier_needs(
    proxy, tmp_path
):
    mount(PROXIES[proxy], tmp_path)
    *program, region = PROXIES[proxy]["command"]

    found = load(tmp_path / "gslb.yaml", hostname="a", environ={}, region=region)

    assert program == ["proxy", "/etc/gslb/gslb.yaml", "--region"]
    assert proxy == f"proxy-{region}"
    assert not found.warnings
    assert found.voters[proxy].key
    assert found.carrier.key
    (wanted,) = found.regions[region].proxies
    home = PROXIES[proxy]["networks"][region]["ipv4_address"]
    assert str(wanted.address) == home
    (listener,) = found.tier.listeners
    assert wanted.subject.target == (home, listener.port)
    assert found.tier.across.port == listener.port
    assert str(found.tier.admin[1]) in PROXIES[proxy]["healthcheck"]["test"][-1]


def test_what_proxies_say_of_clients_is_believed_by_proxies_in_each_network(config):
    told = {ip_address(each) for proxy in PROXIES.values() for each in addresses(proxy)}

    assert len(told) == len(PROXIES) * len(config.regions)
    assert all(any(each in network for network in config.tier.trusted) for each in told)
    others = {ip_address(a) for t, s in SERVICES.items() if t not in PROXIES for a in addresses(s)}
    assert not any(each in network for network in config.tier.trusted for each in others)


def test_clients_find_proxies_where_they_would_find_members(config):
    ports = {int(each["entrypoint"][-2]) for each in MEMBERS.values()}

    assert {each.port for each in config.tier.listeners} == ports


@pytest.mark.parametrize("service", SERVICES)
def test_what_is_mounted_is_there(service):
    for mount in SERVICES[service].get("volumes", ()):
        source = mount.split(":")[0]
        if source.startswith("."):
            assert (DOCKER / source).exists()
        else:
            assert source in COMPOSE["volumes"]


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_stands_in_networks_that_hold_its_addresses(service):
    for text, network in SERVICES[service]["networks"].items():
        (pool,) = COMPOSE["networks"][text]["ipam"]["config"]
        if "ipv4_address" in network:
            address = ip_address(network["ipv4_address"])
            assert address in ip_network(pool["subnet"])
            assert address not in ip_network(pool["ip_range"])


def test_no_address_is_given_twice():
    given = [address for each in SERVICES.values() for address in addresses(each)]

    assert len(given) == len(set(given))


def test_the_configuration_can_be_served(config):
    assert not config.broken
    assert not config.warnings
    assert planner.make(config, Cache(None)).plan.services


def test_every_member_of_the_configuration_is_a_container_that_says_where_it_is(config):
    (service,) = config.services()
    ports = {each.subject.target for each in members_of(service, config.regions)}

    configured = {(str(m.address), pool.region) for pool in service.pools for m in pool.members}

    started = set()
    for each in MEMBERS.values():
        *program, address, port, region = each["entrypoint"]
        assert program == ["python", "-m", "gslb.daemons.member"]
        assert [address] == addresses(each)
        assert (address, int(port)) in ports
        started.add((address, region))
    assert configured == started


def test_a_client_in_a_regions_network_is_answered_by_that_region(config):
    world = planner.make(config, Cache(None))
    (geo_map,) = world.plan.maps.values()

    for region in config.regions:
        (pool,) = COMPOSE["networks"][region]["ipam"]["config"]
        inside = ip_network(pool["subnet"])[1]
        index, _ = geo_map.find(4, int(inside))
        assert geo_map.orders[index][0] == (region,)


def test_the_zone_names_the_nodes_at_their_addresses(config):
    (zone,) = config.zones
    nodes = zone.zone.nodes
    servers = {name_in(rdata) for rdata in nodes[zone.zone.apex].rrsets[NS].rdatas}

    served = {
        name.show(server): str(ip_address(nodes[server].rrsets[A].rdatas[0].whole))
        for server in servers
    }

    assert served == {each["hostname"]: addresses(each)[0] for each in NODES.values()}


def test_what_the_image_copies_is_there_and_gets_past_its_ignore_file():
    dockerfile = (DOCKER / "Dockerfile").read_text()
    allowed = re.findall(r"^!(\S+)", (DOCKER / "Dockerfile.dockerignore").read_text(), re.MULTILINE)

    copied = [
        source
        for line in re.findall(r"^COPY (?!--)(.*)$", dockerfile, re.MULTILINE)
        for source in line.split()[:-1]
    ]

    assert copied
    for source in copied:
        assert (ROOT / source).exists()
        assert source in allowed


def test_the_image_runs_as_nobody_special():
    lines = (DOCKER / "Dockerfile").read_text().splitlines()

    assert "USER gslb" in lines
    assert lines.index("USER gslb") < lines.index('ENTRYPOINT ["gslb"]')


def parsed(unit: Path) -> ConfigParser:
    found = ConfigParser(strict=False, interpolation=None)
    found.optionxform = str
    found.read_string(unit.read_text())
    return found


def test_the_unit_reloads_by_a_signal_and_may_write_its_state_alone():
    service = parsed(UNIT)["Service"]

    assert service["ExecStart"].split()[1:] == ["run", "/etc/gslb/gslb.yaml"]
    assert service["ExecReload"] == "/bin/kill -HUP $MAINPID"
    assert service["ProtectSystem"] == "strict"
    assert service["StateDirectory"] == "gslb"
    assert service["AmbientCapabilities"] == "CAP_NET_BIND_SERVICE"


def test_the_proxys_unit_stands_beside_the_nodes_and_has_time_to_drain():
    service, node = parsed(PROXY_UNIT)["Service"], parsed(UNIT)["Service"]

    command = ["proxy", "/etc/gslb/gslb.yaml", "--region", "%i"]
    assert service["ExecStart"].split() == [node["ExecStart"].split()[0], *command]
    # A user that is made up is named like the unit, unless another name is given.
    assert service["User"] == UNIT.stem
    assert service["StateDirectory"] == node["StateDirectory"]
    assert service["ExecReload"] == node["ExecReload"]
    assert service["KillMode"] == "mixed"
    stop_s = int(service["TimeoutStopSec"].removesuffix("s"))
    assert stop_s > Tier().drain_s + KILL_AFTER_S


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")
@pytest.mark.parametrize("unit", [UNIT, PROXY_UNIT], ids=lambda unit: unit.name)
@pytest.mark.parametrize("how", [["verify"], ["security", "--offline=true", "--threshold=20"]])
def test_systemd_finds_the_units_right_and_little_exposed(unit, how, tmp_path):
    # The program is not installed where the unit expects it.
    here = unit.read_text().replace("/opt/gslb/bin/gslb", sys.executable)
    # A template is read as one of its instances.
    name = unit.name.replace("@.", "@eu-west.")
    (tmp_path / name).write_text(here)

    done = subprocess.run(
        ["systemd-analyze", *how, str(tmp_path / name)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert name not in done.stderr
