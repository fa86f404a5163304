"""The JSON Schema beside what loads, and files with anything in them."""

import json

import jsonschema
import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from gslb.config.load import load
from gslb.config.schema import json_schema
from gslb.config.settings import Config
from gslb.errors import ConfigError
from tests.configs import FULL_MAIN, FULL_ZONE, MAIN, MASTER, WWW, ZONE, Folder


def as_json(text):
    """Return YAML as an editor hands it to a JSON Schema: keys are text."""
    return json.loads(json.dumps(yaml.safe_load(text)))


@pytest.mark.parametrize(
    "text",
    [
        FULL_MAIN,
        FULL_ZONE,
        MAIN,
        WWW,
        MAIN + "admin_token: {env: A}\ngeo:\nmax_withdrawal: {share: 50%, for: 60s}\n",
        MAIN
        + "vantage: eu\nvantages: {unknown_after: null, cut_off_at: null, probes_per_member: 2,\n"
        "  min_vantages: 1, report_interval: 5s, voters: {eu: {region: eu-west, key: {env: A}}}}\n"
        "carrier: {key: text, nodes: {ns1: 'http://192.0.2.53:8053'}, ca: ca.pem}\n"
        "webhooks: [{url: 'https://hooks.example.com', events: [verdict], key: {file: a}}]\n",
        MAIN + "vantages: {probes_per_member: all, voters: }\ncarrier: {key: {text: a}, nats:\n"
        "  {servers: ['tls://n.example.net'], user: a, password: b, bucket: c, replicas: 3}}\n",
        ZONE + "  x: {route: [nearest, {asns: {64500: [eu-west, [us-east]]}}], sticky: false,\n"
        "      answers: all, pools: {eu-west: [{address: lb.example.net}]}}\n",
    ],
)
def test_the_json_schema_accepts_what_loads(text):
    jsonschema.validate(as_json(text), json_schema())


@pytest.mark.parametrize(
    "text",
    [
        *["lisen: 1", FULL_MAIN + "x: 1", "zone: a", "zones: a"],
        MAIN + "carrier: {nodes: {}}",
        MAIN + "vantages: {voters: {eu: {}}}",
        MAIN + "webhooks: [{events: [none], url: 'https://hooks.example.com'}]",
    ],
)
def test_the_json_schema_refuses_what_does_not(text):
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(as_json(text), json_schema())


def test_every_key_in_the_json_schema_is_described():
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)

    for model, definition in schema["$defs"].items():
        for key, about in definition.get("properties", {}).items():
            referred = schema["$defs"].get(about.get("$ref", "").rpartition("/")[2], {})
            assert about.get("description") or referred.get("description"), f"{model}.{key}"
            assert "default" in about or key in definition["required"], f"{model}.{key}"


WORDS = st.sampled_from(
    ["eu-west", "web", "192.0.2.1", "nearest", "true", "null", "5s", "0", "-1", "1.5", "all", "a b",
     "*", "@", "[]", "{}", "NO", "8" * 50, "50%", "1e999", '"\\0"', "lb.example.net", "::1"]
)  # fmt: skip
KEYS = st.sampled_from(
    [
        *sorted({key for part in json_schema()["$defs"].values() for key in part["properties"]}),
        *["www", "web", "eu-west", "5", "NO"],
    ]
)
TREES = st.recursive(
    WORDS,
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]")
        | st.dictionaries(KEYS, inner, max_size=4).map(
            lambda pairs: "{" + ", ".join(f"{k}: {v}" for k, v in pairs.items()) + "}"
        )
    ),
    max_leaves=12,
)


@st.composite
def files(draw, whole):
    """Draw a file: anything at all, a tree of likely words, or a good file with a new piece."""
    kind = draw(st.integers(0, 3))
    if kind == 0:
        return draw(st.binary(max_size=200))
    if kind == 1:
        return draw(TREES).encode()
    start = draw(st.integers(0, len(whole)))
    length = draw(st.integers(0, 20))
    piece = draw(TREES | st.text(max_size=5))
    return (whole[:start] + piece + whole[start + length :]).encode("utf-8", "surrogatepass")


KEY = "0123456789abcdef"
VOTES = (
    MAIN
    + f"vantage: eu\nvantages: {{quorum: 1, voters: {{eu: {{key: {KEY}, region: eu-west}}}}}}\n"
    f"carrier: {{key: {{text: {KEY}}}, nodes: {{h: 'http://127.0.0.1:8053'}}, nats: null}}\n"
    f"webhooks: [{{url: 'https://hooks.example.com', events: [verdict], key: {KEY}}}]\n"
)


@settings(suppress_health_check=list(HealthCheck), deadline=None, max_examples=100)
@given(main=files(VOTES), vantage=st.none() | st.sampled_from(["eu", "us"]))
@example(main=VOTES.encode(), vantage="eu")
def test_any_file_about_votes_is_a_config_or_a_config_error(tmp_path, main, vantage):
    folder = Folder(tmp_path)
    folder.write({"gslb.yaml": main, "zone.yaml": WWW, "example.com.zone": MASTER})
    try:
        config = load(tmp_path / "gslb.yaml", hostname="h", environ={}, vantage=vantage)
    except ConfigError as error:
        notes = error.complaints
    else:
        assert vantage in (None, config.vantage)
        notes = config.warnings
    assert all(note.line >= 1 and note.column >= 1 and note.hint for note in notes)


@settings(suppress_health_check=list(HealthCheck), deadline=None, max_examples=150)
@given(
    main=files(FULL_MAIN.replace("zones/*.yaml", "zone.yaml")) | st.just(MAIN.encode()),
    zone=files(FULL_ZONE),
)
@example(main=b"1: {}\nzones: [zone.yaml]\n", zone=b"zone: {a: b}\n1: 2\n")
@example(main=b"zones: [zone.yaml, '**x', '/', '\x00', '..', '']\n", zone=b"zone: '.'\nfile: '/'\n")
def test_any_files_are_a_config_or_a_config_error(tmp_path, main, zone):
    folder = Folder(tmp_path)
    folder.write({"gslb.yaml": main, "zone.yaml": zone, "example.com.zone": MASTER})
    try:
        config = load(tmp_path / "gslb.yaml", hostname="h", environ={})
    except ConfigError as error:
        notes = error.complaints
    else:
        assert isinstance(config, Config)
        notes = config.complaints() + config.warnings
    for note in notes:
        assert note.line >= 1
        assert note.column >= 1
        assert note.problem
        assert note.hint
