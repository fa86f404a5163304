"""Files that list members: how they are read, and what becomes of broken ones."""

import tempfile
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gslb.daemons.memberfiles import MemberFileError, MemberFiles, parse
from gslb.daemons.remembered import Remembered, encode, load, save
from gslb.health.lease import Lease
from gslb.routing.found import POOL_MEMBERS_MAX, FoundMember


def one(text, weight=1, probe=None):
    return FoundMember(ip_address(text), weight, probe)


@pytest.mark.parametrize(
    ("text", "members"),
    [
        ("192.0.2.1\n2001:db8::1\n", (one("192.0.2.1"), one("2001:db8::1"))),
        ("# us\n\n 192.0.2.1  3 # old\n", (one("192.0.2.1", 3),)),
        ("192.0.2.1 0 192.0.2.9:81\r\n", (one("192.0.2.1", 0, ("192.0.2.9", 81)),)),
        ("192.0.2.1 1 h.example.net", (one("192.0.2.1", 1, ("h.example.net", None)),)),
        ("# nobody\n", ()),
        ("[]", ()),
        (
            '["192.0.2.1",\n {"address": "192.0.2.2", "weight": 3}]',
            (one("192.0.2.1"), one("192.0.2.2", 3)),
        ),
        ('[{"address": "192.0.2.2", "probe": "[::1]:81"}]', (one("192.0.2.2", 1, ("::1", 81)),)),
    ],
)  # fmt: skip
def test_members_are_lines_or_a_json_list(text, members):
    assert parse(text.encode()) == members


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "is empty"),
        (" \n", "is empty"),
        ("192.0.2.1\nlb.example.net\n", "list:2: 'lb.example.net' is not an IP address"),
        ("192.0.2.1 x", "'x' is not a weight"),
        ("192.0.2.1 ²", "is not a weight"),
        ("192.0.2.1 1000001", "out of range"),
        ("192.0.2.1 1 192.0.2.1:0", "port 0"),
        ("192.0.2.1 1 a b", "has 4 words"),
        ("192.0.2.1\n192.0.2.1\n", "listed twice"),
        ("224.0.0.1", "not the address of one host"),
        ("[", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ('{"address": "192.0.2.1"}', "is not a weight"),
        ("192.0.2.1 0000000003", "is not a weight"),
        ("[1]", "[0]: 1 is no member"),
        ('[{"adress": "192.0.2.1"}]', "did you mean address?"),
        ('[{"weight": 1}]', "[0]"),
        ('[{"address": "192.0.2.1", "weight": "3"}]', "not a whole number"),
    ],
)
def test_a_mistake_is_told_with_its_place(text, part):
    with pytest.raises(MemberFileError) as raised:
        parse(text.encode())

    assert part in str(raised.value)


def test_a_list_that_is_too_long_or_no_text_is_refused():
    lines = "\n".join(str(ip_address(0xC0000000 + n)) for n in range(POOL_MEMBERS_MAX + 1))
    with pytest.raises(MemberFileError):
        parse(lines.encode())
    with pytest.raises(MemberFileError):
        parse(b"\xff")


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_whatever_is_in_a_file_it_is_members_or_a_complaint(octets):
    with suppress(MemberFileError):
        assert all(isinstance(each, FoundMember) for each in parse(octets))


def shown(files):
    return [str(member.address) for member in files.members]


def test_a_broken_file_keeps_what_it_said_and_tells_of_it_until_it_is_mended(tmp_path):
    path = tmp_path / "members.txt"
    files = MemberFiles(path)
    files.look()
    assert (shown(files), len(files.problems)) == ([], 1)

    path.write_text("192.0.2.1\n")
    files.look()
    assert (shown(files), files.problems) == (["192.0.2.1"], ())
    for broken in ("", "192.0.2.1\nx\n"):
        path.write_text(broken)
        files.look()
        files.look()
        assert (shown(files), len(files.problems)) == (["192.0.2.1"], 1)
    path.unlink()
    files.look()
    assert (shown(files), len(files.problems)) == (["192.0.2.1"], 1)

    path.write_text("# nobody\n")
    files.look()
    assert (shown(files), files.problems) == ([], ())


def test_a_folder_is_all_its_files_and_one_that_leaves_takes_its_members_along(tmp_path):
    folder = tmp_path / "members"
    folder.mkdir()
    (folder / "b").write_text("192.0.2.1 7\n192.0.2.2\n")
    (folder / "a").write_text("192.0.2.1 5\n")
    (folder / ".hidden").write_text("192.0.2.8\n")
    (folder / "b~").write_text("192.0.2.9\n")
    (folder / "inner").mkdir()
    files = MemberFiles(folder)
    files.look()

    assert files.members == (one("192.0.2.1", 5), one("192.0.2.2"))
    (folder / "a").write_text("192.0.2")
    files.look()
    assert files.members[0].weight == 5
    (folder / "a").unlink()
    files.look()
    assert files.members == (one("192.0.2.1", 7), one("192.0.2.2"))
    assert files.problems == ()


def test_a_folder_that_is_gone_takes_nobody_out(tmp_path):
    folder = tmp_path / "members"
    folder.mkdir()
    (folder / "a").write_text("192.0.2.1\n")
    files = MemberFiles(folder)
    files.look()

    folder.rename(tmp_path / "elsewhere")
    files.look()

    assert (shown(files), len(files.problems)) == (["192.0.2.1"], 1)


def test_what_is_remembered_holds_until_the_file_can_be_read(tmp_path):
    files = MemberFiles(tmp_path / "members.txt", (one("192.0.2.1"),))
    files.look()
    assert shown(files) == ["192.0.2.1"]

    (tmp_path / "members.txt").write_text("192.0.2.2\n")
    files.look()

    assert shown(files) == ["192.0.2.2"]


REMEMBERED = Remembered(
    {"/members": (one("192.0.2.1", 3, ("h", None)), one("2001:db8::1"))},
    {"app.example.net": (one("192.0.2.2", 0, ("192.0.2.2", 81)),)},
    {("www.example.com", "eu", ip_address("192.0.2.3")): Lease((1, "ns1"), 30.0, 31.0)},
)


def test_what_is_remembered_is_read_back(tmp_path):
    save(tmp_path / "var", REMEMBERED)

    assert load(tmp_path / "var") == REMEMBERED
    assert load(tmp_path) == Remembered()


@pytest.mark.parametrize(
    "octets",
    [b"", b"[]", b"{}", b'{"version": 2}', b'{"version": 1, "files": {"a": [1]}, "names": {}}'],
)
def test_what_cannot_be_read_back_is_nothing(tmp_path, octets):
    (tmp_path / "members.json").write_bytes(octets)

    assert load(tmp_path) == Remembered()


@given(at=st.integers(0, 400), more=st.binary(min_size=1, max_size=3))
def test_damage_never_keeps_a_start_from_its_way(at, more):
    octets = encode(REMEMBERED)
    damaged = octets[: at % len(octets)] + more + octets[at % len(octets) + 1 :]
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "members.json").write_bytes(damaged)

        assert isinstance(load(Path(name)), Remembered)
