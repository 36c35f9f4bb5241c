# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs of zero pages: the twins against the rule read literally, and the edges."""

from __future__ import annotations

import mmap
import os
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asl.kernel import PAGE, Kernel
from asl.kernel.native import NativeKernel
from asl.kernel.python import PythonKernel


def literal(data: bytes, minimum: int) -> list[tuple[int, int]]:
    """The rule of Kernel.zero_runs, page by page."""
    runs: list[tuple[int, int]] = []
    for start in range(0, len(data), PAGE):
        end = min(start + PAGE, len(data))
        if any(data[start:end]):
            continue
        if runs and runs[-1][1] == start:
            start = runs.pop()[0]  # noqa: PLW2901
        runs.append((start, end))
    return [(start, end) for start, end in runs if end - start >= minimum or start == 0 or end == len(data)]


@st.composite
def pages(draw: st.DrawFn) -> bytes:
    """Zero pages and pages with one byte set anywhere, and a rest."""
    marks = draw(st.lists(st.one_of(st.none(), st.none(), st.integers(0, PAGE - 1)), max_size=24))
    data = bytearray(len(marks) * PAGE)
    for number, mark in enumerate(marks):
        if mark is not None:
            data[number * PAGE + mark] = 1
    return bytes(data) + draw(st.sampled_from([b"", b"\x00", bytes(255), bytes(256), bytes(4000), bytes(300) + b"\x01", b"\x80"]))


@settings(max_examples=200, deadline=None)
@given(pages(), st.one_of(st.integers(0, 6 * PAGE), st.just(2**70)))
def test_both_kernels_follow_the_rule(native: NativeKernel, twin: PythonKernel, data: bytes, minimum: int) -> None:
    expected = literal(data, minimum)
    assert native.zero_runs(data, minimum) == expected
    assert twin.zero_runs(data, minimum) == expected


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 15), pages())
def test_unaligned_memory(native: NativeKernel, twin: PythonKernel, shift: int, data: bytes) -> None:
    view = memoryview(b"\x01" * shift + data)[shift:]
    assert native.zero_runs(view, 0) == twin.zero_runs(view, 0) == literal(data, 0)


def test_every_single_byte_of_a_page_counts(either: Kernel) -> None:
    page = bytearray(PAGE)
    for at in range(PAGE):
        page[at] = 1
        assert either.zero_runs(page, 0) == []
        page[at] = 0
    assert either.zero_runs(page, 0) == [(0, PAGE)]


def test_megabytes(native: NativeKernel, twin: PythonKernel) -> None:
    data = bytes(3 << 20) + random.Random(1).randbytes(100_000) + bytes(2 << 20) + b"\x01" + bytes(1 << 20)
    runs = native.zero_runs(data, 1 << 16)
    assert runs == twin.zero_runs(data, 1 << 16)
    assert runs[0] == (0, 3 << 20)
    assert runs[-1][1] == len(data)
    assert len(runs) == 3


def test_more_runs_than_one_call_returns(native: NativeKernel, twin: PythonKernel) -> None:
    data = (bytes(PAGE) + b"\x01" * PAGE) * 5000
    runs = native.zero_runs(data, 0)
    assert runs == [(at, at + PAGE) for at in range(0, len(data), 2 * PAGE)]
    assert twin.zero_runs(data, 0) == runs


def test_nothing_and_a_mapped_file(either: Kernel, tmp_path: Path) -> None:
    assert either.zero_runs(b"", 0) == []
    path = tmp_path / "sparse"
    path.touch()
    os.truncate(path, 1 << 20)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        assert either.zero_runs(mapped, 4096) == [(0, 1 << 20)]


def test_wrong_arguments_are_refused(either: Kernel) -> None:
    with pytest.raises(ValueError, match="minimum is -1"):
        either.zero_runs(b"", -1)
    with pytest.raises(TypeError):
        either.zero_runs("text", 0)  # type: ignore[arg-type]
