# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""CURRENT: what a log says is visible. Pure: records in, state out.

CURRENT = checkpoint + replay(log)          (ASL/STORE-INDEX: Index(S, L) = Snapshot[S] + replay(log[0:L]))
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple, Optional

from asl.errors import Damaged
from asl.formats import log, records
from asl.formats.log import Position, Record
from asl.formats.snapshot import About, Checkpoint


class Snapshot(NamedTuple):
    """A snapshot as its anchor shows it. `logseq` is the anchor's own (the snapshot's log position), `link` its record_hash."""

    id: int
    logseq: int
    root: bytes
    about: About
    link: bytes = b""


def find_equal(snapshots: Sequence[Snapshot], about: About) -> Optional[Snapshot]:
    """The newest of SNAPSHOTS with the content, domain, sources and labels of ABOUT; None when there is none."""
    wanted = (about.manifest, about.domain, about.sources, dict(about.labels))
    for each in reversed(snapshots):
        if (each.about.manifest, each.about.domain, each.about.sources, dict(each.about.labels)) == wanted:
            return each
    return None


class State:
    """The state behind `position`. Segments are in the order of their seals; the newest is last."""

    def __init__(self) -> None:
        self.position: Position = log.START
        self.segments: dict[int, bytes] = {}
        self.tombstones: dict[tuple[int, bytes], int] = {}
        self.pins: set[int] = set()
        self.snapshots: list[Snapshot] = []
        self.last_snapshot = 0

    __hash__ = None  # type: ignore[assignment]  # it changes

    def __eq__(self, other: object) -> bool:
        return isinstance(other, State) and vars(self) == vars(other)

    @classmethod
    def of(cls, checkpoint: Checkpoint) -> State:
        """The state that CHECKPOINT holds. Snapshots before it are not in it."""
        state = cls()
        state.position, state.segments, state.pins = checkpoint.position, dict(checkpoint.segments), set(checkpoint.pins)
        state.tombstones = {(domain, digest): logseq for domain, digest, logseq in checkpoint.tombstones}
        state.last_snapshot = checkpoint.snapshot - 1
        return state

    def checkpoint(self) -> Checkpoint:
        """The checkpoint of the snapshot that would be sealed next."""
        stones = tuple(sorted((domain, digest, logseq) for (domain, digest), logseq in self.tombstones.items()))
        return Checkpoint(self.last_snapshot + 1, self.position, tuple(self.segments.items()), stones, tuple(sorted(self.pins)))

    def replay(self, entries: Iterable[Record]) -> State:
        """Apply ENTRIES in order and return self. Raises Damaged for a record that contradicts the state."""
        handlers = _HANDLERS.get
        for record in entries:
            handler = handlers(record[1])  # its kind
            if handler:  # an unknown kind is skipped; the chain covers it
                handler(self, record)
            self.position = record[3]  # behind it
        return self

    def hidden(self, digest: bytes, domain_id: int = 0) -> bool:
        """True when a tombstone of this domain hides the artifact."""
        return (domain_id, digest) in self.tombstones


def _seal(state: State, record: Record) -> None:
    segment_id, segment_hash = records.decode_seal(record.payload)
    if segment_id in state.segments:
        raise Damaged(f"log record {record.logseq} seals segment {segment_id} a second time", reason="BAD_LOG")
    state.segments[segment_id] = segment_hash


def _drop(state: State, record: Record) -> None:
    for segment_id in records.decode_drop(record.payload):
        if state.segments.pop(segment_id, None) is None:
            raise Damaged(f"log record {record.logseq} drops segment {segment_id}, which is not visible", reason="BAD_LOG")


def _tombstone(state: State, record: Record) -> None:
    stone = records.Tombstone.decode(record.payload, lift=False)
    state.tombstones[(stone.domain_id, stone.digest)] = record.logseq


def _lift(state: State, record: Record) -> None:
    stone = records.Tombstone.decode(record.payload, lift=True)
    if state.tombstones.get((stone.domain_id, stone.digest)) == stone.lifts:
        del state.tombstones[(stone.domain_id, stone.digest)]


def _anchor(state: State, record: Record) -> None:
    # That the root is the digest of checkpoint() is checked where the checkpoint is used, and by store.check for all.
    logseq, _kind, payload, after = record
    snapshot_id, root = records.anchored(payload)
    if snapshot_id != state.last_snapshot + 1:
        raise Damaged(f"log record {logseq} anchors snapshot {snapshot_id} after {state.last_snapshot}", reason="BAD_LOG")
    state.last_snapshot = snapshot_id
    found = (snapshot_id, logseq, root, About.decode(payload[records.ABOUT :]), after[1])
    state.snapshots.append(tuple.__new__(Snapshot, found))  # as Snapshot(*found), in half of the time


def _pin(state: State, record: Record) -> None:
    state.pins.add(records.decode_number(record.payload))


def _unpin(state: State, record: Record) -> None:
    state.pins.discard(records.decode_number(record.payload))


_HANDLERS = {
    records.SEGMENT_SEAL: _seal,
    records.SEGMENT_DROP: _drop,
    records.TOMBSTONE: _tombstone,
    records.TOMBSTONE_LIFT: _lift,
    records.SNAPSHOT_ANCHOR: _anchor,
    records.SNAPSHOT_PIN: _pin,
    records.SNAPSHOT_UNPIN: _unpin,
}
