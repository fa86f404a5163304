"""Who votes, how votes travel and whom events are told to: each key, and what is wrong with it."""

from fractions import Fraction

import pytest

from docs import scan
from gslb.config.eventkinds import EVENT_KINDS, UNPOSTED_KINDS
from gslb.config.fields import WEBHOOKS_MAX
from gslb.config.load import load
from gslb.config.settings import Carrier, Nats, Webhook
from gslb.errors import ConfigError
from gslb.model import Quorum, SafetyCatch, Voter
from tests.configs import DATA, MAIN, WWW, Folder, marked

EU, US, AP = ("0123456789abcdef-" + place for place in ("eu", "us", "ap"))
NODES = "5up3r-5ecret-of-the-nodes"
VOTERS = f"voters: {{eu: {{region: eu-west, key: {EU}}}, us: {{key: {US}}}, ap: {{key: {AP}}}}}"
CARRIER = f"carrier: {{key: {NODES}, nodes: {{node.example: 'http://192.0.2.53:8053'}}}}\n"
REACHED = "listen: {admin: 192.0.2.53:8053}\nadmin_token: t0ken\n"
THREE = MAIN + f"vantages: {{{VOTERS}}}\n" + CARRIER + REACHED


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path)


def test_what_is_not_written_leaves_the_nodes_own_prober_alone(folder):
    config = folder.load()

    assert config.quorum == Quorum("majority", 0, 20.0, 1, 3600.0)
    assert (config.vantage, config.voters, config.carrier, config.webhooks) == (None, {}, None, ())
    assert (config.report_interval_s, config.probes_per_member) == (5.0, None)
    assert (config.cut_off_at, config.max_withdrawal) == (Fraction(1, 2), None)


def test_a_voter_is_a_prober_unless_it_is_said_to_be_a_proxy(folder):
    config = folder.load(THREE.replace("eu: {region", "eu: {kind: proxy, region"))

    assert {name: voter.kind.value for name, voter in config.voters.items()} == {
        "eu": "proxy",
        "us": "prober",
        "ap": "prober",
    }
    assert config.hash != folder.load(THREE).hash


def test_everything_about_votes_can_be_written(folder):
    config = folder.load(
        THREE.replace(
            "vantages: {",
            "vantage: us\nvantages: {quorum: 2, expiry: 1m, min_vantages: 2, unknown_after: null, "
            "cut_off_at: 30%, report_interval: 500ms, probes_per_member: 2, ",
        )
    )

    assert config.quorum == Quorum("count", 2, 60.0, 2, None)
    assert config.voters == {
        "eu": Voter("eu", "eu-west", EU.encode()),
        "us": Voter("us", None, US.encode()),
        "ap": Voter("ap", None, AP.encode()),
    }
    assert config.vantage == "us"
    assert (config.report_interval_s, config.probes_per_member) == (0.5, 2)
    assert config.cut_off_at == Fraction(3, 10)
    assert [note.key for note in config.warnings if not note.key.startswith("reg")] == [
        "monitors.web"
    ]


def test_a_vantage_may_never_take_itself_to_be_cut_off(folder):
    main = THREE.replace("vantages: {", "vantages: {cut_off_at: null, ")

    assert folder.load(main).cut_off_at is None


@pytest.mark.parametrize("written", ["vantages:\n", "vantages: {voters: }\n"])
def test_no_voters_are_none_however_that_is_written(folder, written):
    assert folder.load(MAIN + written).voters == {}


@pytest.mark.parametrize(
    ("key", "environ"),
    [(EU, {}), ("{text: " + EU + "}", {}), ("{file: keys/eu}", {}), ("{env: EU}", {"EU": EU})],
)
def test_a_key_is_a_text_or_in_a_file_that_is_watched_or_in_the_environment(folder, key, environ):
    folder.write({"keys/eu": f"{EU}\n"})

    config = folder.load(THREE.replace(f"key: {EU}", f"key: {key}"), environ=environ)

    assert config.voters["eu"].key == EU.encode()
    assert (folder.path / "keys/eu" in config.files) == ("file" in key)


def test_a_carrier_goes_over_http_to_each_node(folder):
    (folder.path / "ca.pem").write_bytes(certificate())
    nodes = "{node.example: 'HTTPS://NS1.example.net/', b: 'http://[2001:DB8::1]:81'}"
    main = MAIN + f"carrier: {{key: {NODES}, ca: ca.pem, nodes: {nodes}}}\n"

    config = folder.load(main)

    assert config.carrier == Carrier(
        NODES.encode(),
        {"node.example": "https://ns1.example.net", "b": "http://[2001:db8::1]:81"},
        str(folder.path / "ca.pem"),
        None,
    )
    assert folder.path / "ca.pem" in config.files


def test_a_carrier_goes_over_nats(folder):
    (folder.path / "ca.pem").write_bytes(certificate())
    folder.write({"pass": "p4 ss\n"})
    main = MAIN + (
        f"carrier:\n  key: {NODES}\n  nats:\n    servers: ['tls://n1.example.net', "
        "'nats://[::1]:4333']\n    user: gslb\n    password: {file: pass}\n    ca: ca.pem\n"
        "    bucket: world\n    replicas: 3\n"
    )

    nats = folder.load(main).carrier.nats

    assert nats == Nats(
        servers=("tls://n1.example.net:4222", "nats://[::1]:4333"),
        user="gslb",
        password="p4 ss",
        ca_file=str(folder.path / "ca.pem"),
        bucket="world",
        replicas=3,
    )


def test_a_nats_server_may_take_a_token_or_a_file_of_credentials(folder):
    folder.write({"gslb.creds": "-----BEGIN NATS USER JWT-----\n"})
    one = f"carrier: {{key: {NODES}, nats: {{servers: ['nats://127.0.0.1'], "

    nats = folder.load(MAIN + one + "credentials: gslb.creds}}\n")
    token = folder.load(MAIN + one + "token: {env: T}}}\n", environ={"T": "t"}).carrier.nats

    assert nats.carrier.nats == Nats(
        ("nats://127.0.0.1:4222",), credentials=folder.path / "gslb.creds"
    )
    assert folder.path / "gslb.creds" in nats.files
    assert token == Nats(("nats://127.0.0.1:4222",), token="t")


def test_webhooks_take_all_events_or_some_and_may_sign_them(folder):
    main = MAIN + (
        "webhooks:\n  - {url: 'https://hooks.example.com/gslb?a=b'}\n"
        "  - {url: 'http://127.0.0.1:99', events: [verdict, forced], key: {env: K}}\n"
    )

    assert folder.load(main, environ={"K": "k"}).webhooks == (
        Webhook("https://hooks.example.com/gslb?a=b"),
        Webhook("http://127.0.0.1:99", frozenset({"verdict", "forced"}), b"k"),
    )


@pytest.mark.parametrize("over", [0, 1])
def test_there_is_a_limit_of_webhooks(folder, over):
    hooks = "\n".join(["  - {url: 'https://hooks.example.com'}"] * (WEBHOOKS_MAX + over))

    assert bool(folder.complaints(f"{MAIN}webhooks:\n{hooks}\n")) == bool(over)


def test_every_event_that_is_announced_can_be_asked_for():
    assert {kind for kind, _call in scan.announced()} <= {*EVENT_KINDS, *UNPOSTED_KINDS}


@pytest.mark.parametrize(
    ("main", "catch"),
    [
        (THREE, SafetyCatch(Fraction(1, 2), 60.0)),
        (THREE + "max_withdrawal: null\n", None),
        (THREE + "max_withdrawal: {share: 20%}\n", SafetyCatch(Fraction(1, 5), 60.0)),
        (MAIN + f"vantage: eu\nvantages: {{voters: {{eu: {{key: {EU}}}}}}}\n", None),
        (MAIN, None),
    ],
)
def test_with_several_voters_the_safety_catch_is_on_unless_it_is_written_off(folder, main, catch):
    assert folder.load(main).max_withdrawal == catch


# What is wrong: the lines, the key, a part of the problem, a part of the hint.

TWO = f"voters: {{eu: {{key: {EU}}}, us: {{key: {US}}}}}"
IN_ONE = f"voters: {{a: {{region: eu-west, key: {EU}}}, b: {{region: eu-west, key: {US}}}}}"
ONE = f"carrier: {{key: {NODES}, "
TO = "nodes: {node.example: "
NATS = ONE + "nats: {servers: ['nats://127.0.0.1'], "
WRONG = [
    (f"vantages: {{{TWO}, quorum: «3}}", "vantages.quorum", "3 can never agree: there are 2", "2"),
    ("vantages: {quorum: «2}", "vantages.quorum", "there is 1 voter", "up to 1"),
    (
        f"vantages: {{{IN_ONE}, quorum: «2}}",
        "vantages.quorum",
        "2 voters have 1, since those of a region have one",
        "up to 1, or majority",
    ),
    (
        f"vantages: {{{TWO}, probes_per_member: 1, quorum: «2}}",
        "vantages.quorum",
        "each member is probed by 1 (`probes_per_member`)",
        "up to 1",
    ),
    (
        f"vantages: {{{TWO[:-1]}, p: {{kind: proxy, region: eu-west, key: {AP}}}}}, "
        "probes_per_member: 1, quorum: «3}",
        "vantages.quorum",
        "each member is probed by 1 (`probes_per_member`), and there is 1 of kind proxy",
        "up to 2",
    ),
    (
        f"vantages: {{voters: «{{p: {{kind: proxy, region: eu-west, key: {EU}}}}}}}",
        "vantages.voters",
        "are all of kind proxy, so no member could ever be taken out",
        "add a voter of kind prober",
    ),
    (
        f"vantages: {{{TWO[:-1]}, «p: {{kind: proxy, key: {AP}}}}}}}",
        "vantages.voters.p",
        "is of kind proxy and has no region",
        "write its region",
    ),
    (
        f"vantages: {{{TWO[:-1]}, p: {{kind: «prox, region: eu-west, key: {AP}}}}}}}",
        "vantages.voters.p.kind",
        "'prox' is not one of the words known here",
        "prober or proxy",
    ),
    (
        f"vantages: {{{TWO[:-1]}, p: {{kind: proxy, region: eu-west, key: {AP}}}}}}}\nvantage: «p",
        "vantage",
        "'p' is of kind proxy",
        "kind prober",
    ),
    (f"vantages: {{{TWO}, min_vantages: «3}}", "vantages.min_vantages", "never heard", "up to 2"),
    ("vantages: {min_vantages: «0}", "vantages.min_vantages", "out of range", "from 1"),
    (
        f"vantages: {{{TWO}, expiry: «9s}}",
        "vantages.expiry",
        "9s is less than twice the 5s between reports",
        "at least 10s, or a shorter `report_interval`",
    ),
    (
        f"vantages: {{{TWO}, report_interval: «11s}}",
        "vantages.report_interval",
        "20s is less than twice",
        "at least 22s",
    ),
    ("vantages: {unknown_after: «never}", "vantages.unknown_after", "not a duration", "1h"),
    ("vantages: {cut_off_at: «150%}", "vantages.cut_off_at", "out of range", "50%"),
    ("vantages: {probes_per_member: «0}", "vantages.probes_per_member", "range", "or all"),
    ("vantages: {probes_per_member: «some}", "vantages.probes_per_member", "whole", "or all"),
    (f"vantage: «ue\nvantages: {{{TWO}}}", "vantage", "no voter 'ue'", "known voters: eu, us"),
    ("vantage: «eu", "vantage", "no voter 'eu'", "there are no voters yet"),
    ("vantages: {voters: «[a]}", "vantages.voters", "not a map", "key: value"),
    ("vantages: {voters: {«a b: {key: k}}}", "vantages.voters.a b", "not a name", "letters"),
    ("vantages: {voters: {eu: «{}}}", "vantages.voters.eu.key", "is missing", "add `key`"),
    (
        "vantages: {voters: {eu: {key: «t00-sh0rt}}}",
        "vantages.voters.eu.key",
        "shorter than 16 characters, so that it could be guessed",
        "openssl rand -hex 32",
    ),
    ("vantages: {voters: {eu: {key: «5}}}", "vantages.voters.eu.key", "not text", "in quotes"),
    (
        "vantages: {voters: {eu: {key: {file: «none}}}}",
        "vantages.voters.eu.key.file",
        "No such file",
        "spelling",
    ),
    (
        "vantages: {voters: {eu: {key: {env: «NONE}}}}",
        "vantages.voters.eu.key.env",
        "no environment variable 'NONE'",
        "set it",
    ),
    (
        "vantages: {voters: {eu: {key: {file: «zone.yaml}}}}",
        "vantages.voters.eu.key.file",
        "zone.yaml holds is not a token",
        "ASCII",
    ),
    (
        "vantages: {voters: {eu: {key: «{t00-sh0rt}}}}",
        "vantages.voters.eu.key",
        "no single source",
        "{file: PATH}",
    ),
    ("vantages: {voters: {eu: {key: «{}}}}", "vantages.voters.eu.key", "no single source", "file"),
    (
        "vantages: {voters: {eu: {key: «{file: }}}}",
        "vantages.voters.eu.key",
        "names no secret",
        "{file: PATH}",
    ),
    (
        f"vantages: {{voters: {{eu: {{key: {EU}, region: «eu-wets}}}}}}",
        "vantages.voters.eu.region",
        "no region 'eu-wets'",
        "did you mean eu-west?",
    ),
    ("carrier: «{nodes: {}}", "carrier.key", "is missing", "authenticates nodes"),
    (f"carrier: «{{key: {NODES}}}", "carrier", "neither `nodes` nor `nats`", "nodes: {NODE: URL}"),
    (f"carrier: «{{key: {NODES}, nodes: }}", "carrier", "neither", "nats: {servers: [URL]}"),
    (
        ONE + TO + "'http://127.0.0.1'}, «nats: {servers: ['nats://127.0.0.1']}}",
        "carrier.nats",
        "beside `nodes`",
        "keep one",
    ),
    (
        "carrier: {key: «t00-sh0rt, " + TO + "'http://127.0.0.1'}}",
        "carrier.key",
        "shorter",
        "openssl",
    ),
    (ONE + TO + "«ftp://a}}", "carrier.nodes.node.example", "http:// or https://", "HOST:PORT"),
    (ONE + TO + "«'http://'}}", "carrier.nodes.node.example", "no host", "HOST:PORT"),
    (ONE + TO + "«'http://a..b'}}", "carrier.nodes.node.example", "can be reached", "HOST:PORT"),
    (ONE + TO + "«'http://[::1'}}", "carrier.nodes.node.example", "no port that can", "65535"),
    (ONE + TO + "«'http://a:b'}}", "carrier.nodes.node.example", "no port that can", "65535"),
    (ONE + TO + "«'http://a:0'}}", "carrier.nodes.node.example", "port 0", "from 1"),
    (ONE + TO + "«'http://a/v1'}}", "carrier.nodes.node.example", "goes on after", "HOST:PORT"),
    (ONE + TO + "«'http://a?b'}}", "carrier.nodes.node.example", "goes on after", "HOST:PORT"),
    (ONE + TO + "«'http://u:p@a'}}", "carrier.nodes.node.example", "a user", "carrier.key"),
    (ONE + TO + "«'http://a b'}}", "carrier.nodes.node.example", "not a URL", "without spaces"),
    (ONE + TO + f"«'http://{'a' * 2048}'}}}}", "carrier.nodes.node.example", "longer", "HOST"),
    (ONE + TO + "«5}}", "carrier.nodes.node.example", "not text", "http://HOST:PORT"),
    (
        ONE + TO + "'http://127.0.0.1', b: «'http://127.0.0.1/'}}",
        "carrier.nodes.b",
        "the URL of node.example already",
        "once",
    ),
    (
        ONE + TO + "'http://127.0.0.1'}, ca: «zone.yaml}",
        "carrier.ca",
        "no certificates",
        "PEM",
    ),
    (
        "node: «two words\n" + ONE + TO + "'http://127.0.0.1'}}",
        "node",
        "cannot be this node's name where there is a carrier",
        "letters, digits",
    ),
    (ONE + "nats: «{}}", "carrier.nats.servers", "is missing", "add `servers`"),
    (ONE + "nats: {servers: «[]}}", "carrier.nats.servers", "is empty", "at least one"),
    (ONE + "nats: {servers: [«'ws://a']}}", "carrier.nats.servers[0]", "nats:// or tls://", "4222"),
    (
        ONE + "nats: {servers: [«'nats://gslb:hush@a']}}",
        "carrier.nats.servers[0]",
        "holds a user",
        "write `user` and `password`",
    ),
    (ONE + "nats: {servers: [«'tls://a/b']}}", "carrier.nats.servers[0]", "goes on", "tls://"),
    (NATS + "bucket: «a.b}}", "carrier.nats.bucket", "not the name of a bucket", "hyphens"),
    (NATS + "replicas: «6}}", "carrier.nats.replicas", "out of range", "from 1 to 5"),
    (NATS + "user: a}}", "carrier.nats.password", "is missing", "the user's password"),
    (NATS + "«password: a}}", "carrier.nats.password", "has no `user`", "write the user"),
    (NATS + "user: a, password: b, «token: c}}", "carrier.nats.token", "beside `user`", "keep one"),
    (NATS + "credentials: «none}}", "carrier.nats.credentials", "No such file", "spelling"),
    (NATS + "token: «''}}", "carrier.nats.token", "is empty", "characters"),
    (NATS + "ca: «none}}", "carrier.nats.ca", "No such file", "spelling"),
    ("webhooks: «{}", "webhooks", "not a list", "brackets"),
    ("webhooks: [«{}]", "webhooks[0].url", "is missing", "http or https URL"),
    ("webhooks: [{url: «hooks.example.com}]", "webhooks[0].url", "https://", "https://HOST/PATH"),
    ("webhooks: [{url: «'http://u:p@a'}]", "webhooks[0].url", "holds a user", "`key` signs"),
    ("webhooks: [{url: «'http://a#b'}]", "webhooks[0].url", "a fragment", "never sent"),
    ("webhooks: [{url: 'http://a', events: «[]}]", "webhooks[0].events", "is empty", "at least"),
    (
        "webhooks: [{url: 'http://a', events: [«verdicts]}]",
        "webhooks[0].events[0]",
        "no event 'verdicts'",
        "did you mean verdict?",
    ),
    (
        "webhooks: [{url: 'http://a', key: {file: «none}}]",
        "webhooks[0].key.file",
        "No such file",
        "spelling",
    ),
]
# The place of a key that is missing is that of the map that lacks it.
WRONG = [(t.replace("nats: {servers", "nats: «{servers") if "user: a}" in t else t, *more)
         for t, *more in WRONG]  # fmt: skip


@pytest.mark.parametrize(("text", "key", "problem", "hint"), WRONG)
def test_a_mistake_is_told_once_where_it_stands(folder, text, key, problem, hint):
    main = MAIN + text + "\n"

    (note,) = folder.complaints(main)

    assert (f"{note.line}:{note.column}", note.key) == (marked(main), key)
    assert problem in note.problem
    assert hint in note.hint


@pytest.mark.parametrize(("text", "key", "problem", "hint"), WRONG)
def test_no_complaint_shows_a_secret(folder, text, key, problem, hint):
    told = "\n".join(map(str, folder.complaints(MAIN + text + "\n")))

    assert not [secret for secret in (EU, US, NODES, "hush", "t00-sh0rt", "u:p") if secret in told]


def test_nothing_that_is_read_shows_a_secret(folder):
    hooks = "webhooks: [{url: 'https://hooks.example.com/T0K3N', key: 4b5ecret}]\n"
    config = folder.load(THREE + hooks)
    nats = folder.load(MAIN + NATS + "user: gslb, password: hushhush}}\n")

    shown = repr((config.voters, config.carrier, config.webhooks, nats.carrier))

    assert not [s for s in (EU, US, AP, NODES, "4b5ecret", "T0K3N", "hushhush") if s in shown]


def test_nats_needs_its_library_and_says_how_to_get_it(folder):
    main = MAIN + NATS.replace("nats:", "«nats:") + "}}\n"
    folder.write({"gslb.yaml": main, "zone.yaml": WWW})

    with pytest.raises(ConfigError) as caught:
        load(folder.path / "gslb.yaml", hostname="node.example", environ={}, has_nats=False)

    note = next(note for note in caught.value.complaints if note.key == "carrier.nats")
    assert f"{note.line}:{note.column}" == marked(main)
    assert (note.problem, note.hint) == ("nats-py is not installed", "pip install 'gslb[nats]'")


def test_the_hosts_own_name_must_be_one_that_can_be_sent(folder):
    folder.write({"gslb.yaml": MAIN + CARRIER, "zone.yaml": WWW})

    with pytest.raises(ConfigError) as caught:
        load(folder.path / "gslb.yaml", hostname="a" * 64, environ={})

    (note,) = (note for note in caught.value.complaints if note.key == "carrier")
    assert "cannot be this node's name" in note.problem
    assert "after `node:`" in note.hint


# What is odd: the main file, the key, a part of the problem.

ODD = [
    (MAIN + "«vantages: {expiry: 30s}\n", "vantages", "has no effect without voters"),
    (
        THREE.replace("vantages: {", "vantages: {probes_per_member: «4, "),
        "vantages.probes_per_member",
        "4 is more than there are: there are 3 voters",
    ),
    (
        MAIN + f"vantages: {{«{TWO}}}\n",
        "vantages.voters",
        "so nobody can vote",
    ),
    (
        MAIN + f"vantage: us\nvantages: {{«{TWO}}}\n",
        "vantages.voters",
        "so only this node's own, us, can vote",
    ),
    (
        MAIN + f"vantages: {{voters: {{eu: {{key: {EU}}}, us: {{key: «{EU}}}}}}}\n",
        "vantages.voters.us.key",
        "is the key of eu too",
    ),
    (
        THREE.replace("nodes:", "«nodes:").replace("node.example", "other.example"),
        "carrier.nodes",
        "this node, node.example, is not among them",
    ),
    (
        (MAIN + CARRIER).replace("'http", "«'http"),
        "carrier.nodes.node.example",
        "this node's admin API listens at 127.0.0.1:8053",
    ),
]


@pytest.mark.parametrize(("main", "key", "problem"), ODD)
def test_what_is_hardly_meant_is_a_warning_where_it_stands(folder, main, key, problem):
    config = folder.load(main)

    found = [note for note in config.warnings if note.key == key]
    assert [f"{note.line}:{note.column}" for note in found] == [marked(main)]
    assert problem in found[0].problem
    assert found[0].hint
    assert EU not in str(found)


@pytest.mark.parametrize(
    "main",
    [
        THREE,
        MAIN + f"vantage: eu\nvantages: {{voters: {{eu: {{key: {EU}}}}}}}\n",
        (MAIN + CARRIER).replace("192.0.2.53", "localhost"),
        (MAIN + CARRIER).replace("http:", "https:"),
        MAIN + NATS + "}}\n",
    ],
)
def test_what_is_meant_draws_no_warning(folder, main):
    keys = {note.key for note in folder.load(main).warnings}

    assert keys <= {"monitors.web", "regions.nowhere"}


# A vantage that is a process of its own.


def as_vantage(folder, name, main, zone=WWW, environ=None):
    """Load what `gslb probe` reads, on a host that has the main file and the zone's alone."""
    folder.write({"gslb.yaml": main, "zone.yaml": zone})
    return load(
        folder.path / "gslb.yaml", hostname="probe.example", environ=environ or {}, vantage=name
    )


BARE = (
    MAIN.replace("[zone.yaml]", "[zone.yaml]\nengine: native\nthreads: 64")
    + "geo: {database: none.mmdb, asn_database: none.mmdb}\n"
    "listen: {admin: 192.0.2.53:8053}\nadmin_token: {file: none}\n"
    "cookies: {secrets: {file: none}}\nwebhooks: [{url: 'https://hooks.example.com', "
    "key: {file: none}}]\n"
    "vantages: {voters: {eu: {key: {env: EU}}, us: {key: {env: US}}}}\n"
    "carrier: {key: {file: none}, nodes: {ns1: 'http://192.0.2.53:8053'}}\n"
)
MEASURED = WWW + "  x: {monitor: web, route: {latency: ms.csv}, pools: {eu-west: [192.0.2.7]}}\n"


def test_a_vantage_needs_its_own_key_and_whom_to_probe_and_no_more(folder):
    config = as_vantage(folder, "eu", BARE, MEASURED, {"EU": EU})

    assert config.vantage == "eu"
    assert config.voters == {"eu": Voter("eu", None, EU.encode()), "us": Voter("us", None, b"")}
    assert config.carrier == Carrier(b"", {"ns1": "http://192.0.2.53:8053"}, None, None)
    assert (config.webhooks, config.geo_database, config.admin_token) == ((), None, None)
    assert config.complaints() == ()
    assert [service.text for service in config.services()] == ["www.example.com", "x.example.com"]
    assert config.services()[1].pools[0].members[0].subject.monitor == "web"
    assert [note.key for note in config.warnings] == ["regions.nowhere"]


def test_a_vantage_understands_nodes_where_it_has_their_key(folder):
    folder.write({"none": f"{NODES}\n"})

    assert as_vantage(folder, "eu", BARE, WWW, {"EU": EU}).carrier.key == NODES.encode()


@pytest.mark.parametrize(
    ("name", "main", "environ", "key", "problem", "hint"),
    [
        ("us", BARE, {}, "vantages.voters.us.key.env", "no environment variable 'US'", "set it"),
        ("eü", BARE, {}, "vantages.voters", "no voter 'eü'", "known voters: eu, us"),
        ("eu", MAIN, {}, "vantages.voters", "no voter 'eu'", "there are no voters yet"),
        (
            "eu",
            MAIN + f"vantages: {{{TWO}}}\n",
            {},
            "carrier",
            "is missing, so that no report reaches a node",
            "carrier: {key:",
        ),
        (
            "eu",
            MAIN + f"vantages: {{{TWO}}}\n" + NATS + "token: {env: T}}}\n",
            {},
            "carrier.nats.token.env",
            "no environment variable 'T'",
            "set it",
        ),
    ],
)
def test_what_a_vantage_needs_and_lacks_is_told(folder, name, main, environ, key, problem, hint):
    with pytest.raises(ConfigError) as caught:
        as_vantage(folder, name, main, environ=environ)

    (note,) = caught.value.complaints
    assert note.key == key
    assert problem in note.problem
    assert hint in note.hint


def test_a_zone_that_a_vantage_cannot_probe_is_broken_for_it_too(folder):
    config = as_vantage(folder, "eu", BARE, WWW.replace("192.0.2.1]", "192.0.2.300]"), {"EU": EU})

    assert [note.key for note in config.complaints()] == ["services.www.pools.eu-west[0]"]


# The digest that nodes compare.

GEO = f"geo: {{database: {DATA}/demo.mmdb, max_moved: 30%}}\n"
SHARED = THREE + GEO
ROUTED = WWW + "  x: {monitor: web, route: {latency: ms.csv}, pools: {eu-west: [192.0.2.7]}}\n"
MS = "client,region,ms\n*,eu-west,5\n"


def hashed(path, main=SHARED, zone=ROUTED, **more):
    files = {"ms__csv": MS, **more}
    return Folder(path).load(main, zone, **files).hash


OWN = [
    ("regions:\n", "node: ns9\nregions:\n"),
    ("regions:\n", "state_dir: elsewhere\nengine: python\nthreads: 2\nregions:\n"),
    ("regions:\n", "vantage: us\nregions:\n"),
    ("regions:\n", "explain_to: [192.0.2.0/24]\nrate_limit: {per_second: 9}\nregions:\n"),
    ("regions:\n", "# a word to colleagues\nregions:\n"),
    ("regions:\n", "webhooks: [{url: 'https://hooks.example.com'}]\nregions:\n"),
    ("{admin: 192.0.2.53:8053}", '{admin: 127.0.0.1:8054, dns: ["192.0.2.53:53"]}'),
    ("t0ken", "an0ther"),
    (EU, "an0ther-key-of-eu"),
    (NODES, "an0ther-key-of-nodes"),
    ("node.example:", "node.example: 'http://192.0.2.54:8053', b:"),
    ("[zone.yaml]", "['zone*.yaml']"),
    ("{location: [39.04, -77.49]}", "{location: [39.040, -77.49], proxies: []}"),
]


@pytest.mark.parametrize(("text", "own"), OWN)
def test_what_is_a_nodes_own_does_not_enter_the_hash(tmp_path, text, own):
    assert text in SHARED

    assert hashed(tmp_path / "a/b", SHARED.replace(text, own, 1)) == hashed(tmp_path / "c")


COMMON = [
    ("[39.04,", "[39.05,"),
    ("nowhere", "somewhere"),
    ("nowhere: {}", "nowhere: {proxies: [192.0.2.9]}"),
    ("path: /healthz", "path: /health"),
    ("path: /healthz", "path: /healthz, fall: 4"),
    ("vantages: {", "vantages: {quorum: any, "),
    ("vantages: {", "vantages: {min_vantages: 2, "),
    ("vantages: {", "vantages: {unknown_after: 2h, "),
    ("vantages: {", "vantages: {expiry: 30s, "),
    ("vantages: {", "vantages: {cut_off_at: 40%, "),
    ("vantages: {", "vantages: {probes_per_member: 2, "),
    ("vantages: {", "vantages: {report_interval: 4s, "),
    ("us: {key", "usa: {key"),
    ("region: eu-west, ", ""),
    ("max_moved: 30%", "max_moved: 31%"),
    ("{database:", f"{{asn_database: {DATA}/demo-asn.mmdb, database:"),
    ("geo:", "max_withdrawal: null\ngeo:"),
]


@pytest.mark.parametrize(("text", "other"), COMMON)
def test_what_decides_answers_enters_the_hash(tmp_path, text, other):
    assert text in SHARED

    assert hashed(tmp_path, SHARED.replace(text, other, 1)) != hashed(tmp_path)


@pytest.mark.parametrize(
    ("zone", "more"),
    [
        (ROUTED.replace("192.0.2.7", "192.0.2.8"), {}),
        (ROUTED.replace("{pools", "{ttl: 31s, pools"), {}),
        (ROUTED.replace("[192.0.2.1]", "{weight: 9, members: [192.0.2.1]}"), {}),
        (ROUTED, {"ms__csv": MS.replace("5", "6")}),
        (ROUTED, {"master": "$TTL 60\n@ SOA a b 2 1 1 1 1\n@ NS a\na A 192.0.2.53\n"}),
    ],
)
def test_every_octet_of_a_zone_enters_the_hash(tmp_path, zone, more):
    assert hashed(tmp_path, zone=zone, **more) != hashed(tmp_path)


def test_two_files_of_a_zone_that_change_places_change_the_hash(tmp_path):
    zone = ROUTED + "  y: {route: {latency: b.csv}, pools: {eu-west: [192.0.2.7]}}\n"
    other = MS.replace("5", "6")

    one = hashed(tmp_path, zone=zone, b__csv=other)

    assert hashed(tmp_path, zone=zone, ms__csv=other, b__csv=MS) != one


def test_the_authorities_of_a_monitor_enter_the_hash_and_their_place_does_not(tmp_path):
    pem, other = certificate(), certificate()
    main = SHARED.replace("path: /healthz", "path: /healthz, type: https, ca: ca.pem")
    for folder, octets in (("a", pem), ("b", pem), ("c", other)):
        Folder(tmp_path / folder).write({"ca.pem": octets})

    one, same, another = (hashed(tmp_path / folder, main) for folder in "abc")

    assert one == same != another


def certificate():
    """Return a certificate that signs itself, in PEM."""
    from datetime import UTC, datetime, timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "ca.example")])
    now = datetime(2026, 1, 1, tzinfo=UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=3650))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM)
