"""The files of a configuration: which are read, which zones are served, what is told of each."""

import contextlib
import os
from ipaddress import ip_network
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.mmdbwriter import write as write_mmdb
from gslb.config import latency
from gslb.config.fields import REGIONS_MAX, ZONES_MAX
from gslb.config.known import Known
from gslb.config.load import load
from gslb.config.named import ZoneFiles, as_watched
from gslb.config.nodes import At, Node, Sheet
from gslb.dns import name
from gslb.errors import ConfigError
from tests.configs import DATA, MAIN, MASTER, WWW, ZONE, Folder


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path)


def test_all_complaints_over_all_files_are_told_at_once(folder):
    main = MAIN.replace("[zone.yaml]", "[zone.yaml, two.yaml]") + "lisen: {}\nnode: 5\n"
    zone = ZONE + "  x: {tll: 1, ttl: 1x, monitor: wob, pools: {eu-wst: [192.0.2.300]}}\n"

    found = folder.complaints(main, zone, two__yaml="zone: [\n")

    assert [(Path(note.file).name, note.key) for note in found] == [
        ("gslb.yaml", "lisen"),
        ("gslb.yaml", "node"),
        ("two.yaml", ""),
        ("zone.yaml", "services.x.tll"),
        ("zone.yaml", "services.x.ttl"),
        ("zone.yaml", "services.x.monitor"),
        ("zone.yaml", "services.x.pools.eu-wst"),
        ("zone.yaml", "services.x.pools.eu-wst[0]"),
    ]


def test_a_mistake_is_told_once_and_not_its_consequences(folder):
    main = MAIN.replace("[53.34, -6.26]", "[153.34, -6.26]").replace("/healthz", "healthz")
    zone = ZONE + "  x: {ttl: 5x, ttl_min: 60s, monitor: web, pools: {eu-west: [192.0.2.1]}}\n"

    found = folder.complaints(main, zone)

    assert [note.key for note in found] == [
        "regions.eu-west.location",
        "monitors.web.path",
        "services.x.ttl",
    ]


def test_a_message_is_file_line_column_key_problem_and_hint(folder):
    folder.write({"gslb.yaml": MAIN + "lisen: {}\n", "zone.yaml": WWW, "example.com.zone": MASTER})

    with contextlib.chdir(folder.path), pytest.raises(ConfigError) as caught:
        load(Path("gslb.yaml"), hostname="h", environ={})

    line = MAIN.count("\n") + 1
    assert str(caught.value) == (
        f"gslb.yaml:{line}:1: lisen: unknown key lisen\n  hint: did you mean listen?"
    )


def test_a_broken_zone_leaves_the_others_served(folder):
    main = MAIN.replace("[zone.yaml]", "[zone.yaml, zones/*.yaml, gone.example.yaml]")
    folder.write(
        {
            "zones/a.yaml": "zone: Broken.example\nfile: none.zone\n",
            "zones/syntax.example.yaml": "services: [\n",
            "zones/z.yaml": 'zone: "other.example" # one\nservices: [\n',
        }
    )

    config = folder.load(main)

    assert [zone.text for zone in config.zones] == ["example.com"]
    assert [(zone.text, zone.apex) for zone in config.broken] == [
        (text, name.parse(text))
        for text in ("broken.example", "syntax.example", "other.example", "gone.example")
    ]
    gone = config.broken[3].complaints[0]
    assert (Path(gone.file).name, gone.key) == ("gslb.yaml", "zones[2]")
    assert "gone.example.yaml cannot be read: No such file" in gone.problem
    assert len(config.complaints()) == 4


def test_a_zone_without_any_name_is_broken_all_the_same(folder):
    config = folder.load(MAIN.replace("[zone.yaml]", "[zone.yaml, a..b.yaml]"), a__b="")

    assert [(zone.text, zone.apex) for zone in config.broken] == [("a..b", b"")]


def test_of_two_files_for_one_zone_the_first_is_served(folder):
    main = MAIN.replace("[zone.yaml]", "[zone.yaml, two.yaml]")

    config = folder.load(main, two__yaml="zone: EXAMPLE.com.\nfile: example.com.zone\n")

    assert [zone.file.name for zone in config.zones] == ["zone.yaml"]
    (note,) = config.broken[0].complaints
    assert (Path(note.file).name, note.line, note.column, note.key) == ("two.yaml", 1, 7, "zone")
    assert "already" in note.problem


def test_nested_zones_are_fine_and_a_zone_needs_no_services(folder):
    main = MAIN.replace("[zone.yaml]", "[zone.yaml, sub.yaml]")

    config = folder.load(main, sub__yaml="zone: sub.example.com\nfile: example.com.zone\n")

    assert [zone.text for zone in config.zones] == ["example.com", "sub.example.com"]
    assert config.broken == ()


def test_a_service_inside_a_nested_zone_of_its_own_is_an_error(folder):
    main = MAIN.replace("[zone.yaml]", "[zone.yaml, sub.yaml]")
    sub = "zone: sub.example.com\nfile: example.com.zone\n"

    config = folder.load(main, zone__yaml=WWW.replace("www:", "www.sub:"), sub__yaml=sub)

    assert [zone.text for zone in config.zones] == ["sub.example.com"]
    (note,) = config.broken[0].complaints
    assert "sub.example.com is a zone of its own" in note.problem


def test_a_file_named_twice_is_a_complaint_but_globs_may_overlap(folder):
    found = folder.complaints(MAIN.replace("[zone.yaml]", "[zone.yaml, ./zone.yaml]"))
    assert [note.key for note in found] == ["zones[1]"]

    config = folder.load(MAIN.replace("[zone.yaml]", '["z*.yaml", zone.yaml, "*one.yaml"]'))
    assert len(config.zones) == 1


def test_a_glob_may_be_absolute_and_one_that_is_none_is_a_complaint(folder):
    config = folder.load(MAIN.replace("[zone.yaml]", f'["{folder.path}/zone.*"]'))
    assert (len(config.zones), config.folders) == (1, {folder.path})

    (note,) = folder.complaints(MAIN.replace("[zone.yaml]", '[zone.yaml, "**zone.yaml"]'))
    assert (note.key, "is not a glob" in note.problem) == ("zones[1]", True)


def test_a_globs_folder_that_cannot_be_listed_is_a_complaint_and_an_empty_one_a_warning(folder):
    (note,) = folder.complaints(MAIN.replace("[zone.yaml]", '[zone.yaml, "none/*.yaml"]'))
    assert (note.key, note.problem) == (
        "zones[1]",
        "the folder of 'none/*.yaml' cannot be listed: No such file or directory",
    )

    (folder.path / "none").mkdir()
    config = folder.load(MAIN.replace("[zone.yaml]", '[zone.yaml, "none/*.yaml"]'))
    assert ("zones[1]", "'none/*.yaml' matches no file") in {
        (note.key, note.problem) for note in config.warnings
    }


@pytest.mark.parametrize("over", [0, 1, 2])
def test_there_is_a_limit_of_zones(tmp_path, over):
    for number in range(3 + over):
        (tmp_path / f"{number}.yaml").touch()
    at = At(Sheet("gslb.yaml"), Node("*.yaml", 1, 1))
    named = ZoneFiles(tmp_path, most=3)

    named.add("*.yaml", at)

    assert [note.problem for note in at.sheet.complaints] == ["names more than 3 zones"] * min(
        over, 1
    )
    assert ZONES_MAX == 10_000


@pytest.mark.parametrize("over", [0, 1])
def test_there_is_a_limit_of_regions(folder, over):
    more = "".join(f"  r{number}: {{}}\n" for number in range(REGIONS_MAX - 3 + over))

    found = folder.complaints(MAIN.replace("regions:\n", "regions:\n" + more))

    assert [note.problem for note in found] == [f"holds more than {REGIONS_MAX} items"] * over


def test_a_main_file_that_cannot_be_read_is_told_at_its_start(folder):
    with pytest.raises(ConfigError) as caught:
        load(folder.path / "none.yaml", hostname="h", environ={})

    (note,) = caught.value.complaints
    assert (note.file, note.line, note.column) == (str(folder.path / "none.yaml"), 1, 1)
    assert "No such file" in note.problem


@pytest.mark.parametrize("main", ["node: a\n", "zones: []\n", "zones:\n"])
def test_a_main_file_without_zones_is_a_complaint(folder, main):
    assert [note.key for note in folder.complaints(main)] == ["zones"]


def test_every_file_that_is_named_and_every_globs_folder_is_watched(folder):
    main = MAIN.replace("[zone.yaml]", '["zones/*/*.yaml", zone.yaml]') + (
        f"geo: {{database: {DATA}/demo.mmdb, asn_database: {DATA}/demo-asn.mmdb}}\n"
        "admin_token: {file: token}\n"
    )
    zone = WWW + "  x: {route: {latency: ms.csv}, pools: {eu-west: [192.0.2.1]}}\n"
    folder.write({"zones/a/one.yaml": "zone: a.example\nfile: ../b.zone\n", "token": "secret\n"})
    master = MASTER + "$INCLUDE more.zone\n"

    config = folder.load(
        main, zone, master, ms__csv="client,region,ms\n", more__zone="more A 192.0.2.7\n"
    )

    assert config.complaints()[0].key == "file"
    assert config.admin_token == "secret"
    named = {
        path.relative_to(folder.path).as_posix()
        for path in config.files
        if folder.path in path.parents
    }
    assert named == {
        "gslb.yaml",
        "zone.yaml",
        "example.com.zone",
        "more.zone",
        "ms.csv",
        "token",
        "zones/a/one.yaml",
        "zones/b.zone",
    }
    assert {DATA / "demo.mmdb", DATA / "demo-asn.mmdb"} <= config.files
    assert {path.relative_to(folder.path).as_posix() for path in config.folders} == {
        "zones",
        "zones/a",
    }


def test_files_are_watched_through_the_links_that_lead_to_them(tmp_path):
    release = Folder(tmp_path / "release")
    behind = release.load()
    (tmp_path / "current").symlink_to("release")

    config = load(tmp_path / "current/gslb.yaml", hostname="h", environ={})

    assert config.files == {
        tmp_path / "current" / name for name in ("gslb.yaml", "zone.yaml", "example.com.zone")
    }
    assert config.hash == behind.hash


@pytest.mark.parametrize(
    ("written", "watched"),
    [
        ("real/../x", "x"),
        ("link/../x", "elsewhere/x"),
        ("link/x", "link/x"),
        ("missing/../x", "x"),
    ],
)
def test_what_is_watched_has_no_dots_and_keeps_its_links(tmp_path, written, watched):
    (tmp_path / "real").mkdir()
    (tmp_path / "elsewhere/deep").mkdir(parents=True)
    (tmp_path / "link").symlink_to("elsewhere/deep")

    assert as_watched(tmp_path / written) == tmp_path / watched


def test_the_hash_tells_contents_apart_and_nothing_else(tmp_path):
    one, two = Folder(tmp_path / "one"), Folder(tmp_path / "two")

    assert one.load().hash == two.load().hash
    assert one.load().hash != one.load(master=MASTER + "x A 192.0.2.77\n").hash
    assert len(one.load().hash) == 64


def www(lines):
    """Return a zone whose only service has these keys as well."""
    return WWW.replace("{pools", "{" + lines + ", pools")


WARNINGS = [
    (MAIN.replace("[zone.yaml]", '[zone.yaml, "none*.yaml"]'), WWW, "zones[1]", "no file"),
    (MAIN, WWW, "monitors.web", "no member is probed"),
    (MAIN, WWW, "regions.nowhere", "no service has a pool"),
    (
        MAIN,
        WWW.replace("www:", "www: {route: {countries: {DE: [eu-west]}},").replace(
            "{pools", "pools"
        ),
        "services.www.route.countries",
        "no database",
    ),
    (
        MAIN,
        www("route: {asns: {1: [eu-west]}}"),
        "services.www.route.asns",
        "no database",
    ),
    (
        MAIN,
        WWW.replace("www:", "www: {route: {fence: {continents: {EU: [nowhere]}}},").replace(
            "{pools", "pools"
        ),
        "services.www.route.fence.continents.EU",
        "no pool",
    ),
    (
        MAIN,
        ZONE + "  x: {pools: {eu-west: [{address: 192.0.2.1, weight: 0}]}}\n",
        "services.x.pools",
        "reserves",
    ),
    (
        MAIN,
        ZONE + "  x: {pools: {eu-west: {weight: 0, members: [192.0.2.1]}}}\n",
        "services.x.pools",
        "reserves",
    ),
    (
        MAIN,
        ZONE + "  x: {pools: {eu-west: [{address: 192.0.2.1, probe: a.example}]}}\n",
        "services.x.pools.eu-west[0].probe",
        "never probed",
    ),
    (
        MAIN,
        WWW.replace("www:", "www.example.com:"),
        "services.www.example.com",
        "means www.example.com.example.com",
    ),
]


@pytest.mark.parametrize(("main", "zone", "key", "problem"), WARNINGS)
def test_what_is_hardly_meant_is_a_warning(folder, main, zone, key, problem):
    config = folder.load(main, zone)

    assert config.complaints() == ()
    found = [note for note in config.warnings if note.key == key]
    assert found
    assert problem in found[0].problem
    assert found[0].hint


LATENCY_ROWS = [
    ("10.0.0.1/8,eu-west,1", "2:1", "client", "bits set", "10.0.0.0/8"),
    ("de,eu-west,1", "2:1", "client", "upper-case", "DE"),
    ("AS0,eu-west,1", "2:1", "client", "AS number", "AS64500"),
    ("DE,eu-wst,1", "2:4", "region", "no region", "eu-west"),
    ("DE,eu-west,fast", "2:12", "ms", "not a number of milliseconds", "12.5"),
    ("DE,eu-west,-1", "2:12", "ms", "not a number", "0 to"),
    ("DE,eu-west,nan", "2:12", "ms", "not a number", "0 to"),
    ("DE,eu-west", "2:1", "", "2 fields", "client,region,ms"),
    ("DE,eu-west,1\nDE,eu-west,2", "3:1", "client", "above", "keep one"),
    ('"DE,eu-west,1', "2:1", "", "not CSV", "quote"),
]


@pytest.mark.parametrize(("rows", "place", "key", "problem", "hint"), LATENCY_ROWS)
def test_a_bad_row_of_a_latency_file_is_told_in_that_file(folder, rows, place, key, problem, hint):
    zone = WWW + "  x: {route: {latency: ms.csv}, pools: {eu-west: [192.0.2.1]}}\n"

    found = folder.complaints(zone=zone, ms__csv=f"client,region,ms\n{rows}\n")

    assert [(Path(note.file).name, f"{note.line}:{note.column}", note.key) for note in found] == [
        ("ms.csv", place, key)
    ]
    assert problem in found[0].problem
    assert hint in found[0].hint


@pytest.mark.parametrize("csv", ["", "region,client,ms\n", b"\xff\xfe"])
def test_a_latency_file_without_its_header_is_told(folder, csv):
    zone = WWW + "  x: {route: {latency: ms.csv}, pools: {eu-west: [192.0.2.1]}}\n"

    found = folder.complaints(zone=zone, ms__csv=csv)

    assert [(Path(note.file).name, note.line) for note in found] == [("ms.csv", 1)]


def test_complaints_about_a_latency_file_end_at_a_limit(folder):
    zone = WWW + "  x: {route: {latency: ms.csv}, pools: {eu-west: [192.0.2.1]}}\n"
    rows = "DE,eu-west\n" * (latency.COMPLAINTS_MAX + 50)

    found = folder.complaints(zone=zone, ms__csv="client,region,ms\n" + rows)

    assert len(found) == latency.COMPLAINTS_MAX + 1
    assert "not read from here" in found[-1].problem


@pytest.mark.parametrize("over", [0, 1])
def test_a_latency_file_has_a_limit_of_rows(tmp_path, over):
    known = Known("gslb.yaml", {}, {}, None, None)
    sheet = Sheet("ms.csv")
    rows = "".join(f"AS{number},eu,1\n" for number in range(1, 6 + over))
    (tmp_path / "ms.csv").write_text("client,region,ms\n" + rows)

    measured = latency.read(tmp_path / "ms.csv", sheet, known, rows_max=5)

    assert len(measured) == 5
    assert len(sheet.complaints) == over


def test_databases_of_the_wrong_kind_are_told(folder):
    geo = f"geo: {{database: {DATA}/demo-asn.mmdb, asn_database: {DATA}/demo.mmdb}}\n"

    found = folder.complaints(MAIN + geo)

    assert [note.key for note in found] == ["geo.database", "geo.asn_database"]
    assert "holds no location, country or continent" in found[0].problem
    assert "holds no AS numbers" in found[1].problem


@pytest.mark.parametrize("ip_version", [4, 6])
def test_a_database_of_unknown_type_is_judged_by_its_records(folder, ip_version):
    network = ip_network("198.51.100.0/24")
    for file, record in {"geo": {"country": {"iso_code": "DE"}}, "no": {"x": 1}}.items():
        write_mmdb(
            folder.path / f"{file}.mmdb",
            [(network, record)],
            ip_version=ip_version,
            database_type="Own",
            build_epoch=1,
        )

    assert folder.complaints(MAIN + "geo: {database: geo.mmdb}\n") == ()
    (note,) = folder.complaints(MAIN + "geo: {database: no.mmdb}\n")
    assert "'Own'" in note.problem


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(at=st.floats(0, 1), byte=st.integers(0, 255), cut=st.booleans())
def test_a_damaged_database_never_ends_in_anything_but_a_complaint(tmp_path, at, byte, cut):
    raw = bytearray((DATA / "demo.mmdb").read_bytes())
    place = int(at * (len(raw) - 1))
    raw[place] = byte
    folder = Folder(tmp_path)
    folder.write({"geo.mmdb": bytes(raw[:place] if cut else raw)})

    for note in folder.complaints(MAIN + "geo: {database: geo.mmdb}\n"):
        assert note.key == "geo.database"


def test_a_pipe_in_place_of_a_database_is_a_complaint_and_holds_nothing_up(folder):
    os.mkfifo(folder.path / "geo.mmdb")

    (note,) = folder.complaints(MAIN + "geo: {database: geo.mmdb}\n")

    assert note.key == "geo.database"
    assert "pipe" in note.problem
