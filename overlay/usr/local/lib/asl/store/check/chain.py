# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading a log past its damage.

The chain says where it breaks, not which byte did it. Behind the break the chain holds again: the next whole record carries the
next number, and its hash fits either to the link that stands before it (then the record before was damaged inside) or to the link
that should stand there (then only the link was damaged, and the record is as it was written).
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from typing import NamedTuple, Optional, Union

from asl.errors import Damaged
from asl.formats import log
from asl.formats.log import Position, Record

_LOGSEQ = struct.Struct("<Q")
# So many records in a row may be unreadable before the rest of the log is given up.
_GAP = 16
# Fewer zeros than this at the end of a record are its own: a write that did not arrive leaves the rest of a page.
_FEW_ZEROS = 4


class Gap(NamedTuple):
    """Damage between two whole records: it begins at `at`; `after` is where the chain holds again."""

    at: Position
    after: Position


class Tail(NamedTuple):
    """What stands behind the last whole record. `plausible`: it can be the beginning of a record that was being written."""

    at: Position
    size: int
    plausible: bool


def read(data: bytes) -> Iterator[Union[Record, Gap, Tail]]:
    """The log DATA: its records, the gaps between them, and its tail if there is one."""
    position = log.START
    while True:
        try:
            for record in log.records(data[position.offset :], position):
                yield record
                position = record.after
        except Damaged:
            pass  # seen below: the position is not at the end
        if position.offset >= len(data):
            return
        found = _next(data, position)
        if found is None:
            tail = data[position.offset :]
            yield Tail(position, len(tail), plausible(tail, position))
            return
        if found.intact:
            yield found.intact
        yield Gap(position, found.after)
        position = found.after


class _Found(NamedTuple):
    after: Position
    intact: Optional[Record]


def _next(data: bytes, before: Position) -> Optional[_Found]:
    """Where the chain holds again behind the damaged record that follows BEFORE."""
    for skipped in range(1, _GAP + 1):
        wanted = _LOGSEQ.pack(before.logseq + skipped + 1)
        at = data.find(wanted, before.offset + log.PREFIX.size + log.LINK)
        while at >= 0:
            if _whole(data, at, data[at - log.LINK : at]):
                return _Found(Position(before.logseq + skipped, data[at - log.LINK : at], at), None)
            link = hashlib.sha256(before.link + data[before.offset : at - log.LINK]).digest()
            if skipped == 1 and _whole(data, at, link):
                after = Position(before.logseq + 1, link, at)
                _, kind, _ = log.PREFIX.unpack_from(data, before.offset)
                return _Found(after, Record(after.logseq, kind, data[before.offset + log.PREFIX.size : at - log.LINK], after))
            at = data.find(wanted, at + 1)
    return None


def _whole(data: bytes, at: int, link: bytes) -> bool:
    """True when a record stands at AT that follows a record with LINK."""
    if at + log.PREFIX.size > len(data):
        return False
    _, _, size = log.PREFIX.unpack_from(data, at)
    end = at + log.PREFIX.size + size
    return size <= log.MAX_PAYLOAD and hashlib.sha256(link + data[at:end]).digest() == data[end : end + log.LINK]


def plausible(tail: bytes, before: Position) -> bool:
    """True when TAIL may be a record that a crash cut off: the beginning of the record due, or that and zeros.

    Bytes that make a whole record but for one damaged place are no torn tail.
    """
    there = len(tail.rstrip(b"\0"))
    if _LOGSEQ.pack(before.logseq + 1)[:there] != tail[: min(8, there)]:
        return False
    if len(tail) < log.PREFIX.size + log.LINK:
        return True
    prefix, kind, size = log.PREFIX.unpack_from(tail)
    end = log.PREFIX.size + size + log.LINK
    if size > log.MAX_PAYLOAD or end - there < _FEW_ZEROS:
        return False
    body = log.PREFIX.pack(prefix, kind, len(tail) - log.PREFIX.size - log.LINK) + tail[log.PREFIX.size : -log.LINK]
    return hashlib.sha256(before.link + body).digest() != tail[-log.LINK :]
