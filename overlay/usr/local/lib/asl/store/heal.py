# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Healing: blocks that are damaged or lost are made whole from another store.

Where the other store has the very same block, it is taken as it is: its name is its SHA-256. Else the artifacts of the block are taken
one by one, by their digests, into new blocks, and the index is made to lead there. Every byte is checked before it is stored. The
damaged files are kept in tmp/.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Optional

from asl.backends import layout
from asl.errors import AslError, Conflict, Damaged, NotFound, Unsupported
from asl.formats.artifact import Artifact
from asl.names import BlockID, Digest, reference_text
from asl.store.merge import Merger
from asl.store.reach import Chunk, Lost, Walk
from asl.store.reader import Reader
from asl.store.snapshots import listing
from asl.store.writer import Writer

Progress = Callable[[str, int, int], None]
# Losses that are listed; the others are counted.
LISTED = 10_000


@dataclass
class Healed:
    """What was damaged (`blocks`), what was taken whole, artifact by artifact, and what is lost for good, by the files it hits."""

    blocks: int = 0
    blocks_healed: int = 0
    artifacts_healed: int = 0
    artifacts_lost: int = 0
    lost: list[dict[str, Any]] = field(default_factory=list)
    lost_omitted: int = 0

    def document(self) -> dict[str, Any]:
        """As `asl-admin heal --json` shows it."""
        return {"ok": not self.artifacts_lost, **self.__dict__}


class Heal:
    """One healing of the store that WRITER adds to, from OTHER. Use run()."""

    def __init__(self, writer: Writer, other: Reader, progress: Optional[Progress] = None) -> None:
        self._writer, self._other, self._progress = writer, other, progress
        self._lost: set[Digest] = set()
        self.result = Healed()

    def run(self) -> Healed:
        """Heal. Raises Unavailable where one of the stores cannot be reached."""
        bad = [block_id for block_id in self._bad() if not self._whole(block_id)]
        if bad:
            self._singly(set(bad))
            self._files()
        return self.result

    def _bad(self) -> Iterator[BlockID]:
        """The blocks of the index that are not what their names say."""
        named = sorted(self._writer.index.blocks())
        for at, block_id in enumerate(named):
            if self._progress:
                self._progress("blocks", at, len(named))
            if not _sound(self._writer, block_id):
                self.result.blocks += 1
                yield block_id

    def _whole(self, block_id: BlockID) -> bool:
        """Take the block as the other store has it; False where it does not."""
        name, backend = layout.block(block_id), self._writer.backend
        try:
            data = self._other.backend.read(name)
        except NotFound:
            return False
        if hashlib.sha256(data).digest() != block_id:
            return False
        self._set_aside(block_id)
        try:
            backend.create(name, data)
        except Conflict:
            backend.ensure(name)
        backend.barrier()
        self.result.blocks_healed += 1
        return True

    def _set_aside(self, block_id: BlockID) -> None:
        name = layout.block(block_id)
        try:
            self._writer.backend.size(name)
        except NotFound:
            return
        self._writer.backend.set_aside(name)

    def _singly(self, bad: set[BlockID]) -> None:
        """Take the artifacts that lay in BAD one by one, and make the index lead to where they are now."""
        moved, still = 0, set[BlockID]()
        for digest in sorted(self._hit(bad)):
            found = self._whole_one(digest)
            if found is None:
                self._lost.add(digest)
                still.update(extent.block for extent in self._writer.index.find(digest) or ())
                continue
            self._writer.add(digest, found.payload, found.type_tag, again=True)
            moved += 1
        self.result.artifacts_healed, self.result.artifacts_lost = moved, len(self._lost)
        if moved:
            self._writer.commit()
            self._reindex()
        for block_id in bad - still:
            if not _sound(self._writer, block_id):  # it may have been made anew, from the very same artifacts
                self._set_aside(block_id)

    def _hit(self, bad: set[BlockID]) -> set[Digest]:
        """The artifacts for which a look-up leads into BAD."""
        found: set[Digest] = set()
        for each in self._writer.index.segments():
            if not bad.isdisjoint(each.blocks()):
                found.update(digest for digest, location in each.entries() if any(extent.block in bad for extent in location))
        return {digest for digest in found if any(extent.block in bad for extent in self._writer.index.find(digest) or ())}

    def _whole_one(self, digest: Digest) -> Optional[Artifact]:
        """The artifact from the other store, or from its own block, where it may be whole although the block is not."""
        for store in (self._other, self._writer):
            with contextlib.suppress(NotFound, Damaged, Unsupported):
                return store.get(digest)
        return None

    def _reindex(self) -> None:
        """One segment in the place of all: nothing leads to where an artifact was lost."""
        old = self._writer.index.segments()
        self._writer.replace_segments([each.id for each in reversed(old)], Merger(old).pieces)

    def _files(self) -> None:
        """List what is lost by the files that it hits."""
        if not self._lost:
            return
        walk = Walk(self._writer, self._chunk, self._list)
        for each in listing(self._writer):
            walk.snapshot(each.snapshot)

    def _chunk(self, chunk: Chunk) -> None:
        if chunk.digest in self._lost:
            raise Damaged(f"{reference_text(chunk.digest)} is in neither store", reason="LOST")

    def _list(self, lost: Lost) -> None:
        if len(self.result.lost) >= LISTED:
            self.result.lost_omitted += 1
            return
        entry = {
            "snapshot": str(lost.snapshot), "source": lost.source, "path": lost.path, "what": lost.what,
            "reference": reference_text(lost.digest), "why": lost.why,
        }  # fmt: skip
        self.result.lost.append({**entry, "offset": lost.offset, "length": lost.length} if lost.length else entry)


def _sound(store: Reader, block_id: BlockID) -> bool:
    """True when the block is there and its bytes are those of its name."""
    try:
        return hashlib.sha256(store.backend.read(layout.block(block_id))).digest() == block_id
    except AslError as error:
        if error.reason == "PERMISSION":
            raise
        return False


def heal(writer: Writer, other: Reader, progress: Optional[Progress] = None) -> Healed:
    """Heal the store that WRITER adds to with what OTHER has."""
    return Heal(writer, other, progress).run()
