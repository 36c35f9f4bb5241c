# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Chunk boundaries: the rule read literally, the twins against each other, streams in slices, and the limits."""

from __future__ import annotations

import mmap
import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asl.errors import Usage
from asl.kernel import ChunkParams, Kernel
from asl.kernel.native import NativeKernel
from asl.kernel.python import GEAR, PythonKernel

TINY = ChunkParams(8, 32, 128)


@st.composite
def chunk_params(draw: st.DrawFn) -> ChunkParams:
    average = 1 << draw(st.integers(4, 9))
    return ChunkParams(draw(st.integers(1, average)), average, draw(st.integers(average, 6 * average)))


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    """A few pieces of noise, zeros and repetition, together some KiB: enough for many tiny chunks."""
    pieces = draw(st.lists(st.tuples(st.sampled_from("nzr"), st.integers(0, 1500), st.integers(0, 2**32)), max_size=6))
    return b"".join(
        random.Random(seed).randbytes(size) if kind == "n" else bytes([seed % 256 * (kind == "r")]) * size for kind, size, seed in pieces
    )


def literal(data: bytes, params: ChunkParams) -> list[int]:
    """The rule of Kernel.cut word by word, byte by byte."""
    bits, ends, start = params.average.bit_length() - 1, [], 0
    while start < len(data):
        value, size = 0, min(params.maximum, len(data) - start)
        for i in range(params.minimum, size):
            value = ((value << 1) + GEAR[data[start + i]]) % 2**64
            if value >> (64 - (bits + 2 if i < params.average else bits - 2)) == 0:
                size = i + 1
                break
        start += size
        ends.append(start)
    return ends


def cut_stream(kernel: Kernel, data: bytes, params: ChunkParams, sizes: list[int]) -> list[int]:
    """Ends of a stream that arrives in slices of the given sizes, then the rest, as the contract tells a reader to do it."""
    ends: list[int] = []
    kept, seen = 0, 0
    for size in [*sizes, len(data)]:
        seen = min(seen + size, len(data))
        found = kernel.cut(memoryview(data)[kept:seen], params, False)
        ends += [kept + end for end in found]
        kept = ends[-1] if ends else 0
        assert seen - kept < params.maximum
    return ends + [kept + end for end in kernel.cut(data[kept:], params, True)]


@settings(max_examples=150, deadline=None)
@given(streams(), chunk_params())
def test_both_kernels_follow_the_rule(native: NativeKernel, twin: PythonKernel, data: bytes, params: ChunkParams) -> None:
    expected = literal(data, params)
    assert native.cut(data, params, True) == expected
    assert twin.cut(data, params, True) == expected
    assert native.cut(data, params, False) == twin.cut(data, params, False)


@settings(max_examples=150, deadline=None)
@given(streams(), chunk_params(), st.lists(st.integers(0, 700), max_size=12))
def test_slices_do_not_move_boundaries(
    native: NativeKernel, twin: PythonKernel, data: bytes, params: ChunkParams, sizes: list[int]
) -> None:
    whole = native.cut(data, params, True)
    assert cut_stream(native, data, params, sizes) == whole
    assert cut_stream(twin, data, params, sizes) == whole


def test_default_sizes_on_megabytes(native: NativeKernel, twin: PythonKernel) -> None:
    data = random.Random(1).randbytes(1_500_000) + bytes(600_000) + random.Random(2).randbytes(400_001)
    ends = native.cut(data, ChunkParams(), True)
    sizes = [end - start for start, end in zip([0, *ends], ends)]
    assert twin.cut(data, ChunkParams(), True) == ends
    assert all(16 * 1024 < size <= 256 * 1024 for size in sizes[:-1])
    assert ends[-1] == len(data)


@pytest.mark.parametrize("params", [ChunkParams(1, 4096, 65536), ChunkParams(1001, 2048, 9999), ChunkParams(4096, 4096, 4096 + 1025)])
def test_long_chunks_follow_the_rule(native: NativeKernel, twin: PythonKernel, params: ChunkParams) -> None:
    """So long that two stretches of one are hashed side by side; with the first of two boundaries in either."""
    data = random.Random(5).randbytes(500_000)
    expected = literal(data, params)
    assert len({(end - 1 - start - params.minimum) % 1024 // 512 for start, end in zip([0, *expected], expected)}) == 2
    assert native.cut(data, params, True) == expected
    assert twin.cut(data, params, True) == expected


def test_more_chunks_than_one_call_returns(native: NativeKernel, twin: PythonKernel) -> None:
    data, params = random.Random(3).randbytes(200_000), ChunkParams(1, 16, 16)
    ends = native.cut(data, params, True)
    assert len(ends) > 2 * 4096
    assert ends == twin.cut(data, params, True)


def test_an_inserted_byte_moves_boundaries_only_near_it(either: Kernel) -> None:
    data = random.Random(4).randbytes(40_000)
    before = set(either.cut(data, TINY, True))
    after = {end - 1 for end in either.cut(b"!" + data, TINY, True)}
    assert len(before) > 500
    assert max(before - after, default=0) < 4_000


def test_what_data_does_not_decide_is_left_to_the_caller(either: Kernel) -> None:
    undecided = b"\xff" * 1023  # this byte never ends a chunk of these sizes before the maximum
    params = ChunkParams(64, 256, 1024)
    assert either.cut(undecided, params, False) == []
    assert either.cut(undecided, params, True) == [1023]
    assert either.cut(undecided + b"\xff", params, False) == [1024]
    assert either.cut(b"", params, False) == []
    assert either.cut(b"", params, True) == []


def test_any_contiguous_buffer_is_data(either: Kernel, tmp_path: Path) -> None:
    data = random.Random(5).randbytes(8192)
    expected = either.cut(data, TINY, True)
    path = tmp_path / "data"
    path.write_bytes(data)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        assert either.cut(mapped, TINY, True) == expected
    growing = bytearray(data)
    assert either.cut(growing, TINY, True) == expected
    growing.extend(b"free to grow again")
    assert either.cut(memoryview(data).cast("I"), TINY, True) == expected
    assert either.cut(memoryview(b"xx" + data)[2:], TINY, True) == expected


def test_other_objects_are_refused(either: Kernel) -> None:
    for wrong in ("text", None, 7, memoryview(b"abcdef")[::2]):
        with pytest.raises(TypeError):
            either.cut(wrong, TINY, True)  # type: ignore[arg-type]


def test_threads_share_a_kernel(either: Kernel) -> None:
    data = [random.Random(seed).randbytes(20_000) for seed in range(8)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda part: either.cut(part, TINY, True), data))
    assert together == [either.cut(part, TINY, True) for part in data]


def test_sizes_for_an_average() -> None:
    assert ChunkParams() == ChunkParams.for_average(65536) == ChunkParams(16384, 65536, 262144)
    assert ChunkParams.for_average(16) == ChunkParams(4, 16, 64)


@pytest.mark.parametrize(
    "sizes",
    [(0, 64, 256), (65, 64, 256), (16, 64, 63), (16, 65, 256), (2, 8, 32), (16, 0, 256), (16, -64, 256), (16, 64, 2**40 + 1)],
)
def test_impossible_sizes_are_refused(sizes: tuple[int, int, int]) -> None:
    with pytest.raises(Usage) as refused:
        ChunkParams(*sizes)
    assert refused.value.reason == "CHUNK_SIZES_INVALID"
    assert "/".join(map(str, sizes)) in refused.value.message


def test_largest_sizes_do_not_overflow(either: Kernel) -> None:
    assert either.cut(bytes(5000), ChunkParams(2**40, 2**40, 2**40), True) == [5000]
    assert either.cut(bytes(5000), ChunkParams(1, 2**40, 2**40), False) == []
