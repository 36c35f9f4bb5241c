# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Marker, head, log and snapshot files, held against each other.

The log is replayed from its first record, and at every anchor the checkpoint is made anew. Behind damage in the log the state is
taken from the next snapshot file that its anchor vouches for, so that one flipped bit is one fault and not a hundred.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Optional

from asl.backends import layout
from asl.backends.base import Reads
from asl.errors import AslError, Damaged, NotFound, Unsupported
from asl.formats import log, records
from asl.formats.log import Position, Record
from asl.formats.snapshot import Checkpoint
from asl.store import marker, recovery
from asl.store.check import chain
from asl.store.check.findings import Findings
from asl.store.check.inventory import Inventory
from asl.store.state import State


@dataclass
class History:
    """What the log says: the state at its end, every segment that was ever sealed, and those that a checkpoint needs."""

    state: State = field(default_factory=State)
    sealed: dict[int, bytes] = field(default_factory=dict)
    needed: set[int] = field(default_factory=set)
    broken: bool = False
    positions: list[Position] = field(default_factory=lambda: [log.START])


def check_marker(backend: Reads, findings: Findings) -> None:
    """The marker's bytes. Raises Unsupported for the whole marker of a newer store."""
    try:
        marker.check(backend)
    except NotFound:
        findings.fault(layout.MARKER, "the marker of the store is missing", "MISSING_MARKER")
    except Unsupported as error:
        if marker.undamaged(backend.read(layout.MARKER)):
            raise
        findings.fault(layout.MARKER, f"damaged, or of a newer format: {error.message}", error.reason)
    except Damaged as error:
        findings.fault(layout.MARKER, error.message, error.reason)


def read(backend: Reads, inventory: Inventory, findings: Findings) -> History:
    """Check head, log and snapshot files."""
    head = _read_head(backend, findings)  # before the log: the log never ends before the head
    data = b""
    with findings.catching(layout.LOG):
        data = backend.read(layout.LOG)
    with findings.catching(layout.LOG):
        log.check_header(data[: log.HEADER.size])
    history = _Replay(backend, findings).run(data, head)
    _hold_head(head, history, findings)
    last = history.state.last_snapshot
    for number in inventory.snapshots:
        if number > last or number < 1:
            name = layout.snapshot(number)
            if history.broken:
                findings.note(name, "the log, as far as it can be read, has no anchor for it", "NO_ANCHOR")
            else:
                findings.fault(name, "the log has no anchor for it", "NO_ANCHOR")
    findings.counts.update(log_records=history.state.position.logseq, snapshots=len(history.state.snapshots))
    return history


def _read_head(backend: Reads, findings: Findings) -> Optional[bytes]:
    try:
        return backend.read(layout.HEAD)
    except NotFound:
        findings.fault(layout.HEAD, "the last acknowledged position is missing", "MISSING_HEAD")
    except AslError as error:
        with findings.catching(layout.HEAD):
            raise error
    return None


def _position(head: Optional[bytes]) -> Optional[Position]:
    """The position in HEAD, None when it makes no sense."""
    try:
        return recovery.decode_head(head) if head is not None else None
    except AslError:
        return None


def _hold_head(head: Optional[bytes], history: History, findings: Findings) -> None:
    """The head's bytes have to be those for a record of the log."""
    if head is None:
        return
    said = _position(head)
    if said is None:
        findings.fault(layout.HEAD, "it makes no sense", "BAD_HEAD")
    elif said in history.positions:
        if head != recovery.encode_head(said):
            findings.fault(layout.HEAD, "it is not in its canonical form", "BAD_HEAD")
    elif any(sum(one == other for one, other in zip(said, each)) > 1 for each in history.positions):
        findings.fault(layout.HEAD, f"it does not fit to log record {said.logseq}", "BAD_HEAD")
    elif not history.broken:
        last = history.state.position
        what = f"it ends at record {last.logseq}, byte {last.offset}, but record {said.logseq} was acknowledged (meta/head)"
        findings.fault(layout.LOG, what, "LOG_CUT_SHORT")
        history.broken = True


class _Replay:
    """Follows a log and checks what it passes."""

    def __init__(self, backend: Reads, findings: Findings) -> None:
        self._backend, self._findings = backend, findings
        self._history = History()
        self._last_missing: Optional[int] = None

    def run(self, data: bytes, head: Optional[bytes]) -> History:
        """Replay the log DATA."""
        history = self._history
        for step in chain.read(data):
            if isinstance(step, Record):
                self._record(step)
                history.positions.append(step.after)
                self._findings.tick("log", step.after.offset, len(data))
            elif isinstance(step, chain.Gap):
                area = f"bytes {step.at.offset} to {step.after.offset - 1}"
                what = f"record {step.at.logseq + 1}, {area}, is damaged: the chain does not hold"
                self._findings.fault(layout.LOG, what, "BAD_LOG")
                history.broken = True
                history.positions.append(step.after)
                history.state.position = step.after
            else:
                self._tail(step, _position(head))
        if self._last_missing is not None:
            what = "not there yet: its writer did not come to it, the next one makes it"
            self._findings.note(layout.snapshot(self._last_missing), what, "MISSING_SNAPSHOT")
        return history

    def _tail(self, tail: chain.Tail, head: Optional[Position]) -> None:
        where = f"{tail.size} bytes from byte {tail.at.offset} on, behind record {tail.at.logseq},"
        if head is not None and head.offset > tail.at.offset and head.logseq > tail.at.logseq:
            self._findings.fault(layout.LOG, f"{where} are damaged or cut short, and were acknowledged", "BAD_LOG")
            self._history.broken = True
        elif tail.plausible or head in self._history.positions:
            # The head is whole and lies before it: nothing of it was ever acknowledged, and the next writer cuts it off whatever it is.
            what = f"{where} are no whole record and were never acknowledged: a writer is at work or was killed; the next one cuts them off"
            self._findings.note(layout.LOG, what, "TORN_TAIL")
        else:
            self._findings.fault(layout.LOG, f"{where} are damaged: they are no unfinished record", "BAD_LOG")
            self._history.broken = True

    def _record(self, record: Record) -> None:
        history = self._history
        history.state.position = Position(record.logseq - 1, history.positions[-1].link, history.positions[-1].offset)
        try:
            if record.kind == records.SEGMENT_SEAL:
                seal = records.Seal.decode(record.payload)
                history.sealed[seal.segment_id] = seal.segment_hash
            elif record.kind == records.SNAPSHOT_ANCHOR:
                self._anchor(record)
            history.state.replay([record])
        except AslError as error:
            if not history.broken:  # behind a gap, records may speak of what was lost in it
                self._findings.fault(layout.LOG, f"record {record.logseq}: {error.message}", error.reason)
        history.state.position = record.after

    def _anchor(self, record: Record) -> None:
        """Recompute the checkpoint before the anchor and compare it with the anchor's root and with the snapshot file."""
        anchor = records.Anchor.decode(record.payload)
        state = self._history.state
        if self._history.broken:
            state.last_snapshot = anchor.snapshot_id - 1
        expected = state.checkpoint()
        actual = self._file(anchor.snapshot_id)
        if hashlib.sha256(expected.encode()).digest() == anchor.root:
            self._history.needed.update(state.segments)
        elif self._history.broken:
            self._rebase(actual, anchor.root)
        else:
            what = f"record {record.logseq}: the root of snapshot {anchor.snapshot_id} is not that of the state before it"
            self._findings.fault(layout.LOG, what, "BAD_ANCHOR")
        if actual is not None and hashlib.sha256(actual).digest() != anchor.root:
            self._findings.fault(layout.snapshot(anchor.snapshot_id), "it is not the checkpoint that the log anchored", "BAD_SNAPSHOT")

    def _file(self, number: int) -> Optional[bytes]:
        if self._last_missing is not None:  # not the newest one after all
            self._findings.fault(layout.snapshot(self._last_missing), "the snapshot file is missing", "MISSING_SNAPSHOT")
            self._last_missing = None
        try:
            return self._backend.read(layout.snapshot(number))
        except NotFound:
            self._last_missing = number
        except AslError as error:
            with self._findings.catching(layout.snapshot(number)):
                raise error
        return None

    def _rebase(self, actual: Optional[bytes], root: bytes) -> None:
        """Behind damage: go on from the state in the snapshot file, when the anchor vouches for it."""
        if actual is None or hashlib.sha256(actual).digest() != root:
            return
        snapshots = self._history.state.snapshots
        try:
            self._history.state = State.of(Checkpoint.decode(actual))
        except AslError:
            return
        self._history.state.snapshots = snapshots
        self._history.sealed.update(self._history.state.segments)
        self._history.needed.update(self._history.state.segments)
