# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A disk once more, without the parts that the snapshot lacks: asking a dying disk for its bad sectors again wears it out for nothing.

Every read has a deadline (sources.patient). What cannot be read now is asked for in smaller and smaller steps, down to a sector.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from asl.restore.ranges import DATA, HOLE, Range
from asl.sources.base import DATA as READ
from asl.sources.base import READ_SIZE, UNREAD, Piece, Pieces, why
from asl.sources.device import DeviceSource

# Bytes that are asked for in one read when a longer one failed; then a sector.
STEPS = (64 * 1024, 4096)
# So many reads in a row may hang before the rest is left alone.
PATIENCE = 3


def device_pieces(source: DeviceSource, wanted: Iterable[Range]) -> Pieces:
    """The bytes of the open block device SOURCE; what of WANTED is not stored is one unread piece, and not read."""
    reader, at = _Careful(source), 0
    try:
        for known, length in _stretches(wanted):
            if known:
                yield from reader.pieces(at, min(at + length, source.size))
            else:
                yield Piece(UNREAD, length)
            at += length
        if source.size > at:
            yield Piece(UNREAD, source.size - at)
    finally:
        reader.close()


def _stretches(wanted: Iterable[Range]) -> Iterator[tuple[bool, int]]:
    """(whether it is stored, bytes), neighbours of a kind joined."""
    kind, length = False, 0
    for each in wanted:
        known = each.kind in (DATA, HOLE)
        if known != kind and length:
            yield kind, length
            length = 0
        kind, length = known, length + each.length
    if length:
        yield kind, length


class _Careful:
    """Reads a block device. Close it."""

    def __init__(self, source: DeviceSource) -> None:
        self._source, self._reader = source, source.patient()
        self._steps = (READ_SIZE, *(step for step in STEPS if step > source.sector), source.sector)

    def close(self) -> None:
        """End its child."""
        self._reader.close()

    def pieces(self, at: int, end: int, level: int = 0) -> Pieces:
        """The bytes from AT to END, in reads of the size for LEVEL and, where one fails, of the sizes behind it."""
        step = self._steps[level]
        while at < end:
            size = min(step - at % step, end - at)
            try:
                yield Piece(READ, size, self._read(at, size))
            except OSError as error:
                if level + 1 < len(self._steps) and self._reader.abandoned <= PATIENCE:
                    yield from self.pieces(at, at + size, level + 1)
                else:
                    self._source.lose("unread", f"{self._source.path}: {size} bytes at {at}", why(error))
                    yield Piece(UNREAD, size)
            at += size

    def _read(self, at: int, size: int) -> memoryview:
        if self._reader.abandoned > PATIENCE:
            raise OSError("too many reads did not come back")
        data = self._reader.read(at, size)
        if len(data) < size:
            raise OSError("the device ends before its size")
        return data
