"""Run the benchmarks: python -m bench [--quick] [NAME]…; all of them without a name.

`python -m bench report` draws docs/performance.md and its plots from what the last runs kept.
"""

from __future__ import annotations

import argparse
import os
import platform
import signal
import sys
import time
from collections.abc import Callable
from types import ModuleType

from bench import (
    detect,
    exchanges,
    flips,
    latency,
    memory,
    mmdb,
    opinion,
    probes,
    profile,
    proxying,
    qps,
    report,
    reports,
    store,
)
from bench.process import NotMeasured

PROXY = "proxy"
# Kept as JSON, and drawn by the report; the others are printed only.
KEPT: dict[str, ModuleType] = {
    "qps": qps,
    "latency": latency,
    "flips": flips,
    "memory": memory,
    "probes": probes,
    "reports": reports,
    "opinion": opinion,
    PROXY: proxying,
}
PRINTED: dict[str, Callable[[], str]] = {"mmdb": mmdb.figure, "detect": detect.figure}
# Only where it is asked for by its name.
ASKED_FOR: dict[str, Callable[[], str]] = {
    "profile": profile.figure,
    "exchange": exchanges.figure,
}
FIGURES = (*KEPT, *PRINTED)
KNOWN = (*FIGURES, *ASKED_FOR, "report")
MODULES: dict[str, ModuleType] = {
    **KEPT,
    "mmdb": mmdb,
    "detect": detect,
    "profile": profile,
    "exchange": exchanges,
}


def main() -> int:
    """Print the figures that were asked for; give 1 if one could not be had."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("name", nargs="*", help=f"{', '.join(KNOWN)}; default: all")
    parser.add_argument("--quick", action="store_true", help="short runs, to try; not kept")
    of_proxy = parser.add_argument_group(f"of the figure {PROXY!r} alone")
    of_proxy.add_argument("--seconds", type=int, help="of each run, in whole seconds")
    of_proxy.add_argument("--rounds", type=int, help="of each figure")
    of_proxy.add_argument(
        "--only", default="", help=f"some of {','.join(proxying.NAMES)}; not kept"
    )
    of_proxy.add_argument("--servers", default="", help="some of the proxies; not kept")
    of_proxy.add_argument("--python", default="", help="measure gslb under this Python as well")
    arguments = parser.parse_args()
    names = arguments.name or [*FIGURES, "report"]
    if unknown := [name for name in names if name not in KNOWN]:
        parser.error(f"there is no figure {unknown[0]!r}; there are {', '.join(KNOWN)}")
    print(
        f"{time.strftime('%Y-%m-%d')}, Python {platform.python_version()}, "
        f"{os.cpu_count()} cores, {platform.system()} {platform.release()}"
    )
    # So that servers and namespaces are ended when this is.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    failed = False
    for name in names:
        if name == "report":
            report.main()
            continue
        caption = (MODULES[name].__doc__ or "").partition("\n")[0]
        print(f"\n{name}: {caption}\n", flush=True)
        try:
            print(_figure(name, arguments), flush=True)
        except NotMeasured as why:
            failed = True
            print(f"not measured: {why}", file=sys.stderr)
    return int(failed)


def _figure(name: str, arguments: argparse.Namespace) -> str:
    if printed := (PRINTED | ASKED_FOR).get(name):
        return printed()
    module = KEPT[name]
    kept = not arguments.quick
    if name == PROXY:
        only, servers = (_listed(each) for each in (arguments.only, arguments.servers))
        kept = kept and not only and not servers
        found = proxying.measure(
            quick=arguments.quick,
            seconds=arguments.seconds,
            rounds=arguments.rounds,
            only=only,
            servers=servers,
            python=arguments.python,
        )
    else:
        found = module.measure(quick=arguments.quick)
    if kept:
        store.save(name, found)
    return str(module.table(found))


def _listed(text: str) -> list[str]:
    return [each for each in text.split(",") if each]


if __name__ == "__main__":
    sys.exit(main())
