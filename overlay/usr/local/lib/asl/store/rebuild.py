# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Making log, index and checkpoints anew, from the blocks and from whatever of the old log can be read.

Every artifact can be told from its block, so the index comes from blocks alone. What a snapshot is called stands in the log; where
its anchor is lost, the receipt says it again. Everything old is kept in tmp/. The order lets a crash at any moment be followed by
another rebuild: new segments that nobody names yet; then the log, in one step; then head, checkpoints, and the old segments away.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Optional, Union

from asl import kernel
from asl.backends import layout
from asl.backends.posix import Posix
from asl.errors import AslError, Conflict
from asl.formats import artifact, block, log, receipt, records, segment
from asl.formats.artifact import TAG_MANIFEST, TAG_RECEIPT
from asl.formats.log import Record
from asl.formats.snapshot import About, Manifest
from asl.names import BlockID, Digest, parse_reference
from asl.store import adopt, recovery
from asl.store.check import chain
from asl.store.check.findings import Progress
from asl.store.state import State

# Blocks whose artifacts make one segment: about 100 MiB of memory.
BLOCKS = 256


@dataclass
class Rebuilt:
    """What a rebuild found. `damaged`: blocks that are not what their names say; `renumbered`: snapshots have other ids now;
    `receipts_passed_over`: receipts that no anchor names and that name no snapshot either, being odd, foreign or of something lost."""

    blocks: int = 0
    artifacts: int = 0
    segments: int = 0
    snapshots: int = 0
    from_receipts: int = 0
    receipts_passed_over: int = 0
    renumbered: bool = False
    damaged: list[str] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        """As `asl-debug check --rebuild --json` shows it."""
        return {"rebuilt": {**self.__dict__}}


class _Named(NamedTuple):
    """A snapshot and the number it had, or should have had."""

    number: int
    about: About


Parts = dict[bytes, list[tuple[int, int, BlockID]]]


class Rebuild:
    """One rebuild of the store in BACKEND. Use run()."""

    def __init__(self, backend: Posix, progress: Optional[Progress] = None) -> None:
        self._backend, self._progress = backend, progress
        self.result = Rebuilt()
        self._seals: list[records.Seal] = []
        self._receipts: dict[Digest, bytes] = {}
        self._manifests: dict[Digest, Manifest] = {}
        self._whole = False  # nothing of the old log is lost

    def run(self) -> Rebuilt:
        """Rebuild. Raises Unavailable where the store cannot be written."""
        with self._backend.lock():
            old_segments = list(self._backend.names("segments"))
            kept = list(self._old_records())
            self._index(old_segments)
            self._backend.barrier()
            data, checkpoints, end = self._log(kept)
            self._backend.swap(layout.LOG, data)
            self._backend.replace_head(recovery.encode_head(end))
            for name in self._backend.names("snapshots"):
                self._backend.set_aside(name)
            for number, checkpoint in checkpoints.items():
                self._backend.create(layout.snapshot(number), checkpoint)
            for name in old_segments:
                self._backend.set_aside(name)
            self._backend.barrier()
        return self.result

    def _old_records(self) -> Iterator[Record]:
        try:
            data, head = self._backend.read(layout.LOG), recovery.read_head(self._backend)
        except AslError:
            data, head = self._read_anyway(), None
        self._whole = True
        for step in chain.read(data) if len(data) >= log.HEADER.size else ():
            if isinstance(step, Record):
                yield step
                self._whole = self._whole and not (head and head.logseq == step.logseq and head != step.after)
            elif isinstance(step, chain.Gap) or head is None or step.at.logseq < head.logseq:
                self._whole = False
        self._whole = self._whole and head is not None

    def _read_anyway(self) -> bytes:
        try:
            return self._backend.read(layout.LOG)
        except AslError:
            return b""

    # The index.

    def _index(self, old: list[str]) -> None:
        entries: dict[Digest, segment.Location] = {}
        parts: Parts = {}
        names = list(self._backend.names("blocks"))
        number = max([layout.parse_number(name) or 0 for name in old], default=0)
        for at, name in enumerate(names):
            if self._progress:
                self._progress("blocks", at, len(names))
            raw = layout.parse_block(name)
            if raw is None:
                continue
            try:
                self._block(BlockID(raw), entries, parts)
                self.result.blocks += 1
            except AslError:
                self.result.damaged.append(name)
            if (at + 1) % BLOCKS == 0:
                number = self._segment(entries, number)
        entries.update(adopt.joined(self._backend, parts))
        self._segment(entries, number)

    def _block(self, block_id: BlockID, entries: dict[Digest, segment.Location], parts: Parts) -> None:
        header, plain, offsets = adopt.open_block(self._backend, block_id)
        if header.kind == block.PART:
            parts.setdefault(header.part_of, []).append((header.part_offset, len(plain), block_id))
            return
        for offset, data in block.artifacts(plain, offsets):
            digest = Digest(hashlib.sha256(data).digest())
            entries.setdefault(digest, (segment.Extent(block_id, offset, len(data)),))
            tag, start, _length = artifact.parse_header(data)
            if tag == TAG_RECEIPT:
                self._receipts[digest] = bytes(data[start:])
            elif tag == TAG_MANIFEST:
                with suppress(AslError):
                    self._manifests[digest] = Manifest.decode(bytes(data[start:]))

    def _segment(self, entries: dict[Digest, segment.Location], number: int) -> int:
        """Write a segment of ENTRIES and empty them; its number."""
        if not entries:
            return number
        data = segment.encode(entries.items(), kernel.load().filter)
        while True:
            number += 1
            try:
                self._backend.create(layout.segment(number), data)
                break
            except Conflict:
                continue
        self._seals.append(records.Seal(number, hashlib.sha256(data).digest()))
        self.result.segments += 1
        self.result.artifacts += len(entries)
        entries.clear()
        return number

    # The log.

    def _log(self, kept: list[Record]) -> tuple[bytes, dict[int, bytes], log.Position]:
        """(the new log, the checkpoints by snapshot, where the log ends)."""
        state, data, checkpoints = State(), bytearray(log.FIRST), dict[int, bytes]()
        numbers: dict[int, int] = {}  # logseq in the old log → in the new one

        def add(kind: int, payload: bytes, was: int = 0) -> None:
            raw, after = log.encode(state.position, kind, payload)
            state.replay([Record(after.logseq, kind, payload, after)])
            numbers[was] = after.logseq
            data.extend(raw)

        for seal in self._seals:
            add(records.SEGMENT_SEAL, seal.encode())
        ids: dict[int, int] = {}
        for step in self._in_order(kept):
            if isinstance(step, Record):
                payload = _moved(step, numbers, ids)
                if payload is not None:
                    add(step.kind, payload, step.logseq)
                continue
            checkpoint = state.checkpoint()
            ids[step.number] = checkpoint.snapshot
            self.result.renumbered = self.result.renumbered or step.number != checkpoint.snapshot
            checkpoints[checkpoint.snapshot] = checkpoint.encode()
            root = hashlib.sha256(checkpoint.encode()).digest()
            add(records.SNAPSHOT_ANCHOR, records.Anchor(checkpoint.snapshot, root, step.about.encode()).encode())
        self.result.snapshots = len(checkpoints)
        return bytes(data), checkpoints, state.position

    def _in_order(self, kept: list[Record]) -> Iterator[Union[Record, _Named]]:
        """The records that stay, and in their place the snapshots: those of the log, and before later ones those whose anchors are
        lost and whose receipts are there."""
        anchors: list[_Named] = []
        for record in kept:
            if record.kind == records.SNAPSHOT_ANCHOR:
                anchor = records.Anchor.decode(record.payload)
                anchors.append(_Named(anchor.snapshot_id, About.decode(anchor.about)))
        lost = [] if self._whole else self._lost({each.about.receipt for each in anchors})
        self.result.from_receipts = len(lost)
        expected = 1
        for record in kept:
            if record.kind != records.SNAPSHOT_ANCHOR:
                yield record
                continue
            named = anchors.pop(0)
            while expected < named.number and lost:
                yield _Named(expected, lost.pop(0))
                expected += 1
            yield named
            expected = named.number + 1
        for about in lost:
            yield _Named(expected, about)
            expected += 1

    def _lost(self, known: set[Digest]) -> list[About]:
        """What the receipts say that are not KNOWN, in the order in which they were written."""
        told = [self._about(digest) for digest in sorted(set(self._receipts) - known)]
        found = [about for about in told if about is not None]
        self.result.receipts_passed_over = len(told) - len(found)
        return sorted(found, key=lambda about: about.sealed)

    def _about(self, digest: Digest) -> Optional[About]:
        """What the receipt DIGEST says of its snapshot; None where it says too little, or what no anchor could say. Anybody may have
        put an artifact with the tag of a receipt: whatever is in it, it does not stop the others."""
        try:
            told = receipt.decode(self._receipts[digest])
            request, sources = told["request"], told["sources"]
            roots = [(parse_reference(each["root"]), each["size"], each["bytes_unread"]) for each in sources]
            manifest = next(
                name for name, each in self._manifests.items()
                if [(root.root, root.size, root.unread) for root in each.sources] == roots
                and each.chunking.get("average") == request["chunk_average"]
            )  # fmt: skip
            losses = sum(len(each["losses"]) + each["losses_omitted"] for each in sources)
            about = About(
                request["domain"], manifest, digest, tuple(request["sources"]), request["labels"], told["ended"],
                sum(each["size"] for each in sources), sum(each["files"] for each in sources), losses,
            )  # fmt: skip
            return About.decode(about.encode())
        except (AslError, AttributeError, KeyError, TypeError, ValueError, StopIteration):
            return None


def _moved(record: Record, numbers: Mapping[int, int], ids: Mapping[int, int]) -> Optional[bytes]:
    """The payload that RECORD has in the new log; None where it has no place there."""
    if record.kind in (records.SEGMENT_SEAL, records.SEGMENT_DROP):
        return None
    if record.kind == records.TOMBSTONE_LIFT:
        stone = records.Tombstone.decode(record.payload, lift=True)
        lifts = numbers.get(stone.lifts)
        return stone._replace(lifts=lifts).encode() if lifts else None
    if record.kind in (records.SNAPSHOT_PIN, records.SNAPSHOT_UNPIN):
        number = records.decode_number(record.payload)
        return records.encode_number(ids.get(number, number))
    return record.payload


def rebuild(backend: Posix, progress: Optional[Progress] = None) -> Rebuilt:
    """Rebuild the store in BACKEND, to which nobody may be writing. Raises Unavailable."""
    return Rebuild(backend, progress).run()
