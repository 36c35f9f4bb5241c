# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Merging: many segments into one, so that a look-up stays short. The old files stay until no snapshot needs them.

Nothing is held but one stretch of records and the list of blocks, whatever the number of records: the inputs are gone through three
times, for the counts in the header, for the filter, and for the records.
"""

from __future__ import annotations

import struct
import zlib
from array import array
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from asl import kernel
from asl.errors import Damaged
from asl.formats import segment
from asl.kernel import Input
from asl.names import BlockID
from asl.store.index import Segment

if TYPE_CHECKING:
    from asl.store.writer import Writer

# Merge when more segments than this are visible.
MANY_SEGMENTS = 24
# A segment joins a merge when it is not more than so many times as large as all the smaller ones together: each record is then
# written again a few times at most (the logarithm of the number of commits), never at every merge.
GROWTH = 4
# Records gone through at a time: some MiB.
STRETCH = 65_536
_BLOCK = 64  # bytes of a block of the filter


def merge_segments(writer: Writer) -> bool:
    """Merge the smaller segments of the store when there are many. True when it was done. Raises Damaged, Unavailable."""
    chosen = choose(writer.index.segments())
    if chosen:
        writer.replace_segments([each.id for each in reversed(chosen)], Merger(chosen).pieces)
    return bool(chosen)


def choose(newest_first: Sequence[Segment]) -> list[Segment]:
    """The segments to be merged, newest first; none while there are not many."""
    if len(newest_first) <= MANY_SEGMENTS:
        return []
    ascending = sorted(newest_first, key=lambda each: each.count)
    taken, records = 0, 0
    for each in ascending:
        if taken > len(ascending) // 2 and each.count > GROWTH * records:
            break
        taken, records = taken + 1, records + each.count
    picked = {each.id for each in ascending[:taken]}
    return [each for each in newest_first if each.id in picked]


class Merger:
    """One merge. Newest first: where two segments hold an artifact, the entry is kept that a look-up would have found."""

    def __init__(self, newest_first: Sequence[Segment]) -> None:
        self._segments = newest_first
        self._numbers: dict[BlockID, int] = {}
        inputs = [Input(each.mapped, array("I", [self._number(block) for block in each.blocks()])) for each in newest_first]
        self._merge = kernel.load().merge(inputs, len(self._numbers))
        self._extents = bytearray()

    def _number(self, block: BlockID) -> int:
        return self._numbers.setdefault(block, len(self._numbers))

    def pieces(self) -> Iterator[bytes]:
        """The bytes of the merged segment, in order. Raises Damaged."""
        crc = 0
        for piece in self._areas():
            crc = zlib.crc32(piece, crc)
            yield piece
        footer = segment.FOOTER.pack(segment.MAGIC, 0, 0, 0)[:-4]
        yield footer + struct.pack("<I", zlib.crc32(footer, crc))

    def _areas(self) -> Iterator[bytes]:
        count = sum(len(stretch) for stretch in self._stretches()) // segment.RECORD.size
        used, filtered = len(self._merge.used()), segment.filter_size(count)
        yield segment.encode_header(count, used, len(self._extents) // segment.EXTENT.size, filtered)
        if filtered:
            yield from self._filter(filtered // _BLOCK)
        yield from self._stretches()
        names = list(self._numbers)
        yield b"".join(names[number] for number in self._merge.used())
        yield bytes(self._extents)

    def _stretches(self) -> Iterator[bytes]:
        """All records, from the beginning."""
        self._merge.rewind()
        self._extents.clear()
        while True:
            try:
                stretch = self._merge.take(STRETCH)
            except ValueError as error:
                raise Damaged(f"a segment cannot be merged: {error}", reason="BAD_SEGMENT", hint="asl-debug check tells which") from error
            if stretch:
                yield stretch
            if len(stretch) < STRETCH * segment.RECORD.size:
                odd = self._merge.odd()
                if odd is None:
                    return
                yield self._many(self._segments[odd[0]], odd[1])

    def _many(self, where: Segment, number: int) -> bytes:
        """The record of an artifact in several extents."""
        first, location = len(self._extents) // segment.EXTENT.size, where.location(number)
        for extent in location:
            self._extents += segment.EXTENT.pack(self._merge.ordinal(self._number(extent.block)), extent.offset, extent.length)
        return segment.RECORD.pack(where.digest(number), segment.MANY, first, len(location))

    def _filter(self, blocks: int) -> Iterator[bytes]:
        """The filter, block after block, as the records come in order; the last block of a stretch may be the first of the next."""
        last, pending = -1, b""
        for stretch in self._stretches():
            first, end = (int.from_bytes(stretch[at : at + 8], "big") * blocks >> 64 for at in (0, len(stretch) - segment.RECORD.size))
            made = kernel.load().filter_stretch(stretch, blocks, first, (end - first + 1) * _BLOCK)
            if first == last:
                both = int.from_bytes(pending, "big") | int.from_bytes(made[:_BLOCK], "big")
                made = both.to_bytes(_BLOCK, "big") + made[_BLOCK:]
            else:
                yield pending + bytes((first - last - 1) * _BLOCK)
            yield made[:-_BLOCK]
            last, pending = end, made[-_BLOCK:]
        yield pending + bytes((blocks - last - 1) * _BLOCK)
