# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checking a store: every byte of every file, then what the snapshots reach.

findings   faults and notes        history   marker, head, log, snapshot files     blocks   every artifact's digest
inventory  every file by name      shelf     segments                               chain    a log read past its damage

A *fault* is what no crash and no running writer explains; a *note* is what they leave, or what an admitted peer has in the place of
this store. Of a peer only what is needed here is looked at. The store need not be one that can be opened. Nothing is changed.
Memory: one block, and one bit for each record of the index.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Optional

from asl.backends import layout
from asl.backends.base import Reads
from asl.errors import Unavailable
from asl.names import reference_text
from asl.store.check import blocks, history, inventory, shelf
from asl.store.check.findings import Fault, Findings, Progress
from asl.store.peers import Peer, joined
from asl.store.reach import Lost, Walk
from asl.store.reader import Reader
from asl.store.state import State

__all__ = ["CheckResult", "Fault", "Progress", "check"]


@dataclass(frozen=True)
class CheckResult:
    """What a check found. `counts`: files, bytes, blocks, block_bytes, artifacts, segments, records, log_records, snapshots."""

    ok: bool
    faults: list[Fault]
    notes: list[Fault]
    counts: dict[str, int]
    seconds: float

    def document(self) -> dict[str, Any]:
        """As `asl-debug check --json` shows it."""
        return {
            "ok": self.ok, "faults": [each.document() for each in self.faults], "notes": [each.document() for each in self.notes],
            "counts": self.counts, "seconds": round(self.seconds, 3),
        }  # fmt: skip


def check(backend: Reads, progress: Optional[Progress] = None, peers: Sequence[Peer] = ()) -> CheckResult:
    """Check the store in BACKEND, whose snapshots may reach what the admitted PEERS have. Damage is never an exception. Raises NotFound
    where there is no store at all, Unsupported for one of a newer format, Unavailable where this process may not read, or cannot read
    a peer that is needed (PEER_UNAVAILABLE) while nothing else is wrong."""
    began, findings = time.monotonic(), Findings(progress)
    files = inventory.take(backend, findings)
    history.check_marker(backend, findings)
    past = history.read(backend, files, findings)
    segments = shelf.check(backend, files, past, findings)
    try:
        blocks.BlockCheck(backend, files, segments, findings, peers).run()
        with findings.catching(layout.LOG):
            _reachable(joined(_own(backend, past.state, segments), peers), past.state, findings)
    except Unavailable as error:
        if error.reason != "PEER_UNAVAILABLE" or not findings.faults:
            raise
        findings.note(layout.LOG, f"{error.message}; what the snapshots reach there was not looked at", error.reason)
    return CheckResult(not findings.faults, findings.faults, findings.notes, findings.counts, time.monotonic() - began)


def _own(backend: Reads, state: State, segments: shelf.Shelf) -> Reader:
    """The store with the segments that can be opened. Tombstones hide artifacts, but do not make them go away."""
    visible = {number: digest for number, digest in state.segments.items() if number in segments.opened}
    shown = State()
    shown.position, shown.segments = state.position, visible
    return Reader(backend, shown)


def _reachable(store: Reader, state: State, findings: Findings) -> None:
    """Every artifact that a snapshot reaches is in the index, or in that of an admitted peer."""
    losses = _Losses()
    walk = Walk(store, lambda _: None, losses.add)
    for at, each in enumerate(state.snapshots):
        findings.tick("snapshots", at, len(state.snapshots))
        walk.snapshot(each)
        losses.settle(each.id, findings)


@dataclass
class _Losses:
    """The losses of one snapshot: how many, and the first."""

    count: int = 0
    first: Optional[Lost] = None

    def add(self, lost: Lost) -> None:
        self.count += 1
        self.first = self.first or lost

    def settle(self, number: int, findings: Findings) -> None:
        """Make a fault of snapshot NUMBER out of them, and begin anew."""
        if self.first:
            _incomplete(number, self.count, self.first, findings)
        self.count, self.first = 0, None


def _incomplete(number: int, count: int, first: Lost, findings: Findings) -> None:
    where = f" in {first.path.decode('utf-8', 'surrogateescape')!r}" if first.path else ""
    artifact = reference_text(first.digest)
    what = f"the snapshot is not complete: {count} losses, the first: {first.what} {artifact}{where}: {first.why}"
    findings.fault(layout.snapshot(number), what, "INCOMPLETE_SNAPSHOT", [artifact])
