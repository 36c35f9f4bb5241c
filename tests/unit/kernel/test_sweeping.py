# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A failing disk read step by step: both halves of the kernel answer the same, and tell on their way how far they have come."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Union

import pytest

from asl import kernel
from asl.kernel.sweeping import COME, DEPTH, Descriptors, NativeSweeper, PythonSweeper, Sweep

PAGES, PAGE = 48, 4096
Sweeper = Union[PythonSweeper, NativeSweeper]


@pytest.fixture(params=["libasl", "python"])
def sweeper(request: pytest.FixtureRequest) -> Sweeper:
    """Either half."""
    native = kernel.load()
    if request.param == "python":
        return PythonSweeper()
    assert native.name == "libasl"
    return native.sweeper


class Disk:
    """Memory as /proc/self/mem shows it: pages that a mapping has beyond the end of its file cannot be read (EIO)."""

    def __init__(self, file: Path, bad: set[int]) -> None:
        self.content = os.urandom(PAGES * PAGE)
        file.write_bytes(self.content)
        self._memory = mmap.mmap(-1, PAGES * PAGE)
        self.at = ctypes.addressof(ctypes.c_char.from_buffer(self._memory))
        libc, fd = ctypes.CDLL(None, use_errno=True), os.open(file, os.O_RDONLY)
        libc.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long)
        libc.mmap.restype = ctypes.c_void_p
        for page in range(PAGES):
            where = page + (PAGES + 10 if page in bad else 0)
            placed = libc.mmap(self.at + page * PAGE, PAGE, mmap.PROT_READ, mmap.MAP_PRIVATE | 0x10, fd, where * PAGE)  # MAP_FIXED
            assert placed == self.at + page * PAGE
        os.close(fd)
        mem = os.open("/proc/self/mem", os.O_RDONLY)
        self.fds = Descriptors(mem, mem)

    def close(self) -> None:
        os.close(self.fds.plain)


def swept(half: Sweeper, disk: Disk, wanted: Sweep) -> tuple[int, int, int, bytes, tuple[int, ...]]:
    """The answer, what was read, and what was told."""
    into, shared = memoryview(mmap.mmap(-1, PAGES * PAGE))[: wanted.size], mmap.mmap(-1, PAGE)
    good, bad, failed = half.sweep(disk.fds, wanted._replace(at=disk.at + wanted.at), into, shared, 64)
    return good, bad, failed, bytes(into[:good]), COME.unpack_from(shared, 64)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """Bad are the pages 5, 20 to 23, and the last."""
    made = Disk(tmp_path / "content", {5, 20, 21, 22, 23, PAGES - 1})
    yield made
    made.close()


@pytest.mark.parametrize("depth", [1, 2, DEPTH])
def test_reading_ends_at_what_cannot_be_read(sweeper: Sweeper, disk: Disk, depth: int) -> None:
    found = swept(sweeper, disk, Sweep(PAGE, 40 * PAGE, PAGE, 1, depth, False, 10.0, 7))
    assert found == (4 * PAGE, 1, errno.EIO, disk.content[PAGE : 5 * PAGE], (7, 4 * PAGE, 1))
    found = swept(sweeper, disk, Sweep(0, 40 * PAGE, PAGE, 3, depth, True, 10.0, 8))
    assert found == (16 * PAGE, 3, errno.EIO, disk.content[24 * PAGE : 40 * PAGE], (8, 16 * PAGE, 3))
    found = swept(sweeper, disk, Sweep(20 * PAGE, 10 * PAGE, PAGE, 100, depth, False, 10.0, 9))
    assert found == (0, 4, errno.EIO, b"", (9, 0, 4))


def test_both_halves_answer_the_same_whatever_is_under_way_at_a_time(disk: Disk) -> None:
    rng = random.Random(3)
    native, twin = kernel.load().sweeper, PythonSweeper()
    assert isinstance(native, NativeSweeper)
    for _ in range(400):
        start, end = sorted(rng.sample(range(0, PAGES * PAGE + 1, 512), 2))
        step, depth = rng.choice([512, 4096, 8192, 5 * 512]), rng.randint(1, DEPTH)
        wanted = Sweep(start, end - start, step, rng.randint(1, 20), depth, rng.random() < 0.5, 10.0, 1)
        assert swept(native, disk, wanted) == swept(twin, disk, wanted), wanted


def test_only_the_first_step_is_read_where_there_is_no_time(sweeper: Sweeper, disk: Disk) -> None:
    found = swept(sweeper, disk, Sweep(0, 5 * PAGE, PAGE, 4, 4, False, 0.0, 1))
    assert found == (PAGE, 0, 0, disk.content[:PAGE], (1, PAGE, 0))


def test_where_the_cache_cannot_be_bypassed_it_is_not(sweeper: Sweeper, tmp_path: Path) -> None:
    """What is not whole sectors is refused past the cache, and the end of the device is none of its steps."""
    data = os.urandom(10 * PAGE + 100)
    (tmp_path / "disk").write_bytes(data)
    plain = os.open(tmp_path / "disk", os.O_RDONLY)
    direct = os.open(tmp_path / "disk", os.O_RDONLY | os.O_DIRECT)
    into, shared = memoryview(mmap.mmap(-1, 16 * PAGE)), mmap.mmap(-1, PAGE)
    try:
        for fds in (Descriptors(direct, plain), Descriptors(-1, plain)):
            assert sweeper.sweep(fds, Sweep(0, len(data), 512, 4, 4, False, 10.0, 1), into, shared, 0) == (len(data), 0, 0)
            assert into[: len(data)] == data
            odd = Sweep(100, 300, 7, 4, 4, False, 10.0, 2)
            assert sweeper.sweep(fds, odd, into[:300], shared, 0) == (300, 0, 0) and into[:300] == data[100:400]
            beyond = Sweep(10 * PAGE - 512, 3 * PAGE, 512, 1, 1, False, 10.0, 3)
            assert sweeper.sweep(fds, beyond, into, shared, 0) == (512, 1, errno.EIO), "it ends before its size"
    finally:
        os.close(plain)
        os.close(direct)


@pytest.mark.parametrize(
    "change",
    [{"size": 4097}, {"size": -1}, {"at": -1}, {"step": 0}, {"most_bad": 0}, {"depth": 0}, {"depth": DEPTH + 1}, {"patience": -1.0}],
)
def test_what_cannot_be_is_refused(sweeper: Sweeper, change: dict[str, int]) -> None:
    wanted = Sweep(0, 4096, 512, 1, 1, False, 1.0, 1)._replace(**change)
    with pytest.raises(ValueError, match="bytes"):
        sweeper.sweep(Descriptors(-1, 0), wanted, memoryview(bytearray(4096)), mmap.mmap(-1, PAGE), 0)
    with pytest.raises(ValueError, match="fit"):
        sweeper.sweep(Descriptors(-1, 0), wanted._replace(size=0), memoryview(bytearray(4096)), mmap.mmap(-1, PAGE), PAGE - 8)
