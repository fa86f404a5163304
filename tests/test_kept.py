"""Zones that have become broken, and what is kept of them from one read to the next."""

import pytest

from gslb.config.load import load
from tests.configs import MAIN

ONE, TWO, LOST = "192.0.2.1", "192.0.2.2", "zone: [\n"


def zone(name, **services):
    """Return the file of a zone whose services have one member each."""
    lines = "".join(f"  {each}: {{pools: {{eu-west: [{at}]}}}}\n" for each, at in services.items())
    return f"zone: {name}\nfile: {name}.zone\nservices:\n{lines}"


def broken(name, **services):
    return zone(name, **services) + "unknown: 1\n"


@pytest.fixture
def reads(tmp_path):
    """Return what reads files again and again, each time knowing what was served before."""
    served = []
    soa = "@ 300 SOA ns1 hostmaster 1 7200 900 1209600 30\n@ 300 NS ns1\nns1 300 A 192.0.2.53\n"

    def read(files, main="", without=""):
        for name in ("example.com", "example.net", "sub.example.com"):
            (tmp_path / f"{name}.zone").write_text(soa)
        for name, text in files.items():
            path = tmp_path / name
            if text is None:
                path.unlink()
            else:
                path.write_text(text)
        named = sorted(path.name for path in tmp_path.glob("?.yaml"))
        text = MAIN.replace("[zone.yaml]", f"[{', '.join(named)}]").replace(without, "") + main
        (tmp_path / "gslb.yaml").write_text(text)
        config = load(tmp_path / "gslb.yaml", hostname="h", environ={}, before=tuple(served))
        served[:] = config.zones
        return config

    return read


def told(config):
    """Return the services with their members, and which zones are kept and which are broken."""
    services = [service for each in config.zones for service in each.services]
    return (
        {each.text: str(each.pools[0].members[0].address) for each in services},
        sorted(each.text for each in config.kept),
        sorted(each.file.name for each in config.broken),
    )


def test_a_kept_zone_gives_way_to_a_new_zone_below_it(reads):
    reads({"a.yaml": zone("example.com", **{"www.sub": ONE, "api": ONE})})

    config = reads({"b.yaml": zone("sub.example.com", www=TWO)})

    assert told(config) == (
        {"www.sub.example.com": TWO, "api.example.com": ONE},
        ["example.com"],
        [],
    )


def test_a_route_to_what_a_broken_zone_gained_does_not_hold_up_the_rest(reads):
    reads({"a.yaml": zone("example.com", www=ONE), "b.yaml": zone("example.net", www=ONE)})
    files = {
        "a.yaml": broken("example.com", www=ONE, api=ONE),
        "b.yaml": zone("example.net", www=TWO),
    }

    config = reads(files, main="proxy: {routes: [{service: api.example.com}]}\n")

    assert told(config) == (
        {"www.example.com": ONE, "www.example.net": TWO},
        ["example.com"],
        [],
    )


def test_a_file_that_says_whose_it_is_comes_before_one_that_does_not(reads):
    reads({"a.yaml": zone("example.com", www=ONE), "b.yaml": zone("example.net", www=TWO)})

    config = reads({"a.yaml": LOST, "b.yaml": broken("example.com", www=ONE)})

    assert told(config) == ({"www.example.com": ONE}, ["example.com"], ["a.yaml"])


def test_a_zone_is_known_by_its_file_again_and_again_and_by_its_name_in_another(reads):
    reads({"a.yaml": zone("example.com", www=ONE)})
    for _ in range(2):
        assert told(reads({"a.yaml": LOST})) == ({"www.example.com": ONE}, ["example.com"], [])
    moved = reads({"a.yaml": None, "c.yaml": broken("example.com", www=TWO)})
    assert told(moved) == ({"www.example.com": ONE}, ["example.com"], [])

    mended = reads({"c.yaml": zone("example.com", www=TWO)})

    assert told(mended) == ({"www.example.com": TWO}, [], [])


def test_what_no_longer_fits_the_main_file_is_not_kept(reads):
    reads({"a.yaml": zone("example.com", www=ONE).replace("{pools", "{monitor: web, pools")})
    assert told(reads({"a.yaml": LOST}))[1] == ["example.com"]

    config = reads({}, without="monitors:\n  web: {path: /healthz}\n")

    assert told(config) == ({}, [], ["a.yaml"])
