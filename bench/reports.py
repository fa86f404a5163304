"""What a report costs: octets and CPU time, with no member flipping, and with all of them.

Three vantages report ten thousand members to one node, all in this process, and nothing else
runs in it.  Composed is the vantage's part, decoded and heard the node's: after the
second of three vantages a verdict flips, when all flip.  Constant work is the aim for what is
sent and for what it costs to make and to read; what follows from a flip (the votes on that member
are counted, and answers compiled) is the flip's own and cannot be.

Memory is that of `gslb probe` and of `gslb run`, which hears it, beside the same with a tenth
of the members: the difference for each member more.
"""

from __future__ import annotations

import json
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from bench import store
from bench.probes import HOST, address
from bench.process import GSLB, NotMeasured, free_port, held_bytes, running, tail
from bench.table import shown, si
from gslb.health.opinion import Opinion
from gslb.health.report import Composer, decode
from gslb.health.verdict import Record, Verdict
from gslb.model import Quorum, Subject

MEMBERS = 10_000
VANTAGES = ("ap", "eu", "us")
KEYS = {name: f"the-key-of-the-vantage-{name}".encode() for name in VANTAGES}
NONE, TENTH, ALL = "none", "a tenth", "all"
FLIPPING = {NONE: 0.0, TENTH: 0.1, ALL: 1.0}
ROUNDS = 31
SETTLE_S = 8.0
START_MAX_S = 120.0
WHAT = ("composed", "decoded", "heard")


def measure(*, quick: bool = False) -> store.Result:
    """Let reports go round, and start a vantage and a node of two sizes."""
    members, rounds = (1_000, 3) if quick else (MEMBERS, ROUNDS)
    kept: store.Result = {
        "members": members,
        "rows": [{"flipping": name, "runs": []} for name in FLIPPING],
        "memory": [],
        "notes": [],
    }
    world = _World(members)
    world.round(0.0)
    for _ in range(rounds):
        for row in kept["rows"]:
            row["runs"].append(world.round(FLIPPING[row["flipping"]]))
    try:
        small, large = _held(members // 10), _held(members)
        for program, few, many in zip(("gslb probe", "gslb run"), small, large, strict=True):
            more = members - members // 10
            kept["memory"].append(
                {
                    "program": program,
                    "held_bytes": many,
                    "few_bytes": few,
                    "member_bytes": round((many - few) / more),
                }
            )
    except NotMeasured as why:
        kept["notes"].append(f"memory: left out, {why}")
    return kept


class _World:
    """Three vantages' records, and the opinion of a node that hears them."""

    def __init__(self, members: int) -> None:
        self._subjects = tuple(
            Subject(address(number), (address(number), 80), "web", HOST)
            for number in range(members)
        )
        self._records: dict[str, dict[Subject, Record]] = {
            name: dict.fromkeys(self._subjects, Record(Verdict.UP, "ok", 1.0)) for name in VANTAGES
        }
        self._composers = {name: Composer(name, KEYS[name]) for name in VANTAGES}
        regions = dict.fromkeys(VANTAGES)
        self._opinion = Opinion(Quorum(), regions)
        self._opinion.watch(self._subjects, Quorum(), regions, now_s=0.0)
        self._sent = 0

    def round(self, part: float) -> dict[str, float]:
        """Let that part of all members flip, and all vantages report it; return what it cost.

        CPU microseconds for each of `WHAT`, and octets, of one report.
        """
        self._sent += 1
        now_s = 5.0 * self._sent
        for records in self._records.values():
            self._flip(records, part, now_s)
        number = (1, self._sent)
        spent = dict.fromkeys(WHAT, 0.0)
        octets = 0
        for name in VANTAGES:
            composer, records, held = self._composers[name], self._records[name], self._opinion
            at_s = [time.process_time()]
            raw = composer.compose(number, now_s, records, cut_off=False)
            at_s.append(time.process_time())
            report = decode(raw, KEYS, now_s=now_s, last=held.reports)
            at_s.append(time.process_time())
            held.hear(report, now_s=now_s)
            at_s.append(time.process_time())
            octets += len(raw)
            for what, (before_s, after_s) in zip(WHAT, pairwise(at_s), strict=True):
                spent[what] += (after_s - before_s) * 1e6
        each = {what: spent_us / len(VANTAGES) for what, spent_us in spent.items()}
        return {**each, "octets": octets / len(VANTAGES)}

    def _flip(self, records: dict[Subject, Record], part: float, now_s: float) -> None:
        for subject in self._subjects[: round(part * len(self._subjects))]:
            record = records[subject]
            verdict = Verdict.DOWN if record.verdict is Verdict.UP else Verdict.UP
            reason = "ok" if verdict is Verdict.UP else "timeout"
            records[subject] = replace(record, verdict=verdict, reason=reason, since_s=now_s)


def _held(members: int) -> tuple[int, int]:
    """Return what a vantage and a node hold, in bytes, once so many members are known."""
    dns, admin = free_port(), free_port()
    with TemporaryDirectory(prefix="gslb-bench-") as name:
        folder = Path(name)
        config = _write_config(folder, members, dns, admin)
        vantage_log, node_log = folder / "vantage.log", folder / "node.log"
        with (
            running([*GSLB, "run", str(config)], log=node_log) as node,
            running([*GSLB, "probe", str(config), "--vantage", "eu"], log=vantage_log) as vantage,
        ):
            deadline_s = time.monotonic() + START_MAX_S
            while b" settled " not in node_log.read_bytes():
                for child, log in ((node, node_log), (vantage, vantage_log)):
                    if child.poll() is not None or time.monotonic() > deadline_s:
                        raise NotMeasured(f"does not settle: {tail(log)}")
                time.sleep(0.1)
            time.sleep(SETTLE_S)
            return held_bytes(vantage.pid), held_bytes(node.pid)


def _write_config(folder: Path, members: int, dns: int, admin: int) -> Path:
    each = 10
    services = {
        f"s{first // each}": {
            "monitor": "web",
            "route": "weighted",
            "pools": {"here": [address(number) for number in range(first, first + each)]},
        }
        for first in range(0, members, each)
    }
    main = {
        "node": "ns1",
        "state_dir": "var",
        "listen": {"dns": [f"127.0.0.1:{dns}"], "admin": f"127.0.0.1:{admin}"},
        "zones": ["example.com.yaml"],
        "regions": {"here": {}},
        # Nobody listens: a probe is refused at once.
        "monitors": {"web": {"type": "tcp", "port": free_port(), "interval": "10s"}},
        "vantages": {"voters": {"eu": {"key": KEYS["eu"].decode()}}},
        "carrier": {
            "key": "the-key-of-all-the-nodes",
            "nodes": {"ns1": f"http://127.0.0.1:{admin}"},
        },
    }
    (folder / "example.com.zone").write_text(
        "$TTL 30\n@ SOA ns1 hostmaster 1 3600 900 86400 30\n@ NS ns1\nns1 A 192.0.2.53\n"
    )
    # JSON is YAML.
    zone = {"zone": "example.com", "file": "example.com.zone", "services": services}
    (folder / "example.com.yaml").write_text(json.dumps(zone))
    config = folder / "gslb.yaml"
    config.write_text(json.dumps(main))
    return config


def table(kept: store.Result) -> str:
    """Return the tables of a result, as plain text."""
    return "\n".join([shown(*rows(kept)), "", shown(*memory_rows(kept)), *kept["notes"]])


def rows(kept: store.Result) -> tuple[list[str], list[list[str]]]:
    """Return header and rows: the cost of one report, and its ratio to a quiet one's."""
    header = ["flipping", "octets", "to none"]
    for what in WHAT:
        header += [f"{what}, CPU ms", "to none"]
    return header, [
        [
            row["flipping"],
            si(_middle(row, "octets")),
            f"{_ratio(kept, row, 'octets'):.3f}",
            *(
                cell
                for what in WHAT
                for cell in (
                    store.spread([run[what] / 1e3 for run in row["runs"]], "{:.1f}".format),
                    f"{_ratio(kept, row, what):.2f}",
                )
            ),
        ]
        for row in kept["rows"]
    ]


def _middle(row: store.Result, key: str) -> float:
    return float(median(run[key] for run in row["runs"]))


def _ratio(kept: store.Result, row: store.Result, key: str) -> float:
    return _middle(row, key) / _middle(kept["rows"][0], key)


def memory_rows(kept: store.Result) -> tuple[list[str], list[list[str]]]:
    """Return header and rows: memory held, and for each member more."""
    header = ["program", "held MiB", "with a tenth of the members", "bytes a member"]
    return header, [
        [
            row["program"],
            f"{row['held_bytes'] / 2**20:.0f}",
            f"{row['few_bytes'] / 2**20:.0f}",
            str(row["member_bytes"]),
        ]
        for row in kept["memory"]
    ]
