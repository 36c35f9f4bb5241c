# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""While a failing disk is asked for its last sectors there is time: what will have to be cut anew at the seams between stretches
(intake.compose) is cut as soon as both sides of it are known, instead of at the end.

Only a shortcut: what is not done here, or turns out otherwise later, is done when the whole is composed.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable, Iterable
from typing import Optional, TypeVar

from asl.intake.compose import Composer, Placed, Stretch
from asl.names import Digest
from asl.sources.base import Pieces
from asl.sources.mapfile import BAD, RescueMap
from asl.store import Writer

# The last few stretches of so many bytes, and nodes of recipes, are kept at hand: to read them back from the store is to commit them.
_HELD, _LAST, _NODES = 256 * 1024, 8, 64

K = TypeVar("K")
V = TypeVar("V")


class Early:
    """The stretches so far, and the seams in runs of them that are complete. A writer of recipes, from which they are read back."""

    def __init__(
        self, writer: Writer, known: RescueMap, stretches: Iterable[Stretch], new_composer: Callable[[Early], Composer]
    ) -> None:  # fmt: skip
        self._writer, self._map = writer, known
        self._stretches = sorted(stretches)
        self._held: dict[int, bytes] = {}  # by where they begin
        self._nodes: dict[bytes, tuple[Optional[int], bytes]] = {}
        self._done: set[int] = set()  # where runs end that are done
        self.composer = new_composer(self)

    def put(self, payload: bytes, type_tag: Optional[int] = None) -> Digest:
        """Store a node, and keep it at hand."""
        digest = self._writer.put(payload, type_tag)
        _remember(self._nodes, digest, (type_tag, payload), _NODES)
        return digest

    def payload(self, digest: bytes, type_tag: Optional[int] = None) -> bytes:
        """A node. Raises Damaged, NotFound."""
        tag, found = self._nodes.get(digest, (None, b""))
        return found if found and tag == type_tag else self._writer.payload(digest, type_tag)

    def keep(self, pieces: Pieces, start: int) -> Pieces:
        """PIECES as they are, which begin at START; what they hold is kept at hand where it is not much."""
        held, size = bytearray(), 0
        for piece in pieces:
            size += piece.length
            if piece.data is not None and size <= _HELD:
                held += piece.data
            yield piece
        if len(held) == size:
            _remember(self._held, start, bytes(held), _LAST)

    def chunk(self, placed: Placed) -> bytes:
        """The bytes of an entry of a stretch. Raises Damaged, NotFound."""
        for start, data in self._held.items():
            if start <= placed.at and placed.end <= start + len(data):
                return data[placed.at - start : placed.end - start]
        return self._writer.payload(placed.entry.digest)

    def add(self, stretch: Stretch) -> None:
        """STRETCH is stored. Cuts the seams of the runs that are complete now: those that end with it, before it, or behind it."""
        place = bisect.bisect(self._stretches, stretch)
        self._stretches.insert(place, stretch)
        for last in range(place - 1, place + 2):
            run = self._run(last)
            if len(run) > 1 and run[-1].end not in self._done:
                self._done.add(run[-1].end)
                self.composer.prepare(run)

    def _run(self, last: int) -> list[Stretch]:
        """The stretches without a gap up to number LAST, which what cannot be read has to follow and to precede; else nothing."""
        if not 0 <= last < len(self._stretches) or not self._ends(self._stretches[last].end):
            return []
        first = last
        while first and self._stretches[first - 1].end == self._stretches[first].start:
            first -= 1
        return self._stretches[first : last + 1] if self._begins(self._stretches[first].start) else []

    def _ends(self, at: int) -> bool:
        return at >= self._map.size or self._map.within(at, at + 1)[0].status == BAD

    def _begins(self, at: int) -> bool:
        return at == 0 or self._map.within(at - 1, at)[0].status == BAD


def _remember(what: dict[K, V], key: K, value: V, most: int) -> None:
    """Keep VALUE, and forget the oldest where there are MOST already."""
    if len(what) == most:
        del what[next(iter(what))]
    what[key] = value
