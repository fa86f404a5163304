"""A route's steps as written → the steps that order a service's pools.

Every region that a step names exists, and stands in one list once; networks and AS numbers
written in two ways are one key.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gslb.config import latency
from gslb.config.addresses import network
from gslb.config.known import Known
from gslb.config.nodes import At, Sheet, shown
from gslb.config.scalars import asn
from gslb.config.yamlfile import UnreadableError
from gslb.config.zonekeys import FenceSpec, NearestSpec, StepSpec
from gslb.model import (
    Fact,
    Fence,
    Latency,
    Listed,
    Nearest,
    Network,
    Order,
    Preference,
    Step,
    Weighted,
)

_Lists = Mapping[str, list[list[str]]] | Mapping[int | str, list[list[str]]]


@dataclass(slots=True)
class Measurements:
    """The latency files of one zone, each read once, and none where they are not needed."""

    folder: Path
    is_needed: bool = True
    sheets: list[Sheet] = field(default_factory=list)
    read: dict[Path, tuple[tuple[latency.Client, str, float], ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RouteReader:
    """Reads the routes of one zone's services."""

    known: Known
    measurements: Measurements

    def steps(self, specs: list[StepSpec], at: At, pools: Collection[str]) -> tuple[Step, ...]:
        """Return the steps written at *at*, for a service with pools in these regions."""
        found: list[Step] = []
        for index, spec in enumerate(specs):
            here = at / index
            for kind in spec.model_fields_set:
                step = self._step(kind, getattr(spec, kind), here / kind, pools)
                if step is not None:
                    found.append(step)
        return tuple(found)

    def _step(self, kind: str, value: object, at: At, pools: Collection[str]) -> Step | None:
        if kind == "weighted":
            return Weighted()
        if isinstance(value, NearestSpec):
            return self._nearest(value, at)
        if value is None:
            at.wrong(f"`{kind}` needs a value", "write it after the colon, or leave the step out")
            return None
        if isinstance(value, FenceSpec):
            return self._fence(value, at, pools)
        if isinstance(value, str):
            return self._latency(value, at)
        if isinstance(value, list):
            return Order(self._preference(value, at))
        assert isinstance(value, dict)
        return self._listed(Fact(kind), value, at)

    def _nearest(self, spec: NearestSpec, at: At) -> Nearest:
        bias = at / "bias_km"
        for region in spec.bias_km:
            self.known.check_region(region, bias / region, on_key=True)
        return Nearest(spec.within_km, tuple(spec.bias_km.items()))

    def _fence(self, spec: FenceSpec, at: At, pools: Collection[str]) -> Fence:
        lists = []
        for fact in Fact:
            written = getattr(spec, fact.value)
            if written is None:
                continue
            here = at / fact.value
            listed = self._listed(fact, written, here)
            lists.append(listed)
            for key, preference in written.items():
                if not {region for rung in preference for region in rung} & set(pools):
                    problem = f"the fence leaves the clients of {key} no pool of this service"
                    hint = f"list one of the service's regions: {', '.join(sorted(pools))}"
                    (here / key).warn(problem, hint)
        if not lists and not at.spoiled:
            at.wrong("is an empty fence", "write countries, continents, subnets or asns in it")
        return Fence(tuple(lists))

    def _listed(self, fact: Fact, written: _Lists, at: At) -> Listed:
        self._check_database(fact, at)
        lists: dict[Network | str | int, Preference] = {}
        for key, value in written.items():
            here = at / key
            meant: Network | str | int = key
            if fact is Fact.SUBNETS:
                meant = network(key)
            elif fact is Fact.ASNS:
                meant = asn(key)
            if meant in lists:
                problem = f"{shown(key)} is the same as a key above"
                here.wrong(problem, "keep one of them", on_key=True)
            lists[meant] = self._preference(value, here)
        return Listed(fact, tuple(lists.items()))

    def _check_database(self, fact: Fact, at: At) -> None:
        if fact is Fact.ASNS and not self.known.has_asns:
            problem = "splits nothing: there is no database with AS numbers"
            hint = f"name one as geo.asn_database in {self.known.main_file}"
            at.warn(problem, hint, on_key=True)
        elif fact in (Fact.COUNTRIES, Fact.CONTINENTS) and not self.known.has_places:
            problem = "splits nothing: there is no database of places"
            hint = f"name one as geo.database in {self.known.main_file}"
            at.warn(problem, hint, on_key=True)

    def _preference(self, written: list[list[str]], at: At) -> Preference:
        seen: set[str] = set()
        for index, rung in enumerate(written):
            for inner, region in enumerate(rung):
                here = at / index
                here = here / inner if isinstance(here.node.value, list) else here
                if region in seen:
                    hint = "keep it where it should stand"
                    here.wrong(f"the region {shown(region)} is listed twice", hint)
                elif self.known.check_region(region, here):
                    seen.add(region)
        return tuple(tuple(rung) for rung in written)

    def _latency(self, file: str, at: At) -> Latency | None:
        path = self.measurements.folder / file
        if not self.measurements.is_needed:
            return Latency(file, ())
        if path not in self.measurements.read:
            sheet = Sheet(str(path))
            self.measurements.sheets.append(sheet)
            self.measurements.read[path] = ()
            try:
                self.measurements.read[path] = latency.read(path, sheet, self.known)
            except UnreadableError as error:
                if error.problem:
                    at.wrong(f"{path} {error.problem}", error.hint)
        return Latency(file, self.measurements.read[path])
