# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Admitted peers: other domains whose artifacts count as there, and are read where the own domain does not have them.

A peer is opened when something is first looked for in it, and only what lies in its own store counts: what it admits itself from
others does not. What a tombstone hides in a peer is hidden here too. Nothing is ever written to a peer.

A peer that cannot be reached is told once. It is an error only for whoever reads what nobody else has either (PEER_UNAVAILABLE: nothing
is known to be lost). For whoever adds it has nothing, so that everything is sent; it is tried again after a while.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from typing import Optional, TypeVar

from asl.backends import layout
from asl.backends.base import Reads
from asl.errors import AslError, NotFound, Unavailable
from asl.formats import segment
from asl.names import DIGEST_SIZE, BlockID
from asl.store.index import Index, Segment
from asl.store.reader import Reader
from asl.store.state import State

Answer = TypeVar("Answer")
# Seconds until a peer that failed is tried again.
PAUSE = 60.0
# Blocks of which it is remembered who has them.
_REMEMBERED = 4096
Tell = Callable[[Optional[AslError]], None]


class Peer:
    """One admitted peer. OPENING opens its store for reading; FRESH: seconds for which it is not asked again what is new there;
    NEEDED: that it cannot be reached is an error; TELL is called with why it cannot be read any more, and with None when it can again;
    the first is logged where there is no TELL."""

    def __init__(
        self, name: str, opening: Callable[[], Reader], *, fresh: float = 0.0, needed: bool = True, tell: Optional[Tell] = None
    ) -> None:
        self.name, self._opening, self._fresh, self._needed, self._tell = name, opening, fresh, needed, tell
        self.error: Optional[AslError] = None
        self._reader: Optional[Reader] = None
        self._mutex = threading.Lock()
        self._again = self._stale = 0.0

    def reader(self) -> Optional[Reader]:
        """Its store; None while it cannot be read. Raises Unavailable (PEER_UNAVAILABLE) where it is needed."""
        with self._mutex:
            if self._reader is None and time.monotonic() >= self._again:
                self._try(self._open)
            if self._reader is None and self._needed:
                what, hint = f"the peer {self.name} cannot be read: {self.error}", f"check peer.{self.name}.* in federation.conf"
                raise Unavailable(what, reason="PEER_UNAVAILABLE", hint=hint, peer=self.name) from self.error
            return self._reader

    def refresh(self) -> None:
        """See what has become visible there since."""
        with self._mutex:
            if self._reader is not None and time.monotonic() >= self._stale:
                self._try(self._reader.refresh)

    def _open(self) -> None:
        self._reader = self._opening()

    def _try(self, call: Callable[[], None]) -> None:
        try:
            call()
            self._stale = time.monotonic() + self._fresh
            self._became(None)
        except AslError as error:
            self._reader, self._again = None, time.monotonic() + PAUSE
            self._became(error)

    def _became(self, error: Optional[AslError]) -> None:
        before, self.error = self.error, error
        if (before is None) == (error is None):
            return
        if self._tell:
            self._tell(error)
        elif error:
            import logging  # most stores have no peers

            logging.getLogger("asl.store").warning("the peer %s cannot be read: %s", self.name, error)


def _readers(peers: Sequence[Peer]) -> Iterator[Reader]:
    """The stores of PEERS that can be read. Whoever comes to the end has not found what was looked for: then it raises Unavailable
    (PEER_UNAVAILABLE) where one that is needed could not be asked."""
    silent: Optional[Unavailable] = None
    for peer in peers:
        try:
            reader = peer.reader()
        except Unavailable as error:
            silent = silent or error
            continue
        if reader is not None:
            yield reader
    if silent is not None:
        raise silent


class JoinedIndex(Index):
    """The own index, and behind it those of the peers. Segments and blocks that are listed are the own ones alone."""

    def __init__(self, own: Index, peers: Sequence[Peer]) -> None:
        # Not Index's own: it has no segments beside those of the indexes it joins.
        self._own, self._peers = own, peers

    def follow(self, state: State) -> None:
        self._own.follow(state)

    def number(self, digest: bytes) -> Optional[tuple[Segment, int]]:
        found = self._own.number(digest)
        return self._theirs(digest) if found is None else found

    def _theirs(self, digest: bytes) -> Optional[tuple[Segment, int]]:
        for reader in _readers(self._peers):
            found = None if reader.state.hidden(digest) else reader.index.number(digest)
            if found is not None:
                return found
        return None

    def locations(self, digests: bytes) -> list[Optional[segment.Location]]:
        found = self._own.locations(digests)
        for at, location in enumerate(found):
            if location is None:
                theirs = self._theirs(digests[DIGEST_SIZE * at : DIGEST_SIZE * (at + 1)])
                found[at] = None if theirs is None else theirs[0].location(theirs[1])
        return found

    def known(self, digests: bytes) -> bytes:
        found = self._own.known(digests)
        readers = _readers(self._peers)
        while 0 in found:
            reader = next(readers, None)
            if reader is None:
                break
            there = reader.index.known(digests)
            if reader.state.tombstones:
                hidden = reader.state.hidden
                there = bytes(each and not hidden(digests[32 * at : 32 * at + 32]) for at, each in enumerate(there))
            found = (int.from_bytes(found, "little") | int.from_bytes(there, "little")).to_bytes(len(found), "little")
        return found

    def segments(self) -> list[Segment]:
        return self._own.segments()

    def blocks(self) -> set[BlockID]:
        return self._own.blocks()


class JoinedReads:
    """The own backend; blocks that it does not have are read from the peers. Implements backends.base.Reads."""

    def __init__(self, own: Reads, peers: Sequence[Peer]) -> None:
        self._own, self._peers = own, peers
        self._held: OrderedDict[str, Reads] = OrderedDict()
        self._mutex = threading.Lock()

    @property
    def location(self) -> str:
        return self._own.location

    def _known(self, name: str) -> Optional[Reads]:
        with self._mutex:
            return self._held.get(name)

    def _holders(self, name: str) -> Iterator[Reads]:
        """Who may have NAME: whoever is known to, or else everybody."""
        held = self._known(name)
        if held is not None:
            yield held
            return
        yield self._own
        if layout.parse_block(name) is not None:
            yield from (reader.backend for reader in _readers(self._peers))

    def _remember(self, name: str, holder: Reads) -> None:
        if layout.parse_block(name) is not None:
            with self._mutex:
                self._held[name] = holder
                while len(self._held) > _REMEMBERED:
                    self._held.popitem(last=False)

    def read(self, name: str, offset: int = 0, length: Optional[int] = None) -> bytes:
        return self._first(name, lambda holder: holder.read(name, offset, length))[1]

    def size(self, name: str) -> int:
        return self._first(name, lambda holder: holder.size(name))[1]

    def _first(self, name: str, ask: Callable[[Reads], Answer]) -> tuple[Reads, Answer]:
        """Who has NAME first, and what it answers to ASK. Raises the own backend's NotFound where nobody has it."""
        missing: Optional[NotFound] = None
        for holder in self._holders(name):
            try:
                found = ask(holder)
            except NotFound as error:
                missing = missing or error
                continue
            self._remember(name, holder)
            return holder, found
        raise missing or NotFound(f"{self.location}: {name} is not there")

    def names(self, folder: str) -> Iterator[str]:
        return self._own.names(folder)

    def path(self, name: str) -> Optional[str]:
        if layout.parse_block(name) is None:
            return self._own.path(name)
        try:
            holder = self._known(name) or self._first(name, lambda holder: holder.size(name))[0]
            return holder.path(name)
        except AslError:
            return None


def joined(own: Reader, peers: Sequence[Peer]) -> Reader:
    """OWN read together with PEERS: its state and index are shared, not copied. What OWN sees anew later, this sees too."""
    return Reader(JoinedReads(own.backend, peers), own.state, JoinedIndex(own.index, peers)) if peers else own
