# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which artifacts were met: one bit for each record of the segments.

A walk over millions of artifacts has to know what it has seen. A digest has one place in the index, so one bit a record says
it exactly, in 1/350 of the memory that the index takes on disk.
"""

from __future__ import annotations

from collections.abc import Iterator

from asl.store.index import Index, Segment


class Marks:
    """Bits for the records of segments, all clear at first."""

    def __init__(self) -> None:
        # By the hash of the segment: two stores that are read as one (store.peers) number their segments each for itself.
        self._bits: dict[bytes, bytearray] = {}
        self.segments: list[Segment] = []
        """Those with a mark."""

    def add(self, segment: Segment, number: int) -> bool:
        """Mark record NUMBER of SEGMENT; True when it was not marked."""
        bits = self._bits.get(segment.hash)
        if bits is None:
            bits = self._bits[segment.hash] = bytearray(-(-segment.count // 8))
            self.segments.append(segment)
        bit = 1 << (number & 7)
        if bits[number >> 3] & bit:
            return False
        bits[number >> 3] |= bit
        return True

    def has(self, segment: Segment, number: int) -> bool:
        """True when record NUMBER of SEGMENT is marked."""
        bits = self._bits.get(segment.hash)
        return bits is not None and bool(bits[number >> 3] & 1 << (number & 7))

    def meet(self, index: Index, digest: bytes) -> bool:
        """Mark the artifact with DIGEST where a look-up finds it; False when it was marked. True also when it is nowhere."""
        found = index.number(digest)
        return found is None or self.add(*found)

    def clear(self, segment: Segment) -> Iterator[int]:
        """The records of SEGMENT that are not marked, in order."""
        bits = self._bits.get(segment.hash) or bytes(-(-segment.count // 8))
        for at, byte in enumerate(bits):
            if byte != 0xFF:
                for number in range(at * 8, min(at * 8 + 8, segment.count)):
                    if not byte & 1 << (number & 7):
                        yield number

    def marked(self, segment: Segment) -> Iterator[int]:
        """The records of SEGMENT that are marked, in order."""
        for at, byte in enumerate(self._bits.get(segment.hash) or b""):
            if byte:
                for number in range(at * 8, min(at * 8 + 8, segment.count)):
                    if byte & 1 << (number & 7):
                        yield number
