# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The careful reader on things that really fail: unmapped memory (EIO by the kernel) and a bad block device where one can be had."""

from __future__ import annotations

import ctypes
import mmap
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from asl.sources import reader as reader_module
from asl.sources.base import DATA, HOLE, READ_SIZE, UNREAD
from asl.sources.device import DeviceSource
from asl.sources.patient import PatientReader
from asl.sources.reader import Reader, extents

PAGE = mmap.PAGESIZE
SIZE = 3 * READ_SIZE
MAP_FIXED = 0x10
LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.mmap.restype = ctypes.c_void_p
LIBC.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
LIBC.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]


@contextmanager
def memory_with_gaps(content: bytes, gaps: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """(fd, offset): at OFFSET of the file stand CONTENT's bytes, but reading the GAPS (start, length; whole pages) is EIO."""
    length = len(content) + READ_SIZE
    start = LIBC.mmap(None, length, mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, 0)
    at = (start + READ_SIZE - 1) // READ_SIZE * READ_SIZE
    ctypes.memmove(at, content, len(content))
    # Pages of a mapped file that lie behind its end cannot be had, and nothing else is ever put there.
    empty = os.memfd_create("empty")
    for gap, size in gaps:
        assert LIBC.mmap(at + gap, size, mmap.PROT_READ, mmap.MAP_SHARED | MAP_FIXED, empty, 0) == at + gap
    os.close(empty)
    fd = os.open("/proc/self/mem", os.O_RDONLY)
    try:
        yield fd, at
    finally:
        os.close(fd)
        LIBC.munmap(start, length)


@pytest.mark.parametrize(
    "gaps",
    [
        [],
        [(0, PAGE)],
        [(SIZE - PAGE, PAGE)],
        [(5 * PAGE, PAGE), (7 * PAGE, 2 * PAGE)],
        [(READ_SIZE - 2 * PAGE, 4 * PAGE)],
        [(0, READ_SIZE), (READ_SIZE + 64 * 1024, 64 * 1024)],
        [(0, SIZE)],
    ],
)
def test_what_cannot_be_read_is_told_and_the_rest_is_read(gaps: list[tuple[int, int]]) -> None:
    content = os.urandom(SIZE)
    reports: list[tuple[int, int, str]] = []
    with memory_with_gaps(content, gaps) as (fd, base):
        reader = Reader(fd, lambda at, length, why: reports.append((at - base, length, why)))
        got, unread = bytearray(), []
        for piece in reader.pieces(base, base + SIZE):
            assert piece.kind in (DATA, UNREAD) and piece.length > 0
            if piece.kind == UNREAD:
                unread.append((len(got), piece.length))
            got += bytes(piece.data) if piece.data is not None else bytes(piece.length)
        reader.close()
    expected = bytearray(content)
    for at, length in gaps:
        expected[at : at + length] = bytes(length)
    assert unread == gaps and reports == [(at, length, "Input/output error") for at, length in gaps]
    assert got == expected


@pytest.mark.parametrize("gaps", [[], [(5 * PAGE, PAGE), (7 * PAGE, 2 * PAGE)], [(0, READ_SIZE), (READ_SIZE + 64 * 1024, 64 * 1024)]])
def test_reads_with_a_deadline_find_the_same(gaps: list[tuple[int, int]]) -> None:
    content, reports, unread = os.urandom(SIZE), [], []
    with memory_with_gaps(content, gaps) as (fd, base):
        reader = Reader(fd, lambda at, length, _why: reports.append((at - base, length)), patient=PatientReader(fd, 30))
        got = bytearray()
        for piece in reader.pieces(base, base + SIZE):
            unread += [(len(got), piece.length)] * (piece.kind == UNREAD)
            got += bytes(piece.data) if piece.data is not None else content[len(got) : len(got) + piece.length]
        reader.close()
        with pytest.raises(OSError, match="Bad file descriptor"):
            list(reader.pieces(base, base + SIZE))
    assert unread == reports == gaps and got == content


class Hanging(PatientReader):
    """Each of its processes stops for good when it is to read."""

    def _start(self) -> None:
        super()._start()
        os.kill(self._pid, signal.SIGSTOP)


def test_a_device_that_does_not_answer_is_left_alone_after_three_reads(tmp_path: Path) -> None:
    reports: list[tuple[int, int, str]] = []
    fd = os.open(readable(b"a" * SIZE, tmp_path, "a"), os.O_RDONLY)
    patient = Hanging(fd, 0.1)
    reader = Reader(fd, lambda *told: reports.append(told), patient=patient)
    try:
        assert [(piece.kind, piece.length) for piece in reader.pieces(0, READ_SIZE)] == [(UNREAD, READ_SIZE)]
        assert [(piece.kind, piece.length) for piece in reader.pieces(READ_SIZE, SIZE)] == [(UNREAD, SIZE - READ_SIZE)]
    finally:
        reader.close()
        os.close(fd)
    assert patient.abandoned == 3 and reports[1][2] == "3 reads in a row did not come back within 0.1 seconds each"


def test_large_content_is_read_ahead_past_errors_and_may_be_left_half_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader_module, "_KEEP", READ_SIZE)
    monkeypatch.setattr(reader_module, "LENT_SIZE", READ_SIZE)
    content = os.urandom(SIZE)
    gaps = [(READ_SIZE + 8 * PAGE, PAGE), (2 * READ_SIZE, PAGE)]
    with memory_with_gaps(content, gaps) as (fd, base):
        reader = Reader(fd, lambda *_: None)
        got = bytearray()
        for piece in reader.pieces(base, base + SIZE):
            got += bytes(piece.data) if piece.data is not None else bytes(piece.length)
        for at, length in gaps:
            assert got[at : at + length] == bytes(length)
            got[at : at + length] = content[at : at + length]
        assert got == content
        half = reader.pieces(base, base + SIZE)
        first = next(half)
        assert first.data is not None and bytes(first.data) == content[: first.length]
        half.close()  # nobody reads from the descriptor any more
        assert not [thread for thread in threading.enumerate() if thread.name.startswith("asl-read")]


def readable(content: bytes, folder: Path, name: str) -> str:
    (folder / name).write_bytes(content)
    return str(folder / name)


def test_a_reader_that_is_closed_reads_no_file_that_has_got_its_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader_module, "_KEEP", READ_SIZE)
    monkeypatch.setattr(reader_module, "LENT_SIZE", READ_SIZE)
    fd = os.open(readable(b"a" * SIZE, tmp_path, "a"), os.O_RDONLY)
    reader = Reader(fd, lambda *_: None)
    half = reader.pieces(0, SIZE)
    next(half)
    reader.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("asl-read")]
    os.close(fd)
    other = os.open(readable(b"b" * SIZE, tmp_path, "b"), os.O_RDONLY)
    try:
        assert other == fd, "the number is not given again: this shows nothing"
        with pytest.raises(OSError, match="Bad file descriptor"):
            list(half)
    finally:
        os.close(other)


def test_a_source_that_is_left_half_read_waits_for_its_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader_module, "_KEEP", READ_SIZE)
    monkeypatch.setattr(reader_module, "LENT_SIZE", READ_SIZE)
    path = readable(b"a" * SIZE, tmp_path, "image")
    with DeviceSource(f"device:{path}", path) as source:
        half = source.content().pieces()
        next(half)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("asl-read")]
    other = os.open(readable(b"b" * SIZE, tmp_path, "b"), os.O_RDONLY)
    try:
        with pytest.raises(OSError, match="Bad file descriptor"):
            list(half)
    finally:
        os.close(other)


def test_reading_ends_where_the_file_ends(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"x" * 5000)
    fd = os.open(tmp_path / "f", os.O_RDONLY)
    try:
        reader = Reader(fd, lambda *_: pytest.fail("nothing is unread"))
        assert sum(piece.length for piece in reader.pieces(0, 1 << 30)) == 5000
        assert [piece.length for piece in reader.pieces(4000, 4500)] == [500]
    finally:
        os.close(fd)


def test_a_bad_descriptor_is_no_bad_disk(tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_PATH)
    try:
        with pytest.raises(OSError, match="Bad file descriptor"):
            list(Reader(fd, lambda *_: None).pieces(0, 10))
    finally:
        os.close(fd)


def test_extents_cover_a_sparse_file_exactly(tmp_path: Path) -> None:
    with (tmp_path / "f").open("wb") as file:
        file.truncate(10 << 20)
        for at in (0, 3 << 20, (10 << 20) - 1):
            file.seek(at)
            file.write(b"x")
    fd = os.open(tmp_path / "f", os.O_RDONLY)
    try:
        found = list(extents(fd, 10 << 20))
        assert [start for _, start, _ in found[1:]] == [end for _, _, end in found[:-1]]
        assert (found[0][1], found[-1][2]) == (0, 10 << 20)
        assert {HOLE, DATA} == {kind for kind, _, _ in found}
        assert list(extents(fd, 100))[-1][2] == 100
    finally:
        os.close(fd)


@pytest.mark.skipif(os.geteuid() != 0, reason="loop devices need root")
def test_a_block_device_loses_no_more_than_its_bad_sectors(tmp_path: Path) -> None:
    bad = [(512 * 7, 512), (1 << 20, 1536), ((2 << 20) - 512, 1024)]
    content = os.urandom(4 << 20)
    (tmp_path / "image").write_bytes(content)
    lines, at = ["0 + 1"], 0
    for start, length in bad:
        lines += [f"{at:#x} {start - at:#x} +", f"{start:#x} {length:#x} -"]
        at = start + length
    (tmp_path / "map").write_text("\n".join([*lines, f"{at:#x} {len(content) - at:#x} +"]) + "\n")
    (tmp_path / "disk").write_bytes(b"")
    nbdkit = ["nbdkit", "--exit-with-parent", "--filter=ddrescue", "file", f"{tmp_path}/image", f"ddrescue-mapfile={tmp_path}/map"]
    fuse = subprocess.Popen(["nbdfuse", "-r", str(tmp_path / "disk"), "[", *nbdkit, "]"])
    loop = ""
    try:
        _wait_for_mount(str(tmp_path / "disk"))
        attach = ["losetup", "--direct-io=on", "-r", "-f", "--show", str(tmp_path / "disk")]
        loop = subprocess.run(attach, check=True, capture_output=True, text=True).stdout.strip()
        with DeviceSource(f"device:{loop}", loop) as source:
            got, unread = bytearray(), []
            for piece in source.content().pieces():
                if piece.kind == UNREAD:
                    unread.append((len(got), piece.length))
                got += bytes(piece.data) if piece.data is not None else content[len(got) : len(got) + piece.length]
        assert unread == bad and got == content
        assert [loss.where for loss in source.losses] == [f"{loop}: {length} bytes at {start}" for start, length in bad]
    finally:
        if loop:
            subprocess.run(["losetup", "-d", loop], check=True)
        subprocess.run(["umount", str(tmp_path / "disk")], check=False)
        fuse.wait()


def _wait_for_mount(path: str) -> None:
    """Wait until PATH is a mount point: the kernel reports changes of the mount table as POLLPRI (proc(5))."""
    import select

    with open("/proc/self/mounts", "rb") as table:
        poll = select.poll()
        poll.register(table, select.POLLERR | select.POLLPRI)
        while not any(line.split()[1] == os.fsencode(path) for line in table.read().splitlines()):
            assert poll.poll(20_000), "nbdfuse did not mount"
            table.seek(0)
