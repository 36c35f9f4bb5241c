# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where artifacts lie: sealed segments, mapped, looked up newest first."""

from __future__ import annotations

import hashlib
import mmap
import os
from collections.abc import Iterator
from typing import Optional, Union

from asl.backends import layout
from asl.backends.base import Reads
from asl.errors import Damaged, Unavailable
from asl.formats import segment
from asl.names import BlockID, Digest
from asl.store.state import State

# Digests are uniform, so the wanted record stands near its proportional place: within a few standard deviations, which grow
# with the square root of the number of records.
_DEVIATIONS = 3


class Segment:
    """One sealed segment, open for look-up."""

    def __init__(self, backend: Reads, segment_id: int, segment_hash: bytes) -> None:
        self.id = segment_id
        self.hash = segment_hash
        self._data: Union[bytes, mmap.mmap] = _map(backend, layout.segment(segment_id))
        self._shape = segment.layout(self._data, len(self._data))
        self.count = self._shape.record_count
        self.size = len(self._data)

    def verify(self) -> None:
        """Check the whole file against the hash in the log and all rules of the format. Raises Damaged."""
        if hashlib.sha256(self._data).digest() != self.hash:
            raise Damaged(f"segment {self.id} is not what the log sealed", reason="BAD_SEGMENT")
        segment.check(memoryview(self._data))

    def find(self, digest: bytes) -> Optional[segment.Location]:
        """The location of the artifact with DIGEST, None when it is not in this segment."""
        number = self.number(digest)
        return None if number is None else self.location(number)

    def number(self, digest: bytes) -> Optional[int]:
        """Which record of this segment, from 0 on, is that of the artifact with DIGEST; None when it is not in here."""
        data, base, size, count = self._data, self._shape.records, segment.RECORD.size, self.count
        guess = int.from_bytes(digest[:8], "big") * count >> 64
        step = 4 + int(count**0.5) * _DEVIATIONS // 2
        low, high = max(0, guess - step), min(count, guess + step)
        # A window that the digest is not inside of is widened to the end on that side: never wrong, only slower.
        if low and data[base + low * size : base + low * size + 32] > digest:
            low = 0
        if high < count and data[base + high * size : base + high * size + 32] <= digest:
            high = count
        while low < high:
            middle = (low + high) // 2
            found = data[base + middle * size : base + middle * size + 32]
            if found < digest:
                low = middle + 1
            elif found > digest:
                high = middle
            else:
                return middle
        return None

    def digest(self, number: int) -> Digest:
        """The digest in record NUMBER."""
        at = self._shape.records + number * segment.RECORD.size
        return Digest(bytes(self._data[at : at + 32]))

    def location(self, number: int) -> segment.Location:
        """The location in record NUMBER. Raises Damaged."""
        return segment.location(self._data, self._shape, number)

    def entries(self) -> Iterator[tuple[Digest, segment.Location]]:
        """All entries, in order of digest."""
        return segment.entries(self._data, self._shape)

    def blocks(self) -> list[BlockID]:
        """The blocks that entries point to."""
        return segment.blocks(self._data, self._shape)


def _map(backend: Reads, name: str) -> Union[bytes, mmap.mmap]:
    path = backend.path(name)
    if path is None:
        return backend.read(name)
    try:
        with open(path, "rb") as file:
            if os.fstat(file.fileno()).st_size == 0:
                raise Damaged(f"{name} is empty", reason="BAD_SEGMENT")
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except FileNotFoundError as error:
        raise Damaged(f"{name} is missing, but the log sealed it", reason="MISSING_SEGMENT") from error
    except OSError as error:
        raise Unavailable(f"{path}: cannot be read: {error.strerror}", reason="IO_ERROR") from error


class Index:
    """All visible segments of a state."""

    def __init__(self, backend: Reads) -> None:
        self._backend = backend
        self._segments: dict[int, Segment] = {}
        self._newest_first: list[Segment] = []

    def follow(self, state: State) -> None:
        """Open what has become visible, close what no longer is. Raises Damaged for a segment that cannot be opened."""
        self._segments = {
            number: self._segments.get(number) or Segment(self._backend, number, digest) for number, digest in state.segments.items()
        }
        self._newest_first = list(reversed(list(self._segments.values())))

    def find(self, digest: bytes) -> Optional[segment.Location]:
        """The location in the newest segment that has the artifact."""
        for each in self._newest_first:
            location = each.find(digest)
            if location is not None:
                return location
        return None

    def number(self, digest: bytes) -> Optional[tuple[Segment, int]]:
        """The newest segment that has the artifact, and the number of its record there."""
        for each in self._newest_first:
            number = each.number(digest)
            if number is not None:
                return each, number
        return None

    def segments(self) -> list[Segment]:
        """Visible segments, newest first."""
        return self._newest_first

    def blocks(self) -> set[BlockID]:
        """Every block that a visible segment names."""
        return {block for each in self._newest_first for block in each.blocks()}
