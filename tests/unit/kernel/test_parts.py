# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""parts: many contents cut in one call, as if each were cut alone."""

from __future__ import annotations

import random
from typing import Optional

import pytest

from asl.kernel import PAGE, ChunkParams, Kernel

PARAMS = ChunkParams(64, 256, 1024)
HOLE = 2 * PAGE
LAST = 20_000 - 20_000 % PAGE  # where the last page begins of 20,000 bytes
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


# A run of zeros, where it begins in the content of 20,000 bytes, and the hole that it becomes there.
@pytest.mark.parametrize(
    ("begin", "length", "hole"),
    [
        (0, HOLE, (0, HOLE)), (0, HOLE - 1, None), (PAGE, HOLE, (PAGE, PAGE + HOLE)), (PAGE + 1, HOLE + PAGE - 2, None),
        (LAST - PAGE, 20_000, (LAST - PAGE, 20_000)), (LAST - PAGE + 1, 20_000, None), (0, 20_000, (0, 20_000)),
    ],
)  # fmt: skip
def test_long_runs_of_zero_pages_are_left_out(
    either: Kernel, data: memoryview, begin: int, length: int, hole: Optional[tuple[int, int]]
) -> None:
    at = sum(SIZES[:4])
    data[at + begin : at + min(begin + length, 20_000)] = bytes(min(length, 20_000 - begin))
    spans, numbers = either.parts(data, 0, SIZES, PARAMS, HOLE if begin < LAST - PAGE else PAGE + 20_000 - LAST)
    expected: list[int] = []
    for start, end in [(0, hole[0]), (hole[1], 20_000)] if hole else [(0, 20_000)]:
        expected += [at + start + each for each in either.cut(data[at + start : at + end], PARAMS, True)]
    first = sum(numbers[:4])
    assert spans[2 * first + 1 : 2 * (first + numbers[4]) : 2].tolist() == expected
    assert spans[-1] == sum(SIZES)


def test_a_content_may_be_empty_or_nothing_but_a_hole(either: Kernel) -> None:
    data = memoryview(bytearray(b"x" + bytes(HOLE) + b"y"))
    spans, numbers = either.parts(data, 0, [0, 1, HOLE, 0, 1], PARAMS, HOLE)
    assert (spans.tolist(), numbers) == ([0, 1, HOLE + 1, HOLE + 2], [0, 1, 0, 0, 1])


@pytest.mark.parametrize(("at", "sizes", "hole"), [(0, [40_001], 1), (1, [40_000], 1), (40_001, [], 1)])
def test_contents_outside_of_the_data_are_refused(either: Kernel, data: memoryview, at: int, sizes: list[int], hole: int) -> None:
    with pytest.raises(ValueError, match="do not lie inside 40000 bytes"):
        either.parts(data, at, sizes, PARAMS, hole)
