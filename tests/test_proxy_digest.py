"""The digest of a tier: the same for tiers that do the same, another for those that do not."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gslb.config.load import load
from tests.configs import Folder
from tests.servers import Authority
from tests.test_proxy_config import KEY, LEAST, REGIONS, SERVICES

WHOLE = """\
proxy:
  listen: [{port: 443, tls: {certificates: [{cert: www.pem, key: www.key}]}}]
  errors: {503: pages/503.html}
  services: {www.example.com: {tls: {ca: ca.pem}}}
  routes:
    - match: {path: /x, method: [GET, HEAD, POST, PUT], countries: [DE, FR, GB, US]}
      deny: 403
    - service: www.example.com
      affinity: {cookie: gslb, key: {file: cookie.key}}
"""
LOAD = """\
import sys
from pathlib import Path
from gslb.config.load import load
print(load(Path(sys.argv[1]), hostname="h", environ={}, region="eu-west").tier_hash)
"""


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def files(authority):
    """Return the files that `WHOLE` names."""
    pair = authority.certificate("www.example.com").read_bytes()
    start = pair.index(b"-----BEGIN PRIVATE")
    return {
        "www.pem": pair[:start],
        "www.key": pair[start:],
        "ca.pem": Path(authority.ca_file).read_bytes(),
        "pages/503.html": "<p>busy",
        "cookie.key": KEY,
    }


def written(path, files, main=WHOLE):
    folder = Folder(path)
    folder.write(files)
    return folder.load(REGIONS + main, SERVICES, region="eu-west").tier_hash


def test_tiers_that_do_the_same_have_the_same_digest_wherever_and_however_they_run(tmp_path, files):
    one = written(tmp_path / "one", files)
    own = "proxy:\n  workers: 3\n  admin: null\n  access_log: /var/log/x\n  haproxy: /opt/haproxy\n"

    assert len(one) == 64
    assert written(tmp_path / "two", files, WHOLE.replace("proxy:\n", own)) == one


def test_every_process_finds_the_same_digest(tmp_path, files):
    one = written(tmp_path, files)

    for seed in ("1", "2"):
        asked = [sys.executable, "-c", LOAD, str(tmp_path / "gslb.yaml")]
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        assert subprocess.check_output(asked, env=environment, text=True).strip() == one


@pytest.mark.parametrize("file", ["www.pem", "ca.pem", "pages/503.html", "cookie.key"])
def test_another_file_is_another_digest(tmp_path, files, authority, file):
    one = written(tmp_path, files)
    pair = authority.certificate("www.example.com", "more.example.com").read_bytes()
    start = pair.index(b"-----BEGIN PRIVATE")
    other = {"www.pem": pair[:start], "ca.pem": pair[:start]}.get(file, "other" * 10)
    key = {"www.key": pair[start:]} if file == "www.pem" else {}

    assert written(tmp_path, {**files, file: other, **key}) != one


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("deny: 403", "deny: 404"),
        ("POST, PUT", "POST"),
        ("port: 443", "port: 8443"),
        ("services: {www.example.com: {", "services: {www.example.com: {connections: 5, "),
        ("proxy:\n", "proxy:\n  drain: 1m\n"),
    ],
)
def test_other_words_are_another_digest(tmp_path, files, old, new):
    assert old in WHOLE

    assert written(tmp_path, files) != written(tmp_path, files, WHOLE.replace(old, new))


def test_a_node_has_none_and_its_hash_says_nothing_of_the_tier(tmp_path):
    folder = Folder(tmp_path)
    main = REGIONS + LEAST
    folder.load(main, SERVICES)

    node = load(folder.path / "gslb.yaml", hostname="h", environ={})
    tier = load(folder.path / "gslb.yaml", hostname="h", environ={}, region="eu-west")

    assert node.tier_hash == ""
    assert tier.tier_hash != ""
    assert tier.hash == node.hash
