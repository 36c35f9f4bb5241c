# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""parts: many contents cut in one call, as if each were cut alone."""

from __future__ import annotations

import random

import pytest

from asl.kernel import PAGE, ChunkParams, Kernel

PARAMS = ChunkParams(64, 256, 1024)
HOLE = 2 * PAGE
SIZES = [1, 64, 65, 5000, 20_000, 3, 1024]


@pytest.fixture
def data() -> memoryview:
    return memoryview(bytearray(random.Random(1).randbytes(40_000)))


def test_each_content_is_cut_as_a_whole(either: Kernel, data: memoryview) -> None:
    spans, numbers = either.parts(data, 100, SIZES, PARAMS, HOLE)
    assert len(numbers) == len(SIZES) and len(spans) == 2 * sum(numbers)
    at, chunk = 100, 0
    for size, number in zip(SIZES, numbers):
        ends = either.cut(data[at : at + size], PARAMS, True)
        assert spans[2 * chunk + 1 : 2 * (chunk + number) : 2].tolist() == [at + end for end in ends]
        assert spans[2 * chunk : 2 * (chunk + number) : 2].tolist() == [at + start for start in [0, *ends[:-1]]]
        at, chunk = at + size, chunk + number
    assert either.parts(data, 40_000, [], PARAMS, HOLE)[1] == []


# A run of zeros, where it begins in the content of 20,000 bytes, and whether it ends the call before it.
@pytest.mark.parametrize(
    ("begin", "length", "ends"),
    [
        (0, HOLE, True), (0, HOLE - 1, False), (PAGE, HOLE, True), (PAGE + 1, HOLE + PAGE - 2, False),
        (20_000 - 20_000 % PAGE - PAGE, 20_000, True), (20_000 - 20_000 % PAGE, 20_000, False)],
)  # fmt: skip
def test_it_ends_before_a_hole(either: Kernel, data: memoryview, begin: int, length: int, ends: bool) -> None:
    at = sum(SIZES[:4])
    end = min(at + begin + length, at + 20_000)
    data[at + begin : end] = bytes(end - at - begin)
    hole = HOLE if begin < 3 * PAGE else PAGE + 20_000 % PAGE
    numbers = either.parts(data, 0, SIZES, PARAMS, hole)[1]
    assert len(numbers) == (4 if ends else len(SIZES))


@pytest.mark.parametrize(("at", "sizes", "hole"), [(0, [40_001], 1), (1, [40_000], 1), (40_001, [], 1), (0, [0], 1), (0, [5, 0], 1)])
def test_contents_outside_of_the_data_are_refused(either: Kernel, data: memoryview, at: int, sizes: list[int], hole: int) -> None:
    with pytest.raises(ValueError, match="do not lie inside 40000 bytes"):
        either.parts(data, at, sizes, PARAMS, hole)
