"""Databases opened: walked once, then mapped; read again as soon as they may have changed."""

import os
import time
from ipaddress import ip_network
from mmap import mmap

import pytest
from world import REGIONS

from bench.mmdbwriter import encode
from gslb.daemons.database import Cache, open_atlas, open_maps
from gslb.daemons.digests import SETTLED_S, Digests
from gslb.daemons.walking import WALKERS, DatabaseError, Walker
from gslb.model import Nearest
from gslb.routing.geo import MapKey

LONDON = {"country": {"iso_code": "GB"}}
PARIS = {"country": {"iso_code": "FR"}}
KEY = MapKey((Nearest(),), ("eu", "us"))
HOUR_NS = 3600 * 10**9


def database(path, record=LONDON):
    path.write_bytes(encode([(ip_network("192.0.2.0/24"), record)]))
    return path


def country(atlas):
    return atlas.place_of(ip_network("192.0.2.0/24")[1]).country


def an_hour_from_now():
    return time.time_ns() + HOUR_NS


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "geo"


def cache_of(folder, now_ns=an_hour_from_now):
    return Cache(folder, Digests(folder, now_ns))


class Unasked:
    """A walker that must not be asked, and says if it was."""

    def __init__(self):
        self.walker = Walker(self.fail, self.fail)

    def fail(self, *_):
        raise AssertionError("what was in the cache was made again")


def test_what_was_made_once_is_read_from_the_cache(tmp_path, folder):
    path = database(tmp_path / "city.mmdb")
    made = open_atlas(path, None, cache_of(folder))
    maps = open_maps([KEY], made, REGIONS, cache_of(folder))

    for cache in (cache_of(folder), cache_of(folder, lambda: 0), Cache(folder)):
        atlas = open_atlas(path, None, cache, walker=Unasked().walker)
        assert atlas == made
        assert open_maps([KEY], atlas, REGIONS, cache, walker=Unasked().walker) == maps


def test_a_node_holds_views_of_what_is_on_disk(tmp_path, folder):
    atlas = open_atlas(database(tmp_path / "city.mmdb"), None, cache_of(folder))
    geo_map = open_maps([KEY], atlas, REGIONS, cache_of(folder))[KEY]

    for runs in (atlas.ipv4, geo_map.ipv4):
        assert isinstance(memoryview(runs.starts).obj, mmap)


def test_without_a_folder_nothing_is_kept_and_all_is_made(tmp_path):
    path = database(tmp_path / "city.mmdb")

    atlas = open_atlas(path, None, Cache(None))

    assert country(atlas) == "GB"
    assert open_maps([KEY], atlas, REGIONS, Cache(None))[KEY].orders
    assert sorted(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("walker", WALKERS)
def test_an_image_that_is_torn_empty_or_foreign_is_made_anew(tmp_path, folder, walker):
    path = database(tmp_path / "city.mmdb")
    open_maps([KEY], open_atlas(path, None, cache_of(folder)), REGIONS, cache_of(folder))

    for spoil in (lambda octets: b"", lambda octets: octets[:-1], lambda octets: b"x" + octets[1:]):
        for image in (*folder.glob("*.atlas"), *folder.glob("*.map")):
            image.write_bytes(spoil(image.read_bytes()))
        atlas = open_atlas(path, None, cache_of(folder), walker=walker)
        assert country(atlas) == "GB"
        assert open_maps([KEY], atlas, REGIONS, cache_of(folder), walker=walker)[KEY].orders
        assert open_atlas(path, None, cache_of(folder), walker=Unasked().walker) == atlas


def test_a_database_that_cannot_be_read_is_named(tmp_path, folder):
    with pytest.raises(DatabaseError, match=r"none\.mmdb: No such file"):
        open_atlas(tmp_path / "none.mmdb", None, cache_of(folder))


def test_an_asn_database_is_remembered_beside_and_not_in_place_of_the_other(tmp_path, folder):
    path = database(tmp_path / "city.mmdb")
    open_atlas(path, None, cache_of(folder))

    assert country(open_atlas(None, path, cache_of(folder))) is None
    assert country(open_atlas(path, path, cache_of(folder))) == "GB"


# Whether a file is still the same


def replaced(path):
    database(path.with_suffix(".new"), PARIS).rename(path)


def rewritten(path):
    with path.open("r+b") as file:
        file.write(encode([(ip_network("192.0.2.0/24"), PARIS)]))


def rewritten_with_its_old_date(path):
    dates = path.stat()
    rewritten(path)
    os.utime(path, ns=(dates.st_atime_ns, dates.st_mtime_ns))


@pytest.mark.parametrize("change", [replaced, rewritten, rewritten_with_its_old_date])
def test_a_database_that_changed_in_any_way_is_read_again(tmp_path, folder, change):
    path = database(tmp_path / "city.mmdb")
    size = path.stat().st_size
    assert country(open_atlas(path, None, cache_of(folder))) == "GB"
    # The clock by which files are dated may stand for some milliseconds.
    before = path.stat()
    deadline = time.monotonic() + 5
    while path.stat().st_ctime_ns == before.st_ctime_ns and time.monotonic() < deadline:
        change(path)

    assert country(open_atlas(path, None, cache_of(folder))) == "FR"
    assert path.stat().st_size == size


def test_a_file_is_remembered_only_once_it_was_left_alone(tmp_path, folder):
    path = database(tmp_path / "city.mmdb")
    changed_ns = path.stat().st_ctime_ns

    for after_s, known in ((-HOUR_NS / 1e9, False), (SETTLED_S, False), (SETTLED_S + 0.01, True)):
        digests = Digests(folder, lambda now_ns=changed_ns + int(after_s * 1e9): now_ns)
        octets, digest = digests.read(path)
        assert octets == path.read_bytes()
        assert digests.remembered(path) == (digest if known else None)


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b'{"x": 5}', b'{"%s": ["x"]}', b"\xff"])
def test_a_memory_that_is_damaged_is_no_memory(tmp_path, folder, content):
    path = database(tmp_path / "city.mmdb")
    folder.mkdir()
    (folder / "digests.json").write_bytes(content.replace(b"%s", str(path).encode()))
    digests = Digests(folder, an_hour_from_now)

    assert digests.remembered(path) is None
    _, digest = digests.read(path)
    assert digests.remembered(path) == digest


def test_several_files_are_remembered_and_a_file_that_is_gone_is_not(tmp_path, folder):
    paths = [database(tmp_path / f"{n}.mmdb") for n in range(3)]
    digests = Digests(folder, an_hour_from_now)
    told = [digests.read(path)[1] for path in paths]

    assert [Digests(folder).remembered(path) for path in paths] == told
    paths[0].unlink()
    assert digests.remembered(paths[0]) is None
    assert Digests(None, an_hour_from_now).read(paths[1])[1] == told[1]
    assert Digests(None).remembered(paths[1]) is None
