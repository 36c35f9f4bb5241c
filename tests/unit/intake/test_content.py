# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Contents: the same bytes give the same recipe, however they come, and the recipe gives the bytes back."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.intake.support import Memory, Stretch, flat, lent_pieces, pieces, rebuilt

from asl import kernel
from asl.formats import recipe, tree
from asl.formats.artifact import TAG_RECIPE
from asl.intake import chunker, content
from asl.intake.content import ContentWriter, Stored
from asl.intake.progress import Progress
from asl.kernel import ChunkParams
from asl.kernel.python import PythonKernel
from asl.sources.base import DATA, HOLE, UNREAD, Piece
from asl.sources.memory import lend
from asl.store import Store, init_store, open_store, open_writer

PARAMS = ChunkParams(256, 1024, 4096)
PAGE, MIN_HOLE = 4096, content.MIN_HOLE
LENGTHS = st.one_of(
    st.integers(1, 9000), st.sampled_from([PAGE - 1, PAGE, PAGE + 1, MIN_HOLE - PAGE, MIN_HOLE - 1, MIN_HOLE, MIN_HOLE + 1, 3 * MIN_HOLE])
)
STRETCHES = st.lists(st.builds(Stretch, st.sampled_from(["random", "zeros", "unread"]), LENGTHS, st.integers(0, 3)), max_size=8)


def data(content: bytes) -> Piece:
    """A piece of data."""
    return Piece(DATA, len(content), memoryview(content))


def store(into: Any, given_pieces: Iterator[Piece], params: ChunkParams = PARAMS, jobs: int = 1, **options: Any) -> Stored:
    """Store pieces with the kernel of this machine."""
    writer = ContentWriter(options.pop("kernel", kernel.load()), params, into, Progress(), jobs)
    try:
        return writer.store(given_pieces, **options)
    finally:
        writer.close()


@given(STRETCHES, st.integers(0, 2**32), st.sampled_from([700, 5000, 70_000]), st.booleans())
def test_slices_and_holes_do_not_matter(stretches: list[Stretch], seed: int, longest: int, always: bool) -> None:
    one, other, rng = Memory(), Memory(), random.Random(seed)
    whole = iter([Piece(kind, len(each), memoryview(each) if kind == DATA else None) for kind, each in flat(stretches)])
    first = store(one, whole, always_recipe=always)
    second = store(other, pieces(stretches, rng, longest), always_recipe=always)
    assert first == second
    assert one.artifacts == other.artifacts
    assert one.order == other.order


@settings(max_examples=60)
@given(STRETCHES, st.integers(0, 2**32), st.sampled_from([700, 5000, 70_000]), st.sampled_from([1, 2000, 10_000]))
def test_memory_that_is_lent_does_not_matter(stretches: list[Stretch], seed: int, longest: int, worth: int) -> None:
    """What is cut where it was read gives the same, and is lent to nobody else before it is stored."""
    one, other = Memory(), Memory()
    first = store(one, pieces(stretches, random.Random(seed), longest))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunker, "WORTH", worth)
        patch.setattr(chunker, "LENT", 2)
        second = store(other, lent_pieces(pieces(stretches, random.Random(seed), longest)), jobs=2)
    assert (first, one.order) == (second, other.order)


class Late(Memory):
    """Writes chunks as a thread would that comes to it late."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[tuple[Any, ...]] = []

    def add_chunks(self, *given: Any) -> bytes:
        self.waiting.append(given)
        return bytes(len(given[1]) // 2)

    def settle(self) -> None:
        for each in self.waiting:
            super().add_chunks(*each)


def test_what_comes_between_covers_no_chunk_in_lent_memory() -> None:
    """The end of a run that goes on in the same memory is put before its next bytes only where that is nobody's."""

    def fill(room: memoryview) -> list[int]:
        room[:20] = b"x" * 20
        return [20]

    one, other, lent, rng = Late(), Late(), lend(), random.Random(1)
    parts = [rng.randbytes(200_000), rng.randbytes(300), rng.randbytes(300_000)]
    lent.view[500_000:500_100] = bytes(100)
    lent.view[:200_000], lent.view[200_000:500_000] = parts[0], parts[2]
    for memory, here in ((one, False), (other, True)):
        cutter = chunker.Chunker(kernel.load(), PARAMS, memory, Progress(), 1)  # type: ignore[arg-type]  # a part of a writer
        if here:
            cutter.lent(lent, 0, 200_000)
            cutter.data(memoryview(parts[1]))
            cutter.lent(lent, 200_000, 300_000)
        else:
            cutter.data(memoryview(b"".join(parts)))
        cutter.end_run()
        cutter.several(20, fill, MIN_HOLE, lambda *_found: None)
        cutter.whole(memoryview(b"whole"), lambda _digest: None)
        cutter.drain()
        memory.settle()
    assert one.order == other.order
    assert bytes(lent.view[500_000:500_100]) == bytes(100)  # what is behind it there is the reader's


@given(STRETCHES, st.integers(0, 2**32))
def test_the_recipe_gives_the_bytes_and_the_unread_ranges_back(stretches: list[Stretch], seed: int) -> None:
    memory = Memory()
    stored = store(memory, pieces(stretches, random.Random(seed), 9000))
    assert rebuilt(memory, stored.content, stored.digest) == flat(stretches)
    assert stored.size == sum(each.length for each in stretches)
    assert stored.unread == sum(each.length for each in stretches if each.kind == "unread")


@settings(max_examples=30)
@given(STRETCHES, st.integers(0, 2**32))
def test_both_kernels_give_the_same(stretches: list[Stretch], seed: int) -> None:
    one, other = Memory(), Memory()
    first = store(one, pieces(stretches, random.Random(seed), 9000))
    second = store(other, pieces(stretches, random.Random(seed), 9000), kernel=PythonKernel("a test asked for it"))
    assert (first, one.order) == (second, other.order)


def test_threads_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(content, "SLAB", 32 * 1024)
    lengths = {"random": 50_000, "zeros": 20_000, "unread": 7}
    stretches = [Stretch(kind, length, seed) for seed in range(20) for kind, length in lengths.items()]
    results = []
    for jobs in (1, 2, 4):
        memory = Memory()
        stored = store(memory, pieces(stretches, random.Random(jobs), 30_000), jobs=jobs)
        assert rebuilt(memory, stored.content, stored.digest) == flat(stretches)
        results.append((stored, memory.order))
    assert results[0] == results[1] == results[2]


def test_unread_ranges_are_exact() -> None:
    memory = Memory()
    before = [Piece(UNREAD, 512), data(b"hello"), Piece(UNREAD, 1)]
    after = [Piece(UNREAD, 2), Piece(HOLE, 40_000), Piece(UNREAD, 7)]
    stored = store(memory, iter([*before, *after]))
    node = recipe.decode(memory.payload(stored.digest, TAG_RECIPE))
    assert [(entry.kind, entry.length) for entry in node.entries] == [(UNREAD, 512), (DATA, 5), (UNREAD, 3), (HOLE, 40_000), (UNREAD, 7)]
    assert list(recipe.ranges(iter(node.entries), UNREAD)) == [(0, 512), (517, 3), (40_520, 7)]
    assert (stored.size, stored.unread) == (40_527, 522)


@pytest.mark.parametrize(("unread", "hole"), [(512, MIN_HOLE + 2 * PAGE - 512), (PAGE, MIN_HOLE + PAGE)])
def test_pages_are_counted_from_the_start_of_the_content(unread: int, hole: int) -> None:
    """What an unread range leaves of a page is a page of its own, so that the pages behind it lie where they always lie."""
    memory = Memory()
    zeros = hole - 100  # the last page of zeros is not a whole one
    stored = store(memory, iter([Piece(UNREAD, unread), data(bytes(zeros) + b"x" * 100), data(b"y" * PAGE)]))
    entries = recipe.decode(memory.payload(stored.digest, TAG_RECIPE)).entries
    assert [(entry.kind, entry.length) for entry in entries][:2] == [(UNREAD, unread), (HOLE, hole - PAGE)]


def test_the_three_forms_of_a_content() -> None:
    memory = Memory()
    assert store(memory, iter(())) == Stored(tree.NONE, tree.NO_DIGEST, 0, 0)
    assert store(memory, iter([data(b"")])) == Stored(tree.NONE, tree.NO_DIGEST, 0, 0)
    assert not memory.artifacts
    assert store(memory, iter([data(b"hello")])).content == tree.CHUNK
    assert store(memory, iter([data(b"hello")]), always_recipe=True).content == tree.RECIPE
    assert store(memory, iter([Piece(HOLE, 1 << 40)])).content == tree.RECIPE
    empty = store(memory, iter(()), always_recipe=True)
    assert recipe.decode(memory.payload(empty.digest, TAG_RECIPE)) == recipe.Node(0, 0, [])


@pytest.mark.parametrize(("zeros", "holes"), [(MIN_HOLE - 1, 0), (MIN_HOLE, 1), (MIN_HOLE + 4095, 1)])
def test_a_run_of_zeros_becomes_a_hole_from_the_least_length_on(zeros: int, holes: int) -> None:
    memory = Memory()
    stored = store(memory, iter([data(b"a" * PAGE), data(bytes(zeros)), data(b"b")]))
    entries = recipe.decode(memory.payload(stored.digest, TAG_RECIPE)).entries
    assert [entry.length for entry in entries if entry.kind == HOLE] == [MIN_HOLE] * holes


TINY = ChunkParams(4, 16, 64)  # many entries from few bytes


def nodes(memory: Memory) -> list[recipe.Node]:
    return [recipe.decode(each.payload) for each in memory.artifacts.values() if each.type_tag == TAG_RECIPE]


def test_large_recipes_have_nodes_within_limits() -> None:
    memory, whole = Memory(), random.Random(5).randbytes(300_000)
    stored = store(memory, iter([data(whole)]), TINY)
    made = nodes(memory)
    leaves = [node for node in made if node.level == 0]
    assert len(leaves) > 5
    assert sum(len(node.entries) < recipe.MIN_ENTRIES for node in made) <= 2  # the last of each level
    assert all(len(node.entries) <= recipe.MAX_ENTRIES for node in made)
    assert [node.level for node in made].count(max(node.level for node in made)) == 1
    assert rebuilt(memory, stored.content, stored.digest) == [(DATA, whole)]


def test_an_insertion_changes_few_nodes() -> None:
    whole = random.Random(6).randbytes(400_000)
    before, after = Memory(), Memory()
    store(before, iter([data(whole)]), TINY)
    changed = whole[:200_000] + b"inserted" + whole[200_000:]
    store(after, iter([data(changed)]), TINY)
    new = [node for node in nodes(after) if node not in nodes(before)]
    assert len(nodes(before)) > 8
    assert len(new) <= 4


def test_a_dying_disk_makes_no_endless_node() -> None:
    """Holes and unread ranges in turn, with no data between: nodes end there too, and the same wherever the pieces are cut."""
    results = []
    for step in (512, 128):
        memory = Memory()
        turn = [Piece(UNREAD, step)] * (512 // step) + [Piece(HOLE, step)] * (MIN_HOLE // step)
        stored = store(memory, itertools.chain.from_iterable(itertools.repeat(turn, 6000)))
        assert max(len(node.entries) for node in nodes(memory)) == recipe.MAX_ENTRIES
        entries = list(rebuilt_entries(memory, stored.digest))
        assert entries == [recipe.Entry(UNREAD, 512), recipe.Entry(HOLE, MIN_HOLE)] * 6000
        results.append(stored)
    assert results[0] == results[1]


def rebuilt_entries(memory: Memory, digest: bytes) -> Iterator[recipe.Entry]:
    for entry in recipe.decode(memory.payload(digest, TAG_RECIPE)).entries:
        if entry.kind == recipe.CHILD:
            yield from rebuilt_entries(memory, entry.digest)
        else:
            yield entry


def test_through_a_real_store(tmp_path_factory: pytest.TempPathFactory) -> None:
    location = str(tmp_path_factory.mktemp("real") / "store")
    init_store(location)
    stretches = [Stretch("random", 300_000, 1), Stretch("zeros", 100_000), Stretch("unread", 1000), Stretch("random", 300_000, 1)]
    with open_writer(location, block_size=65_536) as writer:
        stored = store(writer, pieces(stretches, random.Random(1), 50_000), jobs=2)
        writer.commit()
    reader: Store = open_store(location)
    assert rebuilt(reader, stored.content, stored.digest) == flat(stretches)
