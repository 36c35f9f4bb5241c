# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Digests, sinks, look-up and filters: the twins against each other and against hashlib read literally."""

from __future__ import annotations

import hashlib
import mmap
import os
import random
import struct
from array import array
from concurrent.futures import ThreadPoolExecutor
from io import FileIO
from pathlib import Path
from typing import Union

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asl.formats import artifact
from asl.kernel import Kernel, Mapped
from asl.kernel.native import NativeKernel
from asl.kernel.python import PythonKernel

RECORD = 44


Case = tuple[bytes, list[tuple[int, int]]]


@st.composite
def cut_up(draw: st.DrawFn) -> Case:
    data = draw(st.binary(max_size=3000))
    places = st.integers(0, len(data))
    return data, [(min(pair), max(pair)) for pair in draw(st.lists(st.tuples(places, places), max_size=150))]


def flat(spans: list[tuple[int, int]]) -> array[int]:
    return array("Q", [place for span in spans for place in span])


@settings(max_examples=100, deadline=None)
@given(cut_up())
def test_digests_are_those_of_untagged_artifacts(
    native: NativeKernel, twin: PythonKernel, case: tuple[bytes, list[tuple[int, int]]]
) -> None:
    data, spans = case
    expected = b"".join(artifact.digest(data[start:end]) for start, end in spans)
    for kernel in (native, twin):
        assert kernel.digests(data, flat(spans)) == expected
        assert kernel.digests(bytearray(data), flat(spans)) == expected


@settings(max_examples=50, deadline=None)
@given(st.lists(st.one_of(st.binary(max_size=300), cut_up()), max_size=5))
def test_a_sink_writes_what_it_hashes(either: Kernel, tmp_path_factory: pytest.TempPathFactory, parts: list[Union[bytes, Case]]) -> None:
    expected = b""
    for part in parts:
        if isinstance(part, bytes):
            expected += part
        else:
            expected += b"".join(artifact.header(end - start) + part[0][start:end] for start, end in part[1])
    path = tmp_path_factory.mktemp("sink") / "file"
    with path.open("wb", buffering=0) as file:
        sink = either.sink(lambda data: _write(file, data), file.fileno())
        for part in parts:
            if isinstance(part, bytes):
                sink.put(part)
            else:
                sink.chunks(part[0], flat(part[1]))
        assert sink.digest() == hashlib.sha256(expected).digest()
    assert path.read_bytes() == expected


def test_a_sink_may_hash_in_one_thread_and_write_in_another(either: Kernel, tmp_path: Path) -> None:
    parts = [random.Random(seed).randbytes(300_000) for seed in range(8)]
    spans = array("Q", (0, 7, 1000, 299_999, 5, 5))
    expected = b"".join(artifact.header(end - start) + part[start:end] for part in parts for start, end in zip(spans[::2], spans[1::2]))
    with (tmp_path / "file").open("wb", buffering=0) as file, ThreadPoolExecutor(1) as other:
        sink = either.sink(lambda data: _write(file, data), file.fileno())
        written = [other.submit(sink.write_chunks, part, spans) for part in parts]
        for part in parts:
            sink.hash_chunks(part, spans)
        for each in written:
            each.result()
        assert sink.digest() == hashlib.sha256(expected).digest()
    assert (tmp_path / "file").read_bytes() == expected


def _write(file: FileIO, data: Union[bytes, bytearray, memoryview]) -> None:
    assert file.write(data) == len(data)


def test_a_sink_tells_why_it_cannot_write(native: NativeKernel) -> None:
    if not os.path.exists("/dev/full"):
        pytest.fail("/dev/full is missing")
    with open("/dev/full", "wb", buffering=0) as full, pytest.raises(OSError, match="No space left") as caught:
        native.sink(lambda _: None, full.fileno()).chunks(b"data", array("Q", (0, 4)))
    assert caught.value.errno == 28


@pytest.mark.parametrize("spans", [(0, 5), (3, 2), (5, 5), (0, 2**64 - 1)])
def test_spans_outside_are_refused(either: Kernel, tmp_path: Path, spans: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="lie inside"):
        either.digests(b"four", array("Q", spans))
    with (tmp_path / "file").open("wb", buffering=0) as file, pytest.raises(ValueError, match="lie inside"):
        either.sink(lambda _: None, file.fileno()).chunks(b"four", array("Q", spans))
    with pytest.raises(ValueError, match="spans"):
        either.digests(b"four", array("Q", (0,)))


def records(count: int, seed: int, skew: bool = False) -> list[bytes]:
    """Sorted records; with SKEW all digests lie close together, so that their places cannot be guessed."""
    rng = random.Random(seed)
    head = b"\x42" * 7 if skew else b""
    return sorted({head + rng.randbytes(RECORD - len(head)) for _ in range(count)})


@pytest.mark.parametrize("skew", [False, True])
@pytest.mark.parametrize("count", [0, 1, 2, 3, 50, 3000])
def test_look_up_finds_what_is_there_and_nothing_else(native: NativeKernel, twin: PythonKernel, count: int, skew: bool) -> None:
    old, new = records(count, 1, skew), records(count // 2, 2, skew)
    filtered = twin.filter(b"".join(old), 64 * (count // 40 + 1))
    whole = [
        Mapped(b"head" + b"".join(new), 4, len(new)),
        Mapped(filtered + b"".join(old), len(filtered), len(old), 0, len(filtered)),
    ]
    wanted = [each[:32] for each in [*old[:200], *new[:200]]]
    # Neighbours of what is there: one more, one less in the last byte.
    near = [each[:31] + bytes([(each[31] + step) % 256]) for each in wanted[:100] for step in (1, 255)]
    absent = [each for each in [*near, bytes(32), b"\xff" * 32, *(os.urandom(32) for _ in range(100))] if each not in wanted]
    tables = [native.table(whole), twin.table(whole)]
    for digest in wanted:
        expected = next((s, n) for s, part in enumerate((new, old)) for n, each in enumerate(part) if each[:32] == digest)
        assert [table.find(digest) for table in tables] == [expected, expected]
    for digest in absent:
        assert [table.find(digest) for table in tables] == [None, None]
    asked = b"".join([*wanted, *absent])
    assert tables[0].known(asked) == tables[1].known(asked) == b"\1" * len(wanted) + bytes(len(absent))


def test_a_table_over_a_mapped_file(either: Kernel, tmp_path: Path) -> None:
    made = records(1000, 3)
    path = tmp_path / "segment"
    path.write_bytes(b"".join(made))
    with path.open("rb") as file:
        table = either.table([Mapped(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), 0, len(made))])
    assert table.find(made[512][:32]) == (0, 512)


@pytest.mark.parametrize(
    "wrong", [Mapped(bytes(100), 60, 1), Mapped(bytes(100), 0, 3), Mapped(bytes(100), 0, 1, 0, 63), Mapped(bytes(100), 0, 1, 64, 64)]
)
def test_areas_outside_of_their_data_are_refused(either: Kernel, wrong: Mapped) -> None:
    with pytest.raises(ValueError, match="outside"):
        either.table([wrong])


def test_filters_are_equal_and_seldom_wrong(native: NativeKernel, twin: PythonKernel) -> None:
    made = b"".join(records(4000, 4))
    size = 64 * (4000 * 12 // 512 + 1)
    filtered = native.filter(made, size)
    assert filtered == twin.filter(made, size)
    hits = 0
    for number in range(20_000):
        digest = hashlib.sha256(struct.pack("<Q", number)).digest()
        block = int.from_bytes(digest[:8], "big") * (size // 64) >> 64
        word = int.from_bytes(digest[8:16], "little")
        line = filtered[64 * block : 64 * block + 64]
        hits += all(line[(word >> 9 * i & 511) >> 3] >> (word >> 9 * i & 7) & 1 for i in range(7))
    assert hits < 400  # two in a hundred; about one is usual
    for size in (0, -64, 63):
        with pytest.raises(ValueError, match="no filter"):
            native.filter(made, size)
