# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The process that reads a failing disk for others: what it answers, ahead and in time, and what becomes of it when it hangs."""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from asl.kernel import sweeping
from asl.kernel.python import PythonKernel
from asl.kernel.sweeping import Descriptors
from asl.sources import patient
from asl.sources.mapfile import READ, RescueMap
from asl.sources.media import Media
from asl.sources.passes import Passes, Stop
from asl.sources.patient import PatientReader, Step

SECTOR = 512
STEP = Step(4096)
TWIN = PythonKernel("a test puts its own reads in")


def test_the_reading_process_gives_the_bytes(tmp_path: Path) -> None:
    data = os.urandom((3 << 20) + 700)
    (tmp_path / "disk").write_bytes(data)
    fd = os.open(tmp_path / "disk", os.O_RDONLY)
    reader = PatientReader(fd, 30)
    try:
        first = reader.read(0, 1 << 20, ahead=[(1 << 20, 1 << 20), (2 << 20, 1 << 20)])
        second = reader.read(1 << 20, 1 << 20, ahead=[(2 << 20, 1 << 20), (0, 4096)])
        assert bytes(first) + bytes(second) == data[: 2 << 20], "the one before is still there"
        assert bytes(reader.read(3 << 20, 4096)) == data[3 << 20 :], "what was asked for ahead and not wanted is not mistaken for it"
        for backward in (False, True):
            assert reader.sweep(512, 4096, Step(SECTOR), backward=backward) == (memoryview(data)[512 : 512 + 4096], 0, 0, False, SECTOR)
    finally:
        reader.close()
        os.close(fd)


def test_what_was_asked_for_ahead_is_not_read_behind_an_error_but_when_it_is_asked_for() -> None:
    kept = ctypes.create_string_buffer(os.urandom(4096), 4096)
    fd, there = os.open("/proc/self/mem", os.O_RDONLY), ctypes.addressof(kept)
    reader = PatientReader(fd, 30)
    try:
        with pytest.raises(OSError, match="Input/output error"):
            reader.read(0, 4096, ahead=[(there, 1024), (there + 1024, 1024), (there + 2048, 1024)])
        assert bytes(reader.read(there, 1024, ahead=[(there + 1024, 1024)])) == kept.raw[:1024]
        assert bytes(reader.read(there + 1024, 1024)) == kept.raw[1024:2048]
    finally:
        reader.close()
        os.close(fd)


def test_what_was_prepared_is_what_is_read_next_and_what_was_asked_for_ahead_is_forgotten(tmp_path: Path) -> None:
    data = os.urandom(65536)
    (tmp_path / "disk").write_bytes(data)
    fd = os.open(tmp_path / "disk", os.O_RDONLY)
    reader = PatientReader(fd, 30)
    try:
        reader.prepare(0, 4096, STEP, backward=False)  # nothing to prepare for yet
        assert reader.sweep(0, 4096, STEP, backward=False, ahead=[(4096, 4096), (8192, 4096)]).data == data[:4096]
        reader.prepare(32768, 8192, STEP, backward=True)
        assert reader.sweep(32768, 8192, Step(SECTOR), backward=True) == (memoryview(data)[32768:40960], 0, 0, False, 4096)
        reader.prepare(0, 512, STEP, backward=False)
        assert reader.sweep(4096, 512, STEP, backward=False).data == data[4096:4608], "another wish than the prepared one"
    finally:
        reader.close()
        os.close(fd)


def test_descriptors_may_have_any_number(tmp_path: Path) -> None:
    """A process that has more than a thousand files open, as a map of each segment of a store is one."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    (tmp_path / "disk").write_bytes(b"x" * 4096)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    fd = os.open(tmp_path / "disk", os.O_RDONLY)
    others = [os.dup(fd) for _ in range(1100)]
    reader = PatientReader(fd, 30)
    try:
        assert reader.read(0, 4096) == b"x" * 4096 and reader._link is not None and reader._link.fileno() > 1023
    finally:
        reader.close()
        for each in [*others, fd]:
            os.close(each)
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_an_error_of_the_kernel_is_passed_on() -> None:
    fd = os.open("/proc/self/mem", os.O_RDONLY)  # reading unmapped memory is an input/output error, at once
    reader = PatientReader(fd, 30)
    try:
        with pytest.raises(OSError) as error:
            reader.read(0, 4096)
        assert error.value.errno == errno.EIO
        assert reader.sweep(0, 4096, Step(SECTOR), backward=False) == (b"", 1, errno.EIO, False, SECTOR)
        assert reader.sweep(0, 4096, Step(SECTOR, 5), backward=False) == (b"", 5, errno.EIO, False, SECTOR)
        assert reader.sweep(0, 4096, Step(SECTOR, 50), backward=True) == (b"", 8, errno.EIO, False, SECTOR)
    finally:
        reader.close()
        os.close(fd)


def test_steps_are_read_ahead_until_one_fails_or_takes_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was asked for ahead behind either is not read: it would be read again."""
    data, told, real = os.urandom(8 * 4096), tmp_path / "told", sweeping.read_at
    (tmp_path / "disk").write_bytes(data)

    def read(fds: Descriptors, into: memoryview, at: int) -> tuple[int, int]:
        with told.open("a") as file:
            file.write(f"{at} ")
        return (0, errno.EIO) if at <= 5000 < at + len(into) else real(fds, into, at)

    monkeypatch.setattr(sweeping, "read_at", read)
    fd = os.open(tmp_path / "disk", os.O_RDONLY)
    reader = PatientReader(fd, 30, TWIN)
    try:
        ahead = [(8192, 8192), (16384, 8192)]
        found = reader.sweep(0, 8192, STEP, backward=False, ahead=ahead)
        assert found == (memoryview(data)[:4096], 1, errno.EIO, False, 4096)
        assert reader.sweep(8192, 8192, STEP, backward=False, ahead=ahead[1:]).data == data[8192:16384]
        assert reader.sweep(16384, 8192, STEP, backward=False).data == data[16384:24576]
        assert [int(each) for each in told.read_text().split()] == [0, 4096, 8192, 12288, 16384, 20480]
        monkeypatch.setattr(patient, "_SWEEP", 0.0)
        slow = PatientReader(fd, 30, TWIN)
        assert slow.sweep(8192, 8192, STEP, backward=False, ahead=[(16384, 8192)]).data == data[8192:12288]
        assert slow.sweep(12288, 4096, STEP, backward=False).data == data[12288:16384]
        assert told.read_text().split()[6:] == ["8192", "12288"]
        slow.close()
    finally:
        reader.close()
        os.close(fd)


def test_what_a_process_had_read_before_is_not_taken_for_what_it_was_asked(tmp_path: Path) -> None:
    data = os.urandom(8192)
    (tmp_path / "disk").write_bytes(data)
    fd = os.open(tmp_path / "disk", os.O_RDONLY)
    reader = PatientReader(fd, 0.2)
    try:
        assert reader.sweep(0, 4096, Step(SECTOR), backward=False).data == data[:4096]
        os.kill(reader._pid, signal.SIGSTOP)
        assert reader.sweep(4096, 4096, Step(SECTOR), backward=False) == (b"", 1, errno.ETIMEDOUT, True, SECTOR)
    finally:
        reader.close()
        os.close(fd)


def test_a_process_that_does_not_answer_is_left_behind(tmp_path: Path) -> None:
    (tmp_path / "disk").write_bytes(b"x" * 8192)
    fd = os.open(tmp_path / "disk", os.O_RDONLY)
    reader = PatientReader(fd, 0.2)
    try:
        assert reader.read(0, 4096) == b"x" * 4096
        os.kill(reader._pid, signal.SIGSTOP)  # as one that hangs in the kernel
        with pytest.raises(OSError) as error:
            reader.read(4096, 4096)
        assert error.value.errno == errno.ETIMEDOUT and reader.abandoned == 1
        assert reader.read(4096, 4096) == b"x" * 4096, "another one took its place"
    finally:
        reader.close()
        os.close(fd)


def test_a_disk_that_never_answers_is_given_up_after_three_reads() -> None:
    here, there = os.pipe()

    class Hanging(PatientReader):
        def _start(self) -> None:
            super()._start()
            os.kill(self._pid, signal.SIGSTOP)

    reader = Hanging(here, 0.1)
    work = Passes(RescueMap(1 << 20), reader, SECTOR, Media(read_deadline=0.1))
    with pytest.raises(Stop, match="3 reads in a row did not come back"):
        for phase in work.phases():
            list(phase.blocks())
    work.close()
    os.close(here)
    os.close(there)


@pytest.fixture
def moody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[int, bytes]]:
    """A disk of 64 sectors, of which 40 hangs for ever, and 20 to 29 fail at once, as does a read that holds one of them."""
    data, real = os.urandom(64 * SECTOR), sweeping.read_at

    def read(fds: Descriptors, into: memoryview, at: int) -> tuple[int, int]:
        first, last = at // SECTOR, (at + len(into) - 1) // SECTOR
        if first == last == 40:
            signal.pause()  # in a process of its own, which is killed
        return (0, errno.EIO) if (first <= 29 and last >= 20) or first <= 40 <= last else real(fds, into, at)

    monkeypatch.setattr(sweeping, "read_at", read)
    (tmp_path / "disk").write_bytes(data)
    fd = os.open(tmp_path / "disk", os.O_RDONLY)
    yield fd, data
    os.close(fd)


@pytest.mark.parametrize("backward", [False, True])
def test_a_sector_that_hangs_hides_none_of_those_before_it(moody: tuple[int, bytes], backward: bool) -> None:
    fd, data = moody
    reader = PatientReader(fd, 0.5, TWIN)
    try:
        found = reader.sweep(30 * SECTOR, 34 * SECTOR, Step(SECTOR), backward=backward)
        assert found[1:] == (1, errno.ETIMEDOUT, True, SECTOR) and reader.abandoned == 1
        assert bytes(found.data) == (data[41 * SECTOR :] if backward else data[30 * SECTOR : 40 * SECTOR])
        whole = (0, 41 * SECTOR) if not backward else (20 * SECTOR, 41 * SECTOR)
        assert reader.sweep(*whole, Step(SECTOR), backward=backward).bad == 1
    finally:
        reader.close()


def test_sectors_that_fail_at_once_are_not_taken_for_ones_that_hang(moody: tuple[int, bytes]) -> None:
    """Ten in a row that fail, behind three that hung: reading goes on, and what is not read are these sectors and no others."""
    fd, data = moody
    reader = PatientReader(fd, 0.5, TWIN)
    reader.abandoned = 3
    work = Passes(RescueMap(len(data)), reader, SECTOR, Media(read_deadline=0.5))
    came = {block.at: bytes(block.data) for phase in work.phases() for block in phase.blocks()}
    work.close()
    unread = [(area.start // SECTOR, area.end // SECTOR) for area in work.map.areas() if area.status != READ]
    assert unread == [(20, 30), (40, 41)]
    assert all(data[at : at + len(block)] == block for at, block in came.items())
