# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where artifacts lie: sealed segments, mapped, looked up newest first."""

from __future__ import annotations

import hashlib
import mmap
import os
from collections.abc import Iterator
from functools import cached_property
from typing import Optional, Union

from asl import kernel
from asl.backends import layout
from asl.backends.base import Reads, Sealed
from asl.errors import Damaged, Unavailable
from asl.formats import segment
from asl.kernel import Mapped, Table
from asl.names import BlockID, Digest
from asl.store.state import State


class Segment:
    """One sealed segment, open for look-up."""

    def __init__(self, backend: Reads, segment_id: int, segment_hash: bytes) -> None:
        self.id = segment_id
        self.hash = segment_hash
        self._data: Union[bytes, mmap.mmap] = _map(backend, layout.segment(segment_id), segment_hash)
        self._shape = segment.layout(self._data, len(self._data))
        self.count = self._shape.record_count
        self.size = len(self._data)
        shape = self._shape
        self.mapped = Mapped(self._data, shape.records, shape.record_count, shape.filter, shape.filter_size)

    @cached_property
    def _alone(self) -> Table:
        return kernel.load().table([self.mapped])

    def verify(self) -> None:
        """Check the whole file against the hash in the log and all rules of the format. Raises Damaged."""
        if hashlib.sha256(self._data).digest() != self.hash:
            raise Damaged(f"segment {self.id} is not what the log sealed", reason="BAD_SEGMENT")
        with memoryview(self._data) as view:
            segment.check(view)
            shape = self._shape
            if shape.filter_size:
                records = view[shape.records : shape.records + shape.record_count * segment.RECORD.size]
                made = kernel.load().filter(records, shape.filter_size)
                records.release()
                if made != self._data[shape.filter : shape.filter + shape.filter_size]:
                    raise Damaged(f"segment {self.id} has a filter that does not fit to its records", reason="BAD_SEGMENT")

    def find(self, digest: bytes) -> Optional[segment.Location]:
        """The location of the artifact with DIGEST, None when it is not in this segment."""
        number = self.number(digest)
        return None if number is None else self.location(number)

    def number(self, digest: bytes) -> Optional[int]:
        """Which record of this segment, from 0 on, is that of the artifact with DIGEST; None when it is not in here."""
        found = self._alone.find(digest)
        return None if found is None else found[1]

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


def _map(backend: Reads, name: str, digest: bytes) -> Union[bytes, mmap.mmap]:
    path = backend.path(name)
    if path is None:
        return backend.sealed(name, digest) if isinstance(backend, Sealed) else backend.read(name)
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
        # Replaced as a whole, so that readers in other threads see segments and table that belong together.
        self._view: tuple[list[Segment], Table] = ([], kernel.load().table(()))

    def follow(self, state: State) -> None:
        """Open what has become visible, close what no longer is. Raises Damaged for a segment that cannot be opened."""
        self._segments = {
            number: self._segments.get(number) or Segment(self._backend, number, digest) for number, digest in state.segments.items()
        }
        newest_first = list(reversed(list(self._segments.values())))
        if newest_first != self._view[0]:
            self._view = newest_first, kernel.load().table([each.mapped for each in newest_first])

    def find(self, digest: bytes) -> Optional[segment.Location]:
        """The location in the newest segment that has the artifact."""
        found = self.number(digest)
        return None if found is None else found[0].location(found[1])

    def number(self, digest: bytes) -> Optional[tuple[Segment, int]]:
        """The newest segment that has the artifact, and the number of its record there."""
        segments, table = self._view
        found = table.find(digest)
        return None if found is None else (segments[found[0]], found[1])

    def locations(self, digests: bytes) -> list[Optional[segment.Location]]:
        """find() for each of the digests that stand one behind the other in DIGESTS."""
        segments, table = self._view
        return [None if place is None else segments[place[0]].location(place[1]) for place in table.places(digests)]

    def known(self, digests: bytes) -> bytes:
        """One byte for each of the digests that stand one behind the other in DIGESTS: 1 where a segment has it, else 0."""
        return self._view[1].known(digests)

    def segments(self) -> list[Segment]:
        """Visible segments, newest first."""
        return self._view[0]

    def blocks(self) -> set[BlockID]:
        """Every block that a visible segment names."""
        return {block for each in self._view[0] for block in each.blocks()}
