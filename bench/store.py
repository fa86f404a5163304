"""Results kept as JSON in bench/out, so that tables and plots are of the same run."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

OUT = Path(__file__).parent / "out"

Result = dict[str, Any]


def machine() -> Result:
    """Return what the figures belong to: the day, the machine, and this tree's commit."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        "?",
    )
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    ).stdout.strip()
    return {
        "day": time.strftime("%Y-%m-%d"),
        "cores": os.cpu_count(),
        "cpu": model,
        "kernel": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "commit": commit,
    }


def save(name: str, result: Result) -> None:
    """Keep a figure's result."""
    OUT.mkdir(exist_ok=True)
    kept = {"figure": name, "machine": machine(), **result}
    (OUT / f"{name}.json").write_text(json.dumps(kept, indent=1) + "\n")


def load(name: str) -> Result | None:
    """Return the result kept last, or None."""
    path = OUT / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else None


def spread(values: Sequence[float], show: Any) -> str:
    """Return the median with the range behind it."""
    return f"{show(median(values))} ({show(min(values))}–{show(max(values))})"
