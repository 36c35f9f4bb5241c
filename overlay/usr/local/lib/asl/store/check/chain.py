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
        while _whole(data, position.offset, position.link, position.logseq + 1):
            record = _record(data, position)
            yield record
            position = record.after
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
            if _whole(data, at, data[at - log.LINK : at], before.logseq + skipped + 1):
                return _Found(Position(before.logseq + skipped, data[at - log.LINK : at], at), None)
            intact = _record(data, before) if skipped == 1 else None
            if intact and intact.after.offset == at and _whole(data, at, intact.after.link, intact.logseq + 1):
                return _Found(intact.after, intact)
            at = data.find(wanted, at + 1)
    return None


def _whole(data: bytes, at: int, link: bytes, number: int) -> bool:
    """True when record NUMBER stands at AT, following one with LINK."""
    if at + log.PREFIX.size + log.LINK > len(data):
        return False
    logseq, _kind, size = log.PREFIX.unpack_from(data, at)
    end = at + log.PREFIX.size + size
    fits = logseq == number and size <= log.MAX_PAYLOAD and end + log.LINK <= len(data)
    return fits and hashlib.sha256(link + data[at:end]).digest() == data[end : end + log.LINK]


def _record(data: bytes, before: Position) -> Record:
    """The record that stands behind BEFORE, with the link that it should have."""
    _logseq, kind, size = log.PREFIX.unpack_from(data, before.offset)
    body = data[before.offset : before.offset + log.PREFIX.size + size]
    link = hashlib.sha256(before.link + body).digest()
    after = Position(before.logseq + 1, link, before.offset + log.PREFIX.size + size + log.LINK)
    return Record(after.logseq, kind, body[log.PREFIX.size :], after)


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
    if size > log.MAX_PAYLOAD or (len(tail) >= end and end - there < _FEW_ZEROS):
        return False
    body = log.PREFIX.pack(prefix, kind, len(tail) - log.PREFIX.size - log.LINK) + tail[log.PREFIX.size : -log.LINK]
    return hashlib.sha256(before.link + body).digest() != tail[-log.LINK :]
