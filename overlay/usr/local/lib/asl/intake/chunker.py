# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pipeline from bytes to stored chunks.

    caller          copies bytes into a slab and cuts them; a full slab goes on     slab: memory that is used again and again
                    what was read into memory that is lent is cut there, and is a slab of its own
    hash threads    the digests of a whole slab in one call
    caller          in order: look the digests up, hand new chunks on, and settle what stands between them
    block thread    hashes and writes the new chunks from where they lie (store.packer); then the slab is free again

What stands between chunks (holes, the end of a file, a directory that is complete) travels in the slab in its place, so that
everything is settled in the order in which it was read, whatever the number of threads.
"""

from __future__ import annotations

import mmap
import queue
from array import array
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple, Optional, Union

from asl.formats import recipe
from asl.formats.recipe import Entry
from asl.intake.progress import Progress
from asl.intake.recipes import RecipeBuilder
from asl.kernel import ChunkParams, Kernel
from asl.names import Digest
from asl.sources.memory import Lent
from asl.store import Writer

# Bytes hashed by one call: it takes about a millisecond, against which Python's part is small.
SLAB = 2 * 1024 * 1024
# Memory for slabs: new memory costs more than what is done with it (a page fault each 4 KiB), so all of it is used again.
SLABS = 10
LENT = 10  # slabs that are lent memory
LARGEST = 96 * 1024 * 1024  # bytes of all slabs, where chunks are so large that a slab has to be larger
# Bytes in lent memory that are worth a slab; fewer are copied.
WORTH = 128 * 1024
# Things that may stand in one slab: a tree of empty or unchanged files fills no slab with bytes.
ITEMS = 4096


class Several(NamedTuple):
    """Contents that lie one behind the other: where the first one begins, the size of each, and how many chunks there are in it. Of all
    chunks the spans, and the digests one behind the other. Between them lie holes."""

    begin: int
    sizes: list[int]
    numbers: list[int]
    spans: array[int]
    digests: bytes


SeveralDone = Callable[[Several], None]


class _Whole(NamedTuple):
    """The next chunk is a content of its own."""

    done: Callable[[Digest], None]


class _Several(NamedTuple):
    """Contents of their own, whose chunks are the next ones."""

    begin: int
    sizes: list[int]
    numbers: list[int]
    done: SeveralDone


# None: the next chunk. An entry: a hole or an unread range. A builder: entries belong to it from here on. Else: to be called.
_Item = Union[None, Entry, RecipeBuilder, _Whole, _Several, Callable[[], None]]


class _Slab:
    """Memory, what of it is filled, and what stands in it. SIZE: bytes of memory of its own that can be filled."""

    def __init__(self, home: Slabs, size: int) -> None:
        self.home, self.size = home, size
        self.view = memoryview(mmap.mmap(-1, size) if size else b"")
        self.lent: Optional[Lent] = None
        self.fill = 0
        self.spans: array[int] = array("Q")
        self.items: list[_Item] = []
        self.contents = 0  # of items that are several contents each
        self.digests: Optional[Future[bytes]] = None


class Slabs:
    """COUNT slabs of SIZE bytes of their own; 0: such as show lent memory. give() may be called from any thread."""

    def __init__(self, size: int, count: int) -> None:
        self.size, self._left = size, count
        self._free: queue.SimpleQueue[_Slab] = queue.SimpleQueue()

    def take(self, *, wait: bool) -> Optional[_Slab]:
        """A slab; None where there is none now and nobody is to WAIT."""
        try:
            return self._free.get_nowait()
        except queue.Empty:
            if self._left:
                self._left -= 1
                return _Slab(self, self.size)
        return self._free.get() if wait else None

    def give(self, slab: _Slab) -> None:
        """Nobody needs the bytes in SLAB any more."""
        lent, slab.lent = slab.lent, None
        slab.fill, slab.contents, slab.spans, slab.items, slab.digests = 0, 0, array("Q"), [], None
        if lent:
            slab.view = memoryview(b"")
            lent.drop()
        self._free.put(slab)


class Chunker:
    """Cuts runs of bytes, hashes in threads, stores in order."""

    def __init__(self, kernel: Kernel, params: ChunkParams, writer: Writer, progress: Progress, jobs: int, *, slab: int = SLAB) -> None:
        self._kernel, self._params, self._writer, self._progress = kernel, params, writer, progress
        self._pool = ThreadPoolExecutor(jobs, "asl-hash") if jobs > 1 else None
        size = max(slab, 2 * params.maximum)
        self._slabs, self._lent = Slabs(size, max(3, min(SLABS, LARGEST // size))), Slabs(0, LENT)
        self._slab = _Slab(self._slabs, size)
        self._run = 0  # where the bytes begin in the slab that are not cut yet
        self._waiting: deque[_Slab] = deque()
        self._recipe = RecipeBuilder(writer)

    @property
    def room(self) -> int:
        """Bytes of the longest content that several() may be given."""
        return self._slabs.size // 2

    def into(self, builder: RecipeBuilder) -> None:
        """The entries that follow belong to BUILDER."""
        self._slab.items.append(builder)

    def data(self, data: memoryview) -> None:
        """Append DATA to the run."""
        at, length = 0, len(data)
        while at < length:
            slab = self._slab
            if slab.fill >= slab.size:
                self._turn()
                continue
            taken = min(slab.size - slab.fill, length - at)
            slab.view[slab.fill : slab.fill + taken] = data[at : at + taken]
            slab.fill += taken
            at += taken

    def lent(self, lent: Lent, at: int, length: int) -> None:
        """As data(), of LENGTH bytes that lie in what LENT shows, AT bytes from its beginning, and stay there. In ascending order."""
        start = len(lent.memory) - len(lent.view) + at
        slab = self._slab
        if slab.lent is lent:
            begun = slab.fill - self._run  # a part of the run lies further in front, with bytes between that belong to nobody
            if begun and slab.fill < start:
                slab.view[start - begun : start] = slab.view[self._run : slab.fill]
            slab.fill, self._run = start + length, start - begun
        elif length < WORTH or start - lent.floor < self._params.maximum:
            self.data(lent.memory[start : start + length])
        else:
            self._turn(lent, start)
            self._slab.fill += length

    def whole(self, data: memoryview, done: Callable[[Digest], None]) -> None:
        """One chunk, not longer than the shortest one, between runs. DONE is called with its digest."""
        if self._slab.fill + len(data) > self._slab.size:
            self._turn()
        slab = self._slab
        end = slab.fill + len(data)
        slab.view[slab.fill : end] = data
        slab.spans.extend((slab.fill, end))
        slab.items.append(_Whole(done))
        slab.fill = self._run = end

    def several(self, size: int, fill: Callable[[memoryview], list[int]], hole: int, done: SeveralDone) -> int:
        """Contents of their own, between runs, that FILL puts into memory, one behind the other; it answers their sizes. There is room for
        the first, of SIZE bytes. Runs of zero pages of HOLE bytes or more become holes. How many bytes they all are."""
        if self._slab.size - self._slab.fill < size:
            self._turn()
        slab = self._slab
        begin = slab.fill
        sizes = fill(slab.view[begin:])
        spans, numbers = self._kernel.parts(slab.view, begin, sizes, self._params, hole)
        slab.spans.extend(spans)
        length = sum(sizes)
        slab.fill = self._run = begin + length
        slab.contents += len(sizes)
        if sizes:
            self._item(_Several(begin, sizes, numbers, done))
        return length

    def end_run(self) -> None:
        """The run ends here: what is left is a chunk."""
        slab = self._slab
        if slab.fill - self._run > self._params.minimum:
            self._cut(final=True)
        elif slab.fill > self._run:
            self._chunk(slab.fill)

    def entry(self, entry: Entry) -> None:
        """A hole or an unread range between two runs, in its place."""
        self._item(entry)

    def then(self, action: Callable[[], None]) -> None:
        """Call ACTION when all that came before is stored: at once where nothing waits, as in a tree of unchanged files."""
        if self._waiting or self._slab.items or self._slab.fill:
            self._item(action)
        else:
            action()

    def _item(self, item: _Item) -> None:
        self._slab.items.append(item)
        if len(self._slab.items) + self._slab.contents >= ITEMS:
            self._turn()

    def _chunk(self, end: int) -> None:
        self._slab.spans.extend((self._run, end))
        self._slab.items.append(None)
        self._run = end

    def _cut(self, *, final: bool) -> None:
        start = self._run
        for end in self._kernel.cut(self._slab.view[start : self._slab.fill], self._params, final):
            self._chunk(start + end)

    def _take(self, slabs: Slabs) -> _Slab:
        new = slabs.take(wait=False)
        while new is None:
            if self._waiting:
                self._store_next()
            new = slabs.take(wait=not self._waiting)
        return new

    def _turn(self, lent: Optional[Lent] = None, start: int = 0) -> None:
        """Send the slab on its way; what is not decided in it moves to the next one, with LENT to just before START there."""
        old = self._slab
        if old.fill > self._run:
            self._cut(final=False)
        if old.lent:
            old.lent.floor = self._run
        new = self._take(self._lent if lent else self._slabs)
        if lent:
            lent.hold()
            new.lent, new.view = lent, lent.memory
        left = old.fill - self._run
        begin = start - left if lent else 0
        new.fill = begin + left
        new.view[begin : new.fill] = old.view[self._run : old.fill]
        self._slab, self._run = new, begin
        if old.spans and self._pool:
            old.digests = self._pool.submit(self._kernel.digests, old.view[: old.fill], old.spans)
        if old.items:
            self._waiting.append(old)
            self._store_finished()
        else:
            old.home.give(old)

    def _store_finished(self) -> None:
        while self._waiting and (self._waiting[0].digests is None or self._waiting[0].digests.done()):
            self._store_next()

    def advance(self) -> None:
        """Store what is decided; what is not may become part of a longer chunk."""
        self._turn()
        while self._waiting:
            self._store_next()

    def drain(self) -> None:
        """Store everything."""
        if self._slab.items:
            self._turn()
        while self._waiting:
            self._store_next()

    def _store_next(self) -> None:
        slab = self._waiting.popleft()
        spans, items, digests = slab.spans, slab.items, b""
        if spans:
            view = slab.view[: slab.fill]
            digests = slab.digests.result() if slab.digests else self._kernel.digests(view, spans)
            self._count(spans, self._writer.add_chunks(view, spans, digests, lambda: slab.home.give(slab)))
        else:
            slab.home.give(slab)
        at = 0
        for item in items:
            if item is None or isinstance(item, _Whole):
                digest = Digest(digests[at * 32 : at * 32 + 32])
                length = spans[2 * at + 1] - spans[2 * at]
                at += 1
                if item is None:
                    self._recipe.add(Entry(recipe.DATA, length, digest))
                else:
                    item.done(digest)
            elif isinstance(item, _Several):
                end = at + sum(item.numbers)
                item.done(Several(*item[:3], spans[2 * at : 2 * end], digests[32 * at : 32 * end]))
                at = end
            elif isinstance(item, Entry):
                self._recipe.add(item)
            elif isinstance(item, RecipeBuilder):
                self._recipe = item
            else:
                item()

    def _count(self, spans: array[int], new: bytes) -> None:
        sizes = [end - start for start, end in zip(spans[::2], spans[1::2])]
        fresh = sum(size for size, is_new in zip(sizes, new) if is_new)
        self._progress.chunks(sum(sizes), fresh)

    def close(self) -> None:
        """End the threads. Work that waits is dropped."""
        if self._pool:
            self._pool.shutdown(wait=True)
