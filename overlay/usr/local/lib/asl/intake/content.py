# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Content: pieces in, chunks and a recipe out. The same bytes give the same recipe, however they come.

1. *Holes.* What counts is bytes, not how a file system happens to keep them: pages of zeros (4096 bytes, counted from the
   beginning of the content; what an unread range leaves of a page is a page) in runs of MIN_HOLE or more become a hole; every
   other hole is data.
2. *Chunks.* Each run of bytes between holes and unread ranges is cut by content (FastCDC), beginning anew at each run.
3. *Digests.* Slabs of chunks are hashed in threads while the next one is read and cut; what is in them is stored in order
   (intake.chunker). So what became of a content is known later than its last byte was read.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial
from typing import NamedTuple, Optional

from asl.formats import recipe, tree
from asl.formats.recipe import Entry
from asl.intake.chunker import SLAB, Chunker, Several
from asl.intake.progress import Progress
from asl.intake.recipes import RecipeBuilder
from asl.kernel import PAGE, ChunkParams, Kernel
from asl.sources.base import DATA, HOLE, Piece, Pieces
from asl.sources.memory import Lent
from asl.store import Writer

__all__ = ["MIN_HOLE", "ContentWriter", "RecipeBuilder", "Stored"]

# 16 KiB: below it, an entry in the recipe and a chunk boundary on each side cost more than the zeros.
MIN_HOLE = 16 * 1024


class Stored(NamedTuple):
    """What became of a content: its form (formats.tree: NONE, CHUNK, RECIPE), digest, and bytes covered and unread."""

    content: int
    digest: bytes
    size: int
    unread: int


Done = Callable[[Stored], None]
# Form and digest of each content, in order.
SeveralStored = Callable[[list[tuple[int, bytes]]], None]


class ContentWriter:
    """Stores contents, one after the other. Not for several threads."""

    def __init__(self, kernel: Kernel, params: ChunkParams, writer: Writer, progress: Progress, jobs: int = 1, *, batch: int = 0) -> None:
        self._kernel, self._writer, self._progress = kernel, writer, progress
        self._chunker = Chunker(kernel, params, writer, progress, jobs, slab=batch or SLAB)
        self._tiny = min(MIN_HOLE, params.minimum)
        self._at = 0  # bytes of the content that came so far
        self._page = PAGE  # size of the page that is being filled: less than PAGE behind an unread range that ends within one
        self._inside = False  # the page that is being filled is data for sure
        self._tail = bytearray()  # less than a page that waits for the rest of its page
        self._zeros = 0  # bytes of zero pages before the next data, not yet known to be a hole

    def store(
        self, pieces: Pieces, *, always_recipe: bool = False, builder: Optional[RecipeBuilder] = None, start: int = 0, inside: bool = False
    ) -> Stored:
        """Store what PIECES give, and everything that was begun before it. Arguments as in begin()."""
        found: list[Stored] = []
        self.begin(pieces, found.append, always_recipe=always_recipe, builder=builder, start=start, inside=inside)
        self.drain()
        return found[0]

    def begin(
        self, pieces: Pieces, done: Done, *, always_recipe: bool = False, builder: Optional[RecipeBuilder] = None, start: int = 0,
        inside: bool = False,
    ) -> None:  # fmt: skip
        """Read PIECES; DONE is called with what became of them, at the latest in drain(), in the order of begin() and then().

        A content of one chunk needs no recipe, unless ALWAYS_RECIPE. BUILDER: takes the entries in the place of a new one. START: where
        in the content the pieces begin, in bytes. INSIDE: a chunk ended there, so that the rest of the page it ended in is data,
        whatever it is: else the chunk would have ended before."""
        first = next(pieces, None)
        second = None
        if first and first.kind == DATA and first.data is not None and 0 < first.length < self._tiny and not always_recipe:
            first = Piece(DATA, first.length, memoryview(bytes(first.data)))  # valid beyond the next piece
            second = next(pieces, None)
            if second is None:
                self._one_chunk(first, done)
                return
        builder = builder or RecipeBuilder(self._writer)
        self._chunker.into(builder)
        self._at, self._page = start, PAGE - start % PAGE
        self._inside = inside and self._page < PAGE
        for piece in itertools.chain([each for each in (first, second) if each], pieces):
            self._feed(piece)
        self._end_run()
        self._chunker.then(lambda: done(_finished(builder, always_recipe)))

    def small(self, data: memoryview, done: Done) -> None:
        """As begin(), of a content that is DATA, not empty."""
        length = len(data)
        if length < self._tiny:
            self._progress.read(length)
            self._chunker.whole(data, lambda digest: done(Stored(tree.CHUNK, digest, length, 0)))
        elif all(end - start < MIN_HOLE for start, end in self._kernel.zero_runs(data, MIN_HOLE)):
            self._progress.read(length)
            builder = RecipeBuilder(self._writer)
            self._chunker.into(builder)
            self._chunker.data(data)
            self._chunker.end_run()
            self._chunker.then(lambda: done(_finished(builder, False)))
        else:
            self.begin(iter([Piece(DATA, length, data)]), done)

    @property
    def room(self) -> int:
        """Bytes of the longest content that several() may be given."""
        return self._chunker.room

    def several(self, size: int, fill: Callable[[memoryview], list[int]], done: SeveralStored) -> None:
        """As small(), for contents that FILL puts into memory, one behind the other; it answers their sizes. There is room for the first,
        of SIZE bytes. DONE is called as in begin(), once for all."""
        self._progress.read(self._chunker.several(size, fill, MIN_HOLE, partial(self._several_done, done)))

    def _several_done(self, done: SeveralStored, found: Several) -> None:
        digests = [found.digests[at : at + 32] for at in range(0, len(found.digests), 32)]
        starts, ends = found.spans[::2], found.spans[1::2]
        if found.sizes == [end - start for start, end in zip(starts, ends)]:
            done([(tree.CHUNK, digest) for digest in digests])  # one chunk each
            return
        contents: list[tuple[int, bytes]] = []
        chunks, at = zip(starts, ends, digests), found.begin
        for size, number in zip(found.sizes, found.numbers):
            contents.append(self._recipe(at, at + size, list(itertools.islice(chunks, number))))
            at += size
        done(contents)

    def _recipe(self, at: int, stop: int, chunks: list[tuple[int, int, bytes]]) -> tuple[int, bytes]:
        """The form and digest of the content from AT to STOP with these CHUNKS (start, end, digest); what lies between them is a hole."""
        if at == stop:
            return tree.NONE, tree.NO_DIGEST
        if len(chunks) == 1 and chunks[0][:2] == (at, stop):
            return tree.CHUNK, chunks[0][2]
        builder = RecipeBuilder(self._writer)
        for start, end, digest in [*chunks, (stop, stop, b"")]:
            if start > at:
                builder.add(Entry(recipe.HOLE, start - at))
            if end > start:
                builder.add(Entry(recipe.DATA, end - start, digest))
            at = end
        return tree.RECIPE, builder.finish()

    def then(self, action: Callable[[], None]) -> None:
        """Call ACTION when all is stored that was begun before it."""
        self._chunker.then(action)

    def advance(self) -> None:
        """Store what is decided of what came so far. May be called while pieces are read."""
        self._chunker.advance()

    def drain(self) -> None:
        """Store everything that was begun."""
        self._chunker.drain()

    def _one_chunk(self, piece: Piece, done: Done) -> None:
        """A content shorter than the shortest chunk and the shortest hole: most files of most trees."""
        self._progress.read(piece.length)
        self._chunker.whole(piece.data or memoryview(b""), lambda digest: done(Stored(tree.CHUNK, digest, piece.length, 0)))

    def _feed(self, piece: Piece) -> None:
        self._at += piece.length
        if piece.kind == DATA and piece.data is not None:
            self._progress.read(piece.length)
            self._bytes(piece.data, piece.lent)
        elif piece.kind == HOLE:
            self._hole(piece.length)
        else:
            self._end_run()
            self._progress.unread(piece.length)
            self._chunker.entry(Entry(recipe.UNREAD, piece.length))
            self._page = PAGE - self._at % PAGE

    def close(self) -> None:
        """End the threads."""
        self._chunker.close()

    def _bytes(self, data: memoryview, lent: Optional[Lent] = None) -> None:
        at = 0
        if self._tail or self._page < PAGE:
            taken = min(self._page - len(self._tail), len(data))
            self._tail += data[:taken]
            data, at = data[taken:], taken
            if len(self._tail) < self._page:
                return
            page, self._tail, self._page = self._tail, bytearray(), PAGE
            (self._data if self._inside else self._pages)(memoryview(page))
            self._inside = False
        whole = len(data) - len(data) % PAGE
        if whole:
            self._pages(data[:whole], lent, at)
        self._tail += data[whole:]

    def _hole(self, length: int) -> None:
        if self._tail or self._page < PAGE:
            filling = min(self._page - len(self._tail), length)
            self._bytes(memoryview(bytes(filling)))
            length -= filling
        self._zeros += length - length % PAGE
        self._tail += bytes(length % PAGE)

    def _pages(self, data: memoryview, lent: Optional[Lent] = None, begin: int = 0) -> None:
        """Whole pages, or the end of a run. LENT: they lie in it, from BEGIN on."""
        at = 0
        for start, end in self._kernel.zero_runs(data, MIN_HOLE):
            if start > at:
                self._data(data[at:start], lent, begin + at)
            self._zeros += end - start
            at = end
        if at < len(data):
            self._data(data[at:], lent, begin + at)

    def _data(self, data: memoryview, lent: Optional[Lent] = None, at: int = 0) -> None:
        self._settle_zeros()
        if lent:
            self._chunker.lent(lent, at, len(data))
        else:
            self._chunker.data(data)

    def _settle_zeros(self) -> None:
        zeros, self._zeros = self._zeros, 0
        if zeros >= MIN_HOLE:
            self._chunker.end_run()
            self._chunker.entry(Entry(recipe.HOLE, zeros))
        elif zeros:
            self._chunker.data(memoryview(bytes(zeros)))

    def _end_run(self) -> None:
        if self._tail:
            tail, self._tail = self._tail, bytearray()
            self._pages(memoryview(tail))
        self._settle_zeros()
        self._chunker.end_run()


def _finished(builder: RecipeBuilder, always_recipe: bool) -> Stored:
    only = builder.only_chunk()
    if builder.size == 0 and not always_recipe:
        return Stored(tree.NONE, tree.NO_DIGEST, 0, 0)
    if only and not always_recipe:
        return Stored(tree.CHUNK, only.digest, only.length, 0)
    return Stored(tree.RECIPE, builder.finish(), builder.size, builder.unread)
