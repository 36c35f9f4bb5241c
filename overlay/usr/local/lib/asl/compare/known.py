# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A disk once more, without the parts that the snapshot lacks: asking a dying disk for its bad sectors again wears it out for nothing.

It is read as in an intake that does not go in passes (sources.reader), and every read has a deadline (sources.patient).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from asl.restore.ranges import DATA, HOLE, Range
from asl.sources.base import UNREAD, Piece, Pieces
from asl.sources.device import DeviceSource
from asl.sources.reader import Reader


def device_pieces(source: DeviceSource, wanted: Iterable[Range]) -> Pieces:
    """The bytes of the open block device SOURCE; what of WANTED is not stored is one unread piece, and not read."""
    reader, at = source.reader(patient=True), 0
    try:
        for known, length in _stretches(wanted):
            if known:
                yield from _all(source, reader, at, min(at + length, source.size))
            else:
                yield Piece(UNREAD, length)
            at += length
        if source.size > at:
            yield Piece(UNREAD, source.size - at)
    finally:
        reader.close()


def _all(source: DeviceSource, reader: Reader, at: int, end: int) -> Pieces:
    """The bytes from AT to END, whatever becomes of the device."""
    for piece in reader.pieces(at, end):
        at += piece.length
        yield piece
    if at < end:
        source.lose("unread", f"{source.path}: {end - at} bytes at {at}", "it ends before its size")
        yield Piece(UNREAD, end - at)


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
