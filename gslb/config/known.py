"""What the main file declares, for zones to name: regions, monitors, databases.

A name whose declaration is wrong counts as known: its own complaint is enough.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gslb.config.nodes import At, closest, shown
from gslb.model import Monitor, Region


@dataclass(frozen=True, slots=True)
class Known:
    """The main file's regions and monitors, and whether it names databases.

    `region_names` and `monitor_names` are None where the main file cannot tell them.
    """

    main_file: str
    regions: Mapping[str, Region]
    monitors: Mapping[str, Monitor]
    region_names: frozenset[str] | None
    monitor_names: frozenset[str] | None
    has_places: bool = True
    has_asns: bool = True

    def check_region(self, name: str, at: At, *, on_key: bool = False) -> bool:
        """Return whether a region may be named; complain at *at* if not."""
        if self.region_names is None or name in self.region_names:
            return True
        hint = f"{closest(name, self.region_names, what='region')} (in {self.main_file})"
        at.wrong(f"there is no region {shown(name)}", hint, on_key=on_key)
        return False

    def check_monitor(self, name: str, at: At) -> bool:
        """Return whether a monitor may be named; complain at *at* if not."""
        if self.monitor_names is None or name in self.monitor_names:
            return True
        hint = f"{closest(name, self.monitor_names, what='monitor')} (in {self.main_file})"
        at.wrong(f"there is no monitor {shown(name)}", hint)
        return False
