"""Run the benchmarks: python -m bench [qps|mmdb|detect]…; all of them without a name."""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time

from bench import detect, mmdb, qps
from bench.process import NotMeasured

FIGURES = {"qps": qps, "mmdb": mmdb, "detect": detect}


def main() -> int:
    """Print the figures that were asked for; give 1 if one could not be had."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("name", nargs="*", help=f"{', '.join(FIGURES)}; default: all")
    names = parser.parse_args().name or list(FIGURES)
    if unknown := [name for name in names if name not in FIGURES]:
        parser.error(f"there is no figure {unknown[0]!r}; there are {', '.join(FIGURES)}")
    print(
        f"{time.strftime('%Y-%m-%d')}, Python {platform.python_version()}, "
        f"{os.cpu_count()} cores, {platform.system()} {platform.release()}"
    )
    failed = False
    for name in names:
        caption = (FIGURES[name].__doc__ or "").partition("\n")[0]
        print(f"\n{name}: {caption}\n", flush=True)
        try:
            print(FIGURES[name].figure(), flush=True)
        except NotMeasured as why:
            failed = True
            print(f"not measured: {why}", file=sys.stderr)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
