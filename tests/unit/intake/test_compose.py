# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Composing: whatever order a disk was read in, its recipe is the one that reading in order gives."""

from __future__ import annotations

import random
from typing import Any, Optional

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.intake.support import Memory

from asl import kernel
from asl.formats import tree
from asl.intake.compose import Composer, Nodes, Stretch, readable
from asl.intake.content import ContentWriter, RecipeBuilder, Stored
from asl.intake.early import Early
from asl.intake.progress import Progress
from asl.kernel import ChunkParams
from asl.sources.base import DATA, UNREAD, Piece
from asl.sources.mapfile import BAD, READ, RescueMap

SMALL = ChunkParams(256, 1024, 4096)
SECTOR = 512


def content(rng: random.Random, sectors: int) -> bytes:
    """Random bytes with runs of zeros of all lengths, as disks have them."""
    data = bytearray()
    while len(data) < sectors * SECTOR:
        length = rng.choice([100, SECTOR, 4096, 16384, 20480, 70_000]) + rng.choice([0, 0, 1, 511])
        data += bytes(length) if rng.random() < 0.4 else rng.randbytes(length)
    return bytes(data[: sectors * SECTOR])


def store(memory: Any, params: ChunkParams, parts: list[Piece], start: int = 0, *, always: bool = False) -> Stored:
    writer = ContentWriter(kernel.load(), params, memory, Progress())
    try:
        return writer.store(iter(parts), start=start, always_recipe=always)
    finally:
        writer.close()


def in_order(memory: Any, params: ChunkParams, data: bytes, runs: list[tuple[int, int]]) -> Stored:
    """The content read from front to back; all outside RUNS is unread."""
    parts, at = [], 0
    for start, end in [*runs, (len(data), len(data))]:
        if start > at:
            parts.append(Piece(UNREAD, start - at))
        if end > start:
            parts.append(Piece(DATA, end - start, memoryview(data)[start:end]))
        at = end
    return store(memory, params, parts, always=True)


def runs_of(rng: random.Random, sectors: int) -> list[tuple[int, int]]:
    """Which bytes can be read."""
    bad = {rng.randrange(sectors) + more for _ in range(rng.randrange(6)) for more in range(rng.choice([1, 2, 9, 40]))}
    runs: list[tuple[int, int]] = []
    for sector in range(sectors):
        if sector not in bad:
            start = sector * SECTOR
            if runs and runs[-1][1] == start:
                runs[-1] = (runs[-1][0], start + SECTOR)
            else:
                runs.append((start, start + SECTOR))
    return runs


def stretches_of(memory: Any, params: ChunkParams, data: bytes, runs: list[tuple[int, int]], rng: random.Random) -> list[Stretch]:
    """RUNS in stretches cut anywhere, each stored by itself; some in two parts, as a run that was interrupted leaves them."""
    found: list[Stretch] = []
    for run_start, run_end in runs:
        start = run_start
        while start < run_end:
            end = min(run_end, start + SECTOR * rng.choice([1, 3, 20, 200, 1000]))
            stored = store(memory, params, [Piece(DATA, end - start, memoryview(data)[start:end])], start)
            whole = Stretch(start, end, stored.content, stored.digest, start)
            cuts = [placed.end for placed in Nodes(memory).entries(whole, start)][:-1]
            if cuts and rng.random() < 0.3:
                cut = rng.choice(cuts)
                found.append(whole._replace(end=cut))
                found.append(whole._replace(start=cut))
            else:
                found.append(whole)
            start = end
    return found


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 1500))
def test_any_stretches_give_the_recipe_of_reading_in_order(seed: int, sectors: int) -> None:
    rng, memory = random.Random(seed), Memory()
    data = content(rng, sectors)
    runs = runs_of(rng, sectors)
    wanted = in_order(memory, SMALL, data, runs)
    composer = Composer(kernel.load(), SMALL, memory)  # type: ignore[arg-type]
    found = composer.compose(len(data), stretches_of(memory, SMALL, data, runs, rng))
    composer.close()
    assert found == wanted


def without_gaps(stretches: list[Stretch]) -> list[list[Stretch]]:
    """Runs of STRETCHES that follow on one another."""
    found: list[list[Stretch]] = []
    for each in stretches:
        if found and found[-1][-1].end == each.start:
            found[-1].append(each)
        else:
            found.append([each])
    return found


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 1500))
def test_what_was_cut_early_is_taken_where_it_is_still_true(seed: int, sectors: int) -> None:
    """Also where more of a run, or another beginning of it, came to light behind it."""
    rng, memory = random.Random(seed), Memory()
    data = content(rng, sectors)
    runs = runs_of(rng, sectors)
    stretches = stretches_of(memory, SMALL, data, runs, rng)
    composer = Composer(kernel.load(), SMALL, memory)  # type: ignore[arg-type]
    whole = rng.random() < 0.5
    for run in without_gaps(stretches):
        first, last = (0, len(run)) if whole else sorted(rng.sample(range(len(run) + 1), 2))
        composer.prepare(run[first:last])
    reread = composer.bytes_reread
    assert composer.compose(len(data), stretches) == in_order(memory, SMALL, data, runs)
    composer.close()
    assert not whole or composer.bytes_reread == reread


class Uncommitted(Memory):
    """Only what was there at the last commit can be read back."""

    committed = 1 << 62

    def payload(self, digest: bytes, type_tag: Optional[int] = None) -> bytes:
        assert digest in self.order[: self.committed]
        return super().payload(digest, type_tag)


def test_seams_are_cut_while_a_disk_is_waited_for() -> None:
    """Trimmed from left to right, as sources.passes does it, nothing is left to read again at the end; what is hardly stored is at hand."""
    params, rng, memory = ChunkParams.for_average(64 * 1024), random.Random(2), Uncommitted()
    data = rng.randbytes(8 << 20)
    known = RescueMap(len(data))
    stretches: list[Stretch] = []

    def take(start: int, end: int, early: Optional[Early] = None) -> None:
        piece = Piece(DATA, end - start, memoryview(data)[start:end])
        writer = ContentWriter(kernel.load(), params, memory, Progress())  # type: ignore[arg-type]
        builder = RecipeBuilder(early or memory)  # type: ignore[arg-type]
        stored = writer.store(early.keep(iter([piece]), start) if early else iter([piece]), builder=builder, start=start)
        writer.close()
        known.set(start, end, READ)
        stretches.append(Stretch(start, end, stored.content, stored.digest, start))
        if early:
            early.add(stretches[-1])

    clusters = [(2 << 20, 9), ((5 << 20) + 65536, 70), (8 << 20, 0)]
    at = 0
    for cluster, _sector in clusters:
        take(at, cluster)
        at = cluster + 65536
    memory.committed = len(memory.order)
    early = Early(memory, known, stretches, lambda made: Composer(kernel.load(), params, memory, nodes=made, chunk=made.chunk))  # type: ignore[arg-type]
    bad = [cluster + sector * SECTOR for cluster, sector in clusters[:2]]
    for (cluster, _sector), first in zip(clusters, bad):
        known.set(first, first + SECTOR, BAD)
        take(cluster, first, early)
        take(first + SECTOR, cluster + 65536, early)
    reread, runs = early.composer.bytes_reread, [(0, bad[0]), (bad[0] + SECTOR, bad[1]), (bad[1] + SECTOR, len(data))]
    assert reread
    assert early.composer.compose(len(data), sorted(stretches)) == in_order(memory, params, data, runs)
    assert early.composer.bytes_reread == reread
    early.composer.close()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 1500))
def test_what_was_lacking_is_added_to_what_was_read_before(seed: int, sectors: int) -> None:
    """A second intake takes the recipe of the first, and adds what could be read now."""
    rng, memory = random.Random(seed), Memory()
    data = content(rng, sectors)
    first = runs_of(rng, sectors)
    before = in_order(memory, SMALL, data, first)
    wanted = in_order(memory, SMALL, data, [(0, len(data))])
    known = readable(memory, before.digest)  # type: ignore[arg-type]
    assert [(each.start, each.end) for each in known] == first
    gaps = [(a[1], b[0]) for a, b in zip([(0, 0), *first], [*first, (len(data), 0)]) if b[0] > a[1]]
    added = stretches_of(memory, SMALL, data, gaps, rng)
    composer = Composer(kernel.load(), SMALL, memory)  # type: ignore[arg-type]
    assert composer.compose(len(data), sorted([*known, *added])) == wanted
    composer.close()


def test_little_is_read_again() -> None:
    params, rng, memory = ChunkParams.for_average(64 * 1024), random.Random(1), Memory()
    data = rng.randbytes(16 << 20)
    middle = (8 << 20) + SECTOR
    stretches = []
    for start, end in ((0, middle), (middle, len(data))):
        stored = store(memory, params, [Piece(DATA, end - start, memoryview(data)[start:end])], start)
        stretches.append(Stretch(start, end, stored.content, stored.digest, start))
    composer = Composer(kernel.load(), params, memory)  # type: ignore[arg-type]
    assert composer.compose(len(data), stretches) == in_order(memory, params, data, [(0, len(data))])
    composer.close()
    assert 0 < composer.bytes_reread < 2 << 20


@pytest.mark.parametrize("size", [0, 700])
def test_nothing_read_is_one_unread_range(size: int) -> None:
    memory = Memory()
    composer = Composer(kernel.load(), SMALL, memory)  # type: ignore[arg-type]
    found = composer.compose(size, [])
    composer.close()
    assert (found.content, found.size, found.unread) == (tree.RECIPE, size, size)
    assert found.digest == in_order(memory, SMALL, bytes(size), []).digest
