# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Blocks: every byte read once, every artifact's digest computed and held against the index.

What an index says of a block is confirmed from the side of the block: an artifact that lies where a record says marks that
record. Records that stay unmarked (several extents, damage, a wrong index) are then looked at one by one. So no list of what
should lie in which block is ever held, and memory does not grow with the store.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Optional

from asl.backends import layout
from asl.backends.base import Reads
from asl.errors import AslError, Damaged, NotFound
from asl.formats import block, segment
from asl.names import BlockID, Digest, reference_text
from asl.store import frames
from asl.store.check.findings import Findings
from asl.store.check.inventory import Inventory
from asl.store.check.shelf import Shelf
from asl.store.index import Segment
from asl.store.marks import Marks
from asl.store.peers import Peer

# No block is larger than this: 64 MiB of content (the largest block.size) or one artifact, and its tables.
LARGEST = 96 * 1024 * 1024
_PIECE = 4 * 1024 * 1024
# So many artifacts of one damaged block are named; the rest is counted.
NAMED = 1000


class _Hit:
    """The artifacts that a damaged or missing block takes with it."""

    def __init__(self, what: str, reason: str) -> None:
        self.what, self.reason = what, reason
        self.count = 0
        self.first: dict[Digest, None] = {}

    def add(self, digest: Digest) -> None:
        """One more."""
        if digest in self.first:
            return
        self.count += 1
        if len(self.first) < NAMED:
            self.first[digest] = None


class BlockCheck:
    """The walk over all blocks. Use run()."""

    def __init__(self, backend: Reads, inventory: Inventory, shelf: Shelf, findings: Findings, peers: Sequence[Peer] = ()) -> None:
        self._backend, self._inventory, self._shelf, self._findings = backend, inventory, shelf, findings
        self._peers = peers
        self._holders: dict[BlockID, Reads] = {}  # of the blocks that only a peer has
        self._by_block = shelf.by_block()
        self._named = shelf.named()
        self._marks = Marks()
        self._bad: dict[BlockID, _Hit] = {}

    def run(self) -> None:
        """Read every block, then settle what the index says beyond it."""
        total, done = sum(self._inventory.blocks.values()), 0
        self._findings.counts["artifacts"] = 0
        for block_id in sorted({*self._inventory.blocks, *self._by_block}):
            self._block(block_id)
            done += self._inventory.blocks.get(block_id, 0)
            self._findings.tick("blocks", done, total)
        for each in self._shelf.good:
            for number in self._marks.clear(each):
                self._record(each, number)
        for block_id, hit in sorted(self._bad.items()):
            self._report(block_id, hit)

    def _block(self, block_id: BlockID) -> None:
        name = layout.block(block_id)
        try:
            self._read(block_id, self._backend)
        except NotFound:
            self._missing(block_id)
        except AslError as error:
            if error.reason == "PERMISSION":
                raise
            self._bad[block_id] = _Hit(error.message, error.reason)
        else:
            if block_id not in self._named:
                what = "no segment names it; the next writer takes in what lies in it"
                self._findings.note(name, what, "UNREFERENCED")

    def _missing(self, block_id: BlockID) -> None:
        """A block that is not here: an admitted peer that has it, whole, makes up for it."""
        what = "the block is missing"
        for peer in self._peers:
            try:
                reader = peer.reader()
                if reader is None:
                    continue
                self._read(block_id, reader.backend)
            except NotFound:
                continue
            except AslError as error:
                what += f"; peer {peer.name}: {error.message}"
            else:
                self._holders[block_id] = reader.backend
                self._findings.note(layout.block(block_id), f"the block is not here; the peer {peer.name} has it, whole", "HELD_BY_PEER")
                return
        self._bad[block_id] = _Hit(what, "MISSING_BLOCK")

    def _read(self, block_id: BlockID, backend: Reads) -> None:
        size = backend.size(layout.block(block_id))
        if size > LARGEST:
            raise Damaged(f"it has {size} bytes, more than any block", reason="DAMAGED_BLOCK")
        data = backend.read(layout.block(block_id))
        good = hashlib.sha256(data).digest() == block_id
        problem: Optional[AslError] = None
        try:
            self._content(block_id, data)
        except AslError as error:
            problem = error
        if not good:
            detail = f" ({problem.message})" if problem else ""
            raise Damaged(f"it is not what its name says: its bytes have another SHA-256{detail}", reason="DAMAGED_BLOCK")
        if problem:
            raise problem

    def _content(self, block_id: BlockID, data: bytes) -> None:
        """Compute the digest of every artifact in DATA and mark the records that it confirms."""
        header, plain, offsets = block.open_plain(data, frames.decompress)
        if header.kind == block.PART:
            if offsets:
                raise Damaged("a part of a large artifact with a table of contents", reason="BAD_BLOCK")
            return
        by_block = self._by_block.get(block_id, ())
        for offset, encoded in block.artifacts(plain, offsets):
            digest = hashlib.sha256(encoded).digest()
            self._findings.counts["artifacts"] += 1
            place = (segment.Extent(block_id, offset, len(encoded)),)
            for each in by_block:
                number = each.number(digest)
                if number is not None and tuple(each.location(number)) == place:
                    self._marks.add(each, number)

    def _record(self, where: Segment, number: int) -> None:
        """Look at one record that no block confirmed."""
        digest, location = where.digest(number), where.location(number)
        hasher, length = hashlib.sha256(), 0
        for extent in location:
            length += extent.length
            try:
                if not self._absent(extent.block):
                    self._feed(hasher, extent)
            except AslError as error:
                self._bad.setdefault(extent.block, _Hit(error.message, error.reason))
        if hasher.digest() == digest:
            if len(location) > 1:
                self._findings.counts["artifacts"] += 1
            return
        hit = {extent.block for extent in location} & set(self._bad)
        for block_id in hit:
            self._bad[block_id].add(digest)
        if not hit:
            where_not = f"block {location[0].block.hex()} at {location[0].offset}"
            what = f"artifact {reference_text(digest)} is not where record {number} says: {where_not}"
            self._findings.fault(layout.segment(where.id), what, "BAD_INDEX", [reference_text(digest)])

    def _absent(self, block_id: BlockID) -> bool:
        return block_id in self._bad and self._bad[block_id].reason == "MISSING_BLOCK"

    def _feed(self, hasher: hashlib._Hash, extent: segment.Extent) -> None:
        holder = self._holders.get(extent.block, self._backend)
        at, left = block.HEADER.size + extent.offset, extent.length
        while left:
            piece = holder.read(layout.block(extent.block), at, min(left, _PIECE))
            if not piece:
                return  # the block ends before the artifact: the digest will tell
            hasher.update(piece)
            at, left = at + len(piece), left - len(piece)

    def _report(self, block_id: BlockID, hit: _Hit) -> None:
        what = hit.what
        named = block_id in self._named
        if hit.count:
            some = ", ".join(reference_text(digest) for digest in list(hit.first)[:3])
            what += f"; {hit.count} artifacts are hit: {some}{' …' if hit.count > 3 else ''}"
        elif named:
            what += "; the artifacts in it are whole"
        else:
            what += "; no segment names it"
        self._findings.fault(layout.block(block_id), what, hit.reason, [reference_text(digest) for digest in hit.first])
