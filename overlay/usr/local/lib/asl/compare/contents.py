# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One run of bytes against the recipe of it: a stretch of data has the digest of the chunk, or is another one."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from typing import Any, Optional

from asl.formats import artifact
from asl.restore.ranges import DATA, HOLE, LOST, Range
from asl.restore.ranges import UNREAD as NOT_STORED
from asl.sources.base import READ_SIZE, UNREAD, Piece, Pieces

# Ranges of one content that are listed.
LISTED = 100
_ZEROS = bytes(READ_SIZE)
Step = Callable[[int], None]


class Ranges:
    """Ranges of bytes in order, neighbours joined: the first are listed, all are counted."""

    def __init__(self) -> None:
        self._listed: list[list[int]] = []
        self._count = 0
        self._end = -1
        self.total = 0

    def __bool__(self) -> bool:
        return self._count > 0

    def add(self, at: int, length: int) -> None:
        """LENGTH bytes from AT on."""
        self.total += length
        if at != self._end or not self._count:
            self._count += 1
            if self._count <= LISTED:
                self._listed.append([at, 0])
        if self._count <= LISTED:
            self._listed[-1][1] += length
        self._end = at + length

    def document(self) -> dict[str, Any]:
        """`ranges` ([offset, length]) and `ranges_omitted`."""
        return {"ranges": self._listed, "ranges_omitted": self._count - len(self._listed)}


class Content:
    """What was found of one content. `equal`: bytes that are as they were. `words`: by what was found, why."""

    def __init__(self) -> None:
        self.equal = 0
        self.different, self.unread, self.unreadable, self.damaged = Ranges(), Ranges(), Ranges(), Ranges()
        self.words: dict[str, str] = {}


class _Feed:
    """Pieces cut to measure. `ended`: the source has no more."""

    def __init__(self, pieces: Pieces) -> None:
        self._pieces, self._left = pieces, Piece(HOLE, 0)
        self.ended = False

    def take(self, most: int) -> Optional[Piece]:
        """The next piece, MOST bytes at most; None at the end. Its data is valid until the next call."""
        while not self._left.length:
            found = next(self._pieces, None)
            if found is None:
                self.ended = True
                return None
            self._left = found
        kind, length, data, _lent = self._left
        count = min(most, length)
        self._left = Piece(kind, length - count, None if data is None else data[count:])
        return Piece(kind, count, None if data is None else data[:count])


def hold(pieces: Pieces, wanted: Iterable[Range], found: Content, step: Step) -> None:
    """Hold what PIECES give against WANTED, both from the first byte to the last. STEP(bytes) is called as it goes on."""
    feed, at = _Feed(pieces), 0
    for each in wanted:
        _range(feed, each, at, found)
        step(each.length)
        at += each.length
        if feed.ended:
            break
    if feed.ended:
        return
    beyond = 0
    while True:
        piece = feed.take(READ_SIZE)
        if piece is None:
            break
        beyond += piece.length
    if beyond:
        found.different.add(at, beyond)
        found.words["size"] = f"it is {beyond} bytes longer"


def _range(feed: _Feed, wanted: Range, at: int, found: Content) -> None:
    """Hold one range, which begins at AT."""
    hasher = hashlib.sha256(artifact.header(wanted.length)) if wanted.kind == DATA else None
    done, missing, same = 0, 0, True
    while done < wanted.length:
        piece = feed.take(min(READ_SIZE, wanted.length - done) if hasher else wanted.length - done)
        if piece is None:
            found.different.add(at + done, wanted.length - done)
            found.words["size"] = f"it ends at byte {at + done}"
            return
        if piece.kind == UNREAD:
            missing += piece.length
            if wanted.kind == HOLE:
                found.unreadable.add(at + done, piece.length)
        elif hasher:
            hasher.update(_ZEROS[: piece.length] if piece.data is None else piece.data)
        elif wanted.kind == HOLE and piece.data is not None:
            same = same and bytes(piece.data) == _ZEROS[: piece.length]
        done += piece.length
    _judge(wanted, at, found, same=hasher.digest() == wanted.digest if hasher else same, missing=missing)


def _judge(wanted: Range, at: int, found: Content, *, same: bool, missing: int) -> None:
    """MISSING bytes of the range at AT were not to be had; the rest is the SAME or not."""
    if wanted.kind == NOT_STORED:
        found.unread.add(at, wanted.length)
    elif wanted.kind == LOST:
        found.damaged.add(at, wanted.length)
        found.words.setdefault("damaged", wanted.reason)
    elif wanted.kind == DATA and missing:
        found.unreadable.add(at, wanted.length)  # of a chunk that is not whole the digest says nothing
    elif same:
        found.equal += wanted.length - missing
    else:
        found.different.add(at, wanted.length)
