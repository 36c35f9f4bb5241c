# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is measured: scenarios, each the life of one store, run by the tools in turns."""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Optional

from rig.process import RigError

from bench import data, measure
from bench.measure import Cost
from bench.tools import TOOLS, Tool


class Scenario(NamedTuple):
    """One store: which data goes into it, and what is then done. Tools that always compress take part where PACKED, or where named."""

    source: str
    packed: bool
    steps: tuple[str, ...]
    tools: tuple[str, ...] = tuple(TOOLS)

    @property
    def name(self) -> str:
        return f"{self.source}{', compressed' if self.packed else ''}"


# casync compresses always: it is measured once, where the others compress, and in the scenarios that are there only once.
SCENARIOS = (
    Scenario("root", False, ("first", "unchanged", "restore", "verify", "similar"), ("asl", "restic", "borg")),
    Scenario("root", True, ("first", "unchanged", "restore", "verify", "similar")),
    Scenario("image", False, ("first", "again", "restore", "verify")),
    Scenario("small", False, ("first", "unchanged", "restore")),
    Scenario("noise", True, ("first",)),
)
STEPS = {
    "first": "all new",
    "unchanged": "again, unchanged",
    "again": "again, all read",
    "similar": "second machine",
    "restore": "restore",
    "verify": "verify all",
}


@dataclass
class Results:
    """Costs by (job, tool), a job being scenario and step; bytes that a step added to the store; names and bytes of what was read."""

    costs: dict[tuple[str, str], list[Cost]] = field(default_factory=lambda: defaultdict(list))
    added: dict[tuple[str, str], int] = field(default_factory=dict)
    shapes: dict[str, tuple[int, int]] = field(default_factory=dict)


class Runner:
    """Runs scenarios in FOLDER over SOURCES, data sets by name."""

    def __init__(self, folder: Path, sources: dict[str, Path], say: Callable[[str], None]) -> None:
        self.folder, self.sources, self.say, self.results = folder, sources, say, Results()
        for scenario in SCENARIOS:
            for step in scenario.steps:
                path = sources["similar" if step == "similar" else scenario.source]
                self.results.shapes[job(scenario, step)] = _shape(path)
        self.difference = data.difference(sources["root"], sources["similar"])

    def round(self, number: int, names: Sequence[str], scenarios: Sequence[Scenario] = SCENARIOS) -> None:
        """Every scenario once, by every tool that is in NAMES; who is first changes from round to round."""
        for scenario in scenarios:
            tools = [name for name in scenario.tools if name in names]
            for at in range(len(tools)):
                self._life(scenario, tools[(at + number) % len(tools)])

    def _life(self, scenario: Scenario, name: str) -> None:
        folder = self.folder / "life"
        tool = TOOLS[name](folder, packed=scenario.packed)
        before = measure.stored(tool.store)
        for step in scenario.steps:
            cost = self._step(tool, step, scenario)
            if cost is None:
                continue
            now = measure.stored(tool.store)
            self.say(f"{job(scenario, step):34s} {name:8s} {cost.wall:8.2f} s  {cost.cpu:8.2f} CPU s  {cost.peak >> 20:6d} MiB")
            self.results.costs[job(scenario, step), name].append(cost)
            self.results.added[job(scenario, step), name] = now - before
            before = now
        shutil.rmtree(folder)

    def _step(self, tool: Tool, step: str, scenario: Scenario) -> Optional[Cost]:
        """Do STEP; None where TOOL cannot."""
        source = self.sources[scenario.source]
        if step == "verify":
            return tool.verify()
        if step == "restore":
            return self._restore(tool, source)
        if step == "similar":
            return tool.backup(self.sources["similar"])
        return tool.backup(source, again=step == "again")

    def _restore(self, tool: Tool, source: Path) -> Cost:
        target = tool.folder / "restored"
        cost = tool.restore(target, source)
        wanted = _shape(source)
        # restic and borg keep the whole path of what they were given.
        inside = target / source.relative_to("/")
        found = inside if inside.exists() else target
        shape = _shape(found)
        if shape != wanted:
            raise RigError(f"{tool.name} gave back {shape[0]} names and {shape[1]} bytes of {source}, not {wanted[0]} and {wanted[1]}")
        shutil.rmtree(target) if target.is_dir() else target.unlink()
        return cost


def _shape(path: Path) -> tuple[int, int]:
    """(names, bytes) of a tree or of a file."""
    return measure.shape(path) if path.is_dir() else (1, path.stat().st_size)


def job(scenario: Scenario, step: str) -> str:
    """The name of a step of a scenario."""
    return f"{scenario.name}: {STEPS[step]}"
