# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Content: pieces in, chunks and a recipe out. The same bytes give the same recipe, however they come.

1. *Holes.* What counts is bytes, not how a file system happens to keep them: pages of zeros (4096 bytes, counted from the
   beginning of the content; what an unread range leaves of a page is a page) in runs of MIN_HOLE or more become a hole; every
   other hole is data.
2. *Chunks.* Each run of bytes between holes and unread ranges is cut by content (FastCDC), beginning anew at each run.
3. *Digests.* Batches of chunks are hashed in threads while the next batch is read and cut; batches are stored in order.
"""

from __future__ import annotations

import hashlib
import itertools
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple, Optional, Union

from asl.formats import artifact, recipe, tree
from asl.formats.artifact import TAG_RECIPE
from asl.formats.recipe import Entry
from asl.intake.overview import Overview
from asl.intake.progress import Progress
from asl.kernel import PAGE, ChunkParams, Kernel
from asl.names import Digest
from asl.sources.base import DATA, HOLE, Piece, Pieces
from asl.store import Writer

# 16 KiB: below it, an entry in the recipe and a chunk boundary on each side cost more than the zeros.
MIN_HOLE = 16 * 1024
# Bytes cut and hashed together; large enough to feed the threads, small enough to stay in the cache of a CPU.
BATCH = 2 * 1024 * 1024
# Batches that may wait for their digests. Memory: (IN_FLIGHT + 2) * BATCH.
IN_FLIGHT = 4


@dataclass(frozen=True)
class Stored:
    """What became of a content: its form (formats.tree: NONE, CHUNK, RECIPE), digest, and bytes covered and unread."""

    content: int
    digest: bytes
    size: int
    unread: int


class RecipeBuilder:
    """Builds the nodes of a recipe as entries come; keeps one open node a level."""

    def __init__(self, writer: Writer, overview: Optional[Overview] = None) -> None:
        self._writer, self._overview = writer, overview
        self._levels: list[list[Entry]] = [[]]
        self.size = 0
        self.unread = 0

    def add(self, entry: Entry) -> None:
        """Append ENTRY; neighbours that are both holes or both unread become one."""
        self.size += entry.length
        self.unread += entry.length if entry.kind == recipe.UNREAD else 0
        if self._overview:
            self._overview.add(entry.kind, entry.length)
        last = self._levels[0][-1] if self._levels[0] else None
        if last and last.kind == entry.kind and not entry.digest:
            self._levels[0][-1] = Entry(entry.kind, last.length + entry.length)
            return
        if last and not last.digest and recipe.ends_node(last, len(self._levels[0])):
            self._close(0)
        self._push(0, entry)

    def _push(self, level: int, entry: Entry) -> None:
        if level == len(self._levels):
            self._levels.append([])
        entries = self._levels[level]
        entries.append(entry)
        # Whether a node ends behind a hole or an unread range is seen when it is over: the next piece may belong to it.
        if entry.digest and recipe.ends_node(entry, len(entries)):
            self._close(level)

    def _close(self, level: int) -> None:
        entries, self._levels[level] = self._levels[level], []
        digest = self._writer.put(recipe.encode(level, entries), TAG_RECIPE)
        self._push(level + 1, Entry(recipe.CHILD, sum(entry.length for entry in entries), digest))

    def only_chunk(self) -> Optional[Entry]:
        """The entry, when there is just one and it is data."""
        if len(self._levels) == 1 and len(self._levels[0]) == 1 and self._levels[0][0].kind == recipe.DATA:
            return self._levels[0][0]
        return None

    def finish(self) -> Digest:
        """The digest of the root node."""
        level = 0
        while level < len(self._levels) - 1:
            if self._levels[level]:
                self._close(level)
            level += 1
        top = self._levels[level]
        if level and len(top) == 1:
            return Digest(top[0].digest)
        return self._writer.put(recipe.encode(level, top), TAG_RECIPE)


class _Batch(NamedTuple):
    """Chunks whose digests are being computed: their bytes, their places in them, and the digests to come."""

    filled: bytearray
    spans: list[tuple[int, int]]
    digests: list[Future[list[Digest]]]


class Chunker:
    """Cuts runs of bytes, hashes in threads, stores in order."""

    def __init__(self, kernel: Kernel, params: ChunkParams, writer: Writer, progress: Progress, jobs: int, *, batch: int) -> None:
        self._kernel, self._params, self._writer, self._progress = kernel, params, writer, progress
        self._jobs, self._batch = jobs, batch
        self._pool = ThreadPoolExecutor(jobs, "asl-hash") if jobs > 1 else None
        self._buffer = bytearray()
        self._waiting: deque[Union[_Batch, Entry]] = deque()
        self._recipe = RecipeBuilder(writer)

    def begin(self, builder: RecipeBuilder) -> None:
        """Direct the entries that follow to BUILDER."""
        self._recipe = builder

    def data(self, data: memoryview) -> None:
        """Append DATA to the run."""
        self._buffer += data
        if len(self._buffer) >= self._batch:
            self._cut(final=False)

    def end_run(self) -> None:
        """The run ends here: what is left is a chunk."""
        if self._buffer:
            self._cut(final=True)

    def entry(self, entry: Entry) -> None:
        """A hole or an unread range between two runs, in its place."""
        if self._waiting:
            self._waiting.append(entry)
            if len(self._waiting) > IN_FLIGHT:
                self._store_next()
        else:
            self._recipe.add(entry)

    def _cut(self, *, final: bool) -> None:
        ends = self._kernel.cut(self._buffer, self._params, final)
        if not ends:
            return
        filled, self._buffer = self._buffer, bytearray(memoryview(self._buffer)[ends[-1] :])
        spans = list(zip([0, *ends], ends))
        if self._pool is None or ends[-1] < self._batch // 8:
            self.drain()
            self._store(filled, spans, _digests(filled, spans))
            return
        share = -(-len(spans) // self._jobs)
        parts = [spans[at : at + share] for at in range(0, len(spans), share)]
        self._waiting.append(_Batch(filled, spans, [self._pool.submit(_digests, filled, part) for part in parts]))
        if len(self._waiting) > IN_FLIGHT:
            self._store_next()

    def drain(self) -> None:
        """Store everything that waits for digests."""
        while self._waiting:
            self._store_next()

    def _store_next(self) -> None:
        first = self._waiting.popleft()
        if isinstance(first, Entry):
            self._recipe.add(first)
        else:
            self._store(first.filled, first.spans, [digest for future in first.digests for digest in future.result()])

    def _store(self, filled: bytearray, spans: list[tuple[int, int]], digests: list[Digest]) -> None:
        view = memoryview(filled)
        for (start, end), digest in zip(spans, digests):
            new = self._writer.add(digest, view[start:end])
            self._progress.chunk(end - start, new)
            self._recipe.add(Entry(recipe.DATA, end - start, digest))

    def close(self) -> None:
        """End the threads. Work that waits is dropped."""
        if self._pool:
            self._pool.shutdown(wait=True)


def _digests(filled: bytearray, spans: list[tuple[int, int]]) -> list[Digest]:
    view, found = memoryview(filled), []
    for start, end in spans:
        hasher = hashlib.sha256(artifact.header(end - start))
        hasher.update(view[start:end])  # without the GIL
        found.append(Digest(hasher.digest()))
    return found


class ContentWriter:
    """Stores contents, one after the other. Not for several threads."""

    def __init__(self, kernel: Kernel, params: ChunkParams, writer: Writer, progress: Progress, jobs: int = 1, *, batch: int = 0) -> None:
        self._kernel, self._writer, self._progress = kernel, writer, progress
        self._chunker = Chunker(kernel, params, writer, progress, jobs, batch=batch or BATCH)
        self._tiny = min(MIN_HOLE, params.minimum)
        self._at = 0  # bytes of the content that came so far
        self._page = PAGE  # size of the page that is being filled: less than PAGE behind an unread range that ends within one
        self._tail = bytearray()  # less than a page that waits for the rest of its page
        self._zeros = 0  # bytes of zero pages before the next data, not yet known to be a hole

    def store(self, pieces: Pieces, *, always_recipe: bool = False, builder: Optional[RecipeBuilder] = None, start: int = 0) -> Stored:
        """Store what PIECES give. A content of one chunk needs no recipe, unless ALWAYS_RECIPE.

        BUILDER: takes the entries in the place of a new one. START: where in the content the pieces begin, in bytes."""
        first = next(pieces, None)
        second = None
        if first and first.kind == DATA and first.data is not None and 0 < first.length < self._tiny and not always_recipe:
            first = Piece(DATA, first.length, memoryview(bytes(first.data)))  # valid beyond the next piece
            second = next(pieces, None)
            if second is None:
                return self._one_chunk(first)
        builder = builder or RecipeBuilder(self._writer)
        self._chunker.begin(builder)
        self._at, self._page = start, PAGE - start % PAGE
        for piece in itertools.chain([each for each in (first, second) if each], pieces):
            self._feed(piece)
        self._end_run()
        self._chunker.drain()
        only = builder.only_chunk()
        if builder.size == 0 and not always_recipe:
            return Stored(tree.NONE, tree.NO_DIGEST, 0, 0)
        if only and not always_recipe:
            return Stored(tree.CHUNK, only.digest, only.length, 0)
        return Stored(tree.RECIPE, builder.finish(), builder.size, builder.unread)

    def _one_chunk(self, piece: Piece) -> Stored:
        """A content shorter than the shortest chunk and the shortest hole: most files of most trees."""
        data = piece.data or memoryview(b"")
        self._progress.read(piece.length)
        digest = artifact.digest(data)
        self._progress.chunk(piece.length, self._writer.add(digest, data))
        return Stored(tree.CHUNK, digest, piece.length, 0)

    def _feed(self, piece: Piece) -> None:
        self._at += piece.length
        if piece.kind == DATA and piece.data is not None:
            self._progress.read(piece.length)
            self._bytes(piece.data)
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

    def _bytes(self, data: memoryview) -> None:
        if self._tail or self._page < PAGE:
            taken = min(self._page - len(self._tail), len(data))
            self._tail += data[:taken]
            data = data[taken:]
            if len(self._tail) < self._page:
                return
            page, self._tail, self._page = self._tail, bytearray(), PAGE
            self._pages(memoryview(page))
        whole = len(data) - len(data) % PAGE
        if whole:
            self._pages(data[:whole])
        self._tail += data[whole:]

    def _hole(self, length: int) -> None:
        if self._tail or self._page < PAGE:
            filling = min(self._page - len(self._tail), length)
            self._bytes(memoryview(bytes(filling)))
            length -= filling
        self._zeros += length - length % PAGE
        self._tail += bytes(length % PAGE)

    def _pages(self, data: memoryview) -> None:
        """Whole pages, or the end of a run."""
        at = 0
        for start, end in self._kernel.zero_runs(data, MIN_HOLE):
            if start > at:
                self._data(data[at:start])
            self._zeros += end - start
            at = end
        if at < len(data):
            self._data(data[at:])

    def _data(self, data: memoryview) -> None:
        self._settle_zeros()
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
