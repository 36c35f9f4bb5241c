# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""From stretches that were read in any order to the one recipe that reading in order would have given.

A disk that fails is read in passes, and each stretch that was read in one go is stored as a recipe of its own. The recipe of the disk
must not show that: chunks are cut anew from each unread range on, over the seams between stretches. Reading all of it back from
the store would give it, and this gives the same with little reading:

1. What comes behind an entry's end depends on the bytes behind it alone: a chunk is cut without looking back, pages lie where they
   always lie, and no run of zeros that makes a hole goes over the end of a chunk. So where cutting anew ends an entry where a
   stretch has one ending too, everything behind it is as it is in that stretch, and is copied.
2. Where a stretch ends is not always where the content ends. The chunk that ended there, and zeros before it that might become
   a hole with those behind, are cut anew: what lies more than SAFE before the end is copied.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, Optional

from asl.formats import recipe, tree
from asl.formats.artifact import TAG_RECIPE
from asl.formats.recipe import Entry
from asl.intake.content import MIN_HOLE, ContentWriter, Stored
from asl.intake.overview import Overview
from asl.intake.progress import Progress
from asl.intake.recipes import RecipeBuilder
from asl.kernel import PAGE, ChunkParams, Kernel
from asl.sources.base import DATA, HOLE, Piece, Pieces
from asl.store import Writer
from asl.store.contents import Payloads

SAFE = MIN_HOLE + PAGE
# A seam is settled after a few chunks: small batches, so that little is read for nothing.
_BATCH = 256 * 1024
# Decoded nodes that are remembered: 128 KiB each at most.
_KEPT = 32
# Seams that are cut before they are needed and remembered, one to two KiB each.
_EARLY = 8192


class Stretch(NamedTuple):
    """The bytes of the content from START to END are stored: in the chunk or recipe (FORM, of formats.tree) DIGEST, which begins at
    ORIGIN in the content and may reach further than END."""

    start: int
    end: int
    form: int
    digest: bytes
    origin: int


class Placed(NamedTuple):
    """An entry and where it begins in the content."""

    at: int
    entry: Entry

    @property
    def end(self) -> int:
        """Where it ends in the content."""
        return self.at + self.entry.length


class Nodes:
    """Decoded nodes of recipes in STORE, the last few of them kept."""

    def __init__(self, store: Payloads) -> None:
        self._store = store
        self._kept: OrderedDict[bytes, recipe.Node] = OrderedDict()

    def node(self, digest: bytes) -> recipe.Node:
        """The node DIGEST. Raises Damaged, NotFound."""
        found = self._kept.get(digest)
        if found is None:
            found = self._kept[digest] = recipe.decode(self._store.payload(digest, TAG_RECIPE))
            if len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return found

    def entries(self, stretch: Stretch, start: int) -> Iterator[Placed]:
        """The entries of STRETCH that end behind START and begin before its end, in order. Raises Damaged, NotFound."""
        if stretch.form == tree.CHUNK:
            yield Placed(stretch.origin, Entry(DATA, stretch.end - stretch.origin, stretch.digest))
            return
        yield from self.below(stretch.digest, stretch.origin, start, stretch.end)

    def below(self, digest: bytes, at: int, start: int, end: int) -> Iterator[Placed]:
        """The entries between START and END of the recipe DIGEST, which begins AT."""
        for entry in self.node(digest).entries:
            if at >= end:
                return
            if at + entry.length > start:
                if entry.kind == recipe.CHILD:
                    yield from self.below(entry.digest, at, start, end)
                else:
                    yield Placed(at, entry)
            at += entry.length


def readable(store: Payloads, root: bytes) -> list[Stretch]:
    """The recipe ROOT as stretches: one for each run between unread ranges."""
    found: list[Stretch] = []
    for placed in Nodes(store).below(root, 0, 0, 1 << 63):
        if placed.entry.kind == recipe.UNREAD:
            continue
        if found and found[-1].end == placed.at:
            found[-1] = found[-1]._replace(end=placed.end)
        else:
            found.append(Stretch(placed.at, placed.end, tree.RECIPE, root, 0))
    return found


class _Seam(RecipeBuilder):
    """Takes the entries of a seam, up to the first that ends where an entry of a stretch does; what follows is not wanted."""

    def __init__(self, writer: Writer, at: int) -> None:
        super().__init__(writer)
        self._at = at
        self.taken: list[Entry] = []
        self.ends: set[int] = set()
        self.met: Optional[int] = None
        self.parts = 0  # stretches that were looked at
        self.to_the_end = False  # whether that the run ends behind them had a part in it

    def add(self, entry: Entry) -> None:
        """Take ENTRY."""
        if self.met is not None:
            return
        self.taken.append(entry)
        self._at += entry.length
        if self._at in self.ends:
            self.met = self._at


class _Cut(NamedTuple):
    """A seam that was cut anew: its entries, and where a stretch has the same to go on with, None at the end of the run."""

    fresh: bool
    parts: tuple[Stretch, ...]
    to_the_end: bool
    entries: tuple[Entry, ...]
    met: Optional[int]

    def holds(self, run: Sequence[Stretch], *, fresh: bool) -> bool:
        """Whether it is that of RUN too, which begins with the same stretches."""
        same = self.fresh == fresh and tuple(run[: len(self.parts)]) == self.parts
        return same and (not self.to_the_end or len(run) == len(self.parts))


class Composer:
    """Composes the recipe of one content. The chunks that are cut anew at seams are added to WRITER."""

    def __init__(
        self, kernel: Kernel, params: ChunkParams, writer: Writer, overview: Optional[Overview] = None, *,
        nodes: Optional[Payloads] = None, chunk: Optional[Callable[[Placed], bytes]] = None,
    ) -> None:  # fmt: skip
        """NODES gives the recipes of the stretches, CHUNK the bytes of an entry of them; without them WRITER does."""
        self._writer, self._nodes = writer, Nodes(nodes or writer)
        self._chunk = chunk or (lambda placed: writer.payload(placed.entry.digest))
        self._contents = ContentWriter(kernel, params, writer, Progress(), batch=_BATCH)
        self._out = RecipeBuilder(writer, overview)
        self._early: dict[int, _Cut] = {}
        self.bytes_reread = 0

    def compose(self, size: int, stretches: Sequence[Stretch]) -> Stored:
        """The recipe of SIZE bytes of which STRETCHES, in order and apart, are there; all else was not read. Raises Damaged."""
        if not size:
            return Stored(tree.RECIPE, self._out.finish(), 0, 0)
        at, run = 0, list[Stretch]()
        for stretch in stretches:
            if run and stretch.start != at:
                self._run(run)
                run = []
            if stretch.start > at:
                self._out.add(Entry(recipe.UNREAD, stretch.start - at))
            run.append(stretch)
            at = stretch.end
        if run:
            self._run(run)
        if at < size:
            self._out.add(Entry(recipe.UNREAD, size - at))
        return Stored(tree.RECIPE, self._out.finish(), self._out.size, self._out.unread)

    def prepare(self, run: Sequence[Stretch]) -> None:
        """Cut the seams of RUN, stretches without anything unread between them and with something unread around them, before compose()
        is asked for the whole: there is time while a disk is waited for. Raises Damaged."""
        self._run(run, early=True)

    def _run(self, run: Sequence[Stretch], *, early: bool = False) -> None:
        """Stretches without anything unread between them. EARLY: only the seams, and nothing is given out."""
        at, number, fresh = run[0].start, 0, True
        while True:
            end = (self._copied if early else self._copy)(run[number], at, last=number == len(run) - 1)
            fresh = fresh and end == run[0].start
            at = end
            if at == run[-1].end:
                return
            cut = self._seam(run[number:], at, fresh=fresh)
            if early and len(self._early) < _EARLY:
                self._early[at] = cut
            for entry in () if early else cut.entries:
                self._out.add(entry)
            if cut.met is None:
                return
            at, fresh = cut.met, False
            number = next(index for index, each in enumerate(run) if each.start <= at < each.end)

    def _copy(self, stretch: Stretch, at: int, *, last: bool) -> int:
        """Copy the entries of STRETCH from AT on, as far as they are the content's own; where that ends."""
        limit = stretch.end if last else stretch.end - SAFE
        for placed in self._nodes.entries(stretch, at):
            if placed.at < at or placed.end > limit:
                break
            self._out.add(placed.entry)
            at = placed.end
        return at

    def _copied(self, stretch: Stretch, at: int, *, last: bool) -> int:
        """Where _copy() ends, without looking at all that lies between."""
        limit = stretch.end if last else stretch.end - SAFE
        first = next(self._nodes.entries(stretch, at), None)
        if first is None or first.at < at or first.end > limit:
            return at
        behind = next(self._nodes.entries(stretch, limit - 1), first)
        return behind.end if behind.end == limit else behind.at

    def _seam(self, run: Sequence[Stretch], at: int, *, fresh: bool) -> _Cut:
        """Cut anew from AT on, up to where a stretch behind the first one has the same to go on with."""
        known = self._early.get(at)
        if known is not None and known.holds(run, fresh=fresh):
            return known
        seam = _Seam(self._writer, at)
        stored = self._contents.store(self._bytes(run, at, seam), builder=seam, start=at, inside=not fresh)
        if stored.content == tree.CHUNK:  # so little that no builder was asked
            seam.add(Entry(DATA, stored.size, stored.digest))
        return _Cut(fresh, tuple(run[: seam.parts]), seam.to_the_end, tuple(seam.taken), seam.met)

    def _bytes(self, run: Sequence[Stretch], at: int, seam: _Seam) -> Pieces:
        for number, stretch in enumerate(run):
            seam.parts = number + 1
            if number and stretch.start % PAGE == 0:
                seam.ends.add(stretch.start)
            for placed in self._nodes.entries(stretch, at):
                if seam.met is not None:
                    return
                start, end = max(at, placed.at), min(stretch.end, placed.end)
                yield self._piece(placed, start, end)
                at = end
                if number:
                    self._contents.advance()  # a chunk more may be all that is needed
                if number and placed.end < stretch.end:
                    seam.ends.add(placed.end)
        seam.to_the_end = True

    def _piece(self, placed: Placed, start: int, end: int) -> Piece:
        if placed.entry.kind == HOLE:
            return Piece(HOLE, end - start)
        self.bytes_reread += end - start
        data = self._chunk(placed)
        return Piece(DATA, end - start, memoryview(data)[start - placed.at : end - placed.at])

    def close(self) -> None:
        """End the threads."""
        self._contents.close()
