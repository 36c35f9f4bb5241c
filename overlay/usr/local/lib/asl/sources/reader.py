# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading a file descriptor from front to back, past errors.

A stretch that fails is read again in smaller and smaller steps down to one sector, so that an error costs no more than the
sectors that are bad. The smallest steps bypass the page cache where the kernel allows it (open(2), O_DIRECT): through the
cache one bad sector fails its whole page.
"""

from __future__ import annotations

import errno
import mmap
import os
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Callable, Optional

from asl.sources.base import DATA, HOLE, READ_SIZE, UNREAD, Piece, Pieces, why
from asl.sources.media import SILENT, silence
from asl.sources.memory import LENT_SIZE, Lent, lend
from asl.sources.patient import PatientReader

SECTOR = 512
STEPS = (64 * 1024, 4096)
# These say that the caller is wrong, not the disk.
_BUGS = (errno.EBADF, errno.EFAULT)
# The device is not there any more: reading each sector of the rest would only take hours to say the same.
_GONE = (errno.ENODEV, errno.ENOMEDIUM)
# Content larger than this is read ahead, and dropped from the page cache as it is read: it would only push out what the machine needs.
_KEEP = 8 * READ_SIZE

Report = Callable[[int, int, str], None]


class Reader:
    """Reads FD into one page-aligned buffer. REPORT(offset, length, why) is called once for each unread range.

    PATIENT makes the reads where they may never come back, and is closed with it. After SILENT of them in a row the rest is unread.

    Close it before FD is closed: a thread of it may be reading, and a number that is free is soon that of another file."""

    def __init__(
        self,
        fd: int,
        report: Report,
        *,
        sector: int = SECTOR,
        buffer: Optional[memoryview] = None,
        patient: Optional[PatientReader] = None,
    ) -> None:
        self._fd = fd
        self._report = report
        self._sector = sector
        self._buffer = aligned_buffer() if buffer is None else buffer
        self._patient = patient
        self._steps = tuple(step for step in STEPS if step > sector)
        self._direct: Optional[int] = None
        self._ahead: Optional[ThreadPoolExecutor] = None
        self._bad = (0, 0, "")
        self._gone = ""
        self._silent = 0

    def close(self) -> None:
        """Wait for what is being read and close what was opened here; FD stays the caller's, and is not read from any more."""
        self._fd = -1
        self._settle()
        if self._patient is not None:
            self._patient.close()
        if self._direct is not None and self._direct >= 0:
            os.close(self._direct)
        self._direct = None

    def pieces(self, start: int, end: int) -> Pieces:
        """The bytes from START to END as data and unread pieces, neighbouring unread ranges joined.

        Ends early, with fewer bytes covered, where the file itself ends."""
        self._bad = (start, 0, "")
        for piece in self._raw(start, end):
            if piece.kind == UNREAD:
                continue
            if self._bad[1]:
                yield self._flush()
            yield piece
        if self._bad[1]:
            yield self._flush()

    def whole(self, size: int, *, sparse: bool = True) -> Generator[Piece, None, int]:
        """All SIZE bytes of the file; SPARSE asks the filesystem for holes first. Returns how many bytes were covered.

        That is less than SIZE only where the file has become shorter; where it merely gives no more, the rest is unread."""
        covered = 0
        for kind, start, end in extents(self._fd, size) if sparse else ((DATA, 0, size),):
            if self._fd < 0:
                raise OSError(errno.EBADF, os.strerror(errno.EBADF))
            if kind == HOLE:
                covered = end
                yield Piece(HOLE, end - start)
                continue
            for piece in self.pieces(start, end):
                covered += piece.length
                yield piece
            if covered < end:
                break
        if covered < size <= os.lseek(self._fd, 0, os.SEEK_END):
            self._report(covered, size - covered, "it ends before its size")
            yield Piece(UNREAD, size - covered)
            covered = size
        return covered

    def _flush(self) -> Piece:
        start, length, reason = self._bad
        self._bad = (start + length, 0, "")
        self._report(start, length, reason)
        return Piece(UNREAD, length)

    def _lost(self, at: int, length: int, reason: str) -> Piece:
        start, known, first = self._bad
        self._bad = (start, known + length, first) if known else (at, length, reason)
        return Piece(UNREAD, length)

    def _raw(self, at: int, end: int) -> Pieces:
        if end - at <= _KEEP or self._patient is not None:
            yield from self._stretches(at, end, None)
            return
        self._ahead = ThreadPoolExecutor(1, "asl-read")
        try:
            yield from self._stretches(at, end, self._ahead)
        finally:
            self._settle()

    def _settle(self) -> None:
        """Wait for the read that was asked for ahead."""
        if self._ahead is not None:
            self._ahead.shutdown()
        self._ahead = None

    def _stretches(self, at: int, end: int, ahead: Optional[ThreadPoolExecutor]) -> Pieces:
        """AHEAD: its thread reads the next stretch while the one before is worked upon, each into memory that is lent."""
        longest, read = LENT_SIZE if ahead else READ_SIZE, at
        coming: Optional[tuple[Lent, Future[int]]] = None
        while at < end:
            size = min(longest - at % longest, end - at)
            if self._gone:
                yield self._lost(at, end - at, self._gone)
                return
            lent = coming[0] if coming else lend() if ahead else None
            buffer = lent.view if lent else self._buffer
            try:
                data = buffer[: coming[1].result()] if coming else self._once(at, buffer[:size])
            except OSError as error:
                coming = None
                self._judge(error)
                yield from self._refine(at, at + size, self._steps)
                at += size
                continue
            count = len(data)
            if count == 0:
                return
            after, coming = at + count, None
            if ahead is not None and after < end and self._fd >= 0:
                size = min(longest - after % longest, end - after)
                following = lend()
                coming = following, ahead.submit(os.preadv, self._fd, [following.view[:size]], after)
            yield Piece(DATA, count, data, lent)
            if lent is not None:
                lent.drop()
            at = after
            if ahead is not None and (at - read >= _KEEP or at >= end):
                drop_cache(self._fd, read, at - read)
                read = at

    def _refine(self, at: int, end: int, steps: tuple[int, ...]) -> Pieces:
        """Read a stretch that failed in steps of steps[0], each that fails again in smaller ones."""
        step = steps[0] if steps else self._sector
        while at < end:
            size = min(step - at % step, end - at)
            if self._gone:
                yield self._lost(at, end - at, self._gone)
                return
            try:
                data = self._read_step(at, self._buffer[:size], direct=not steps)
            except OSError as error:
                self._judge(error)
                if steps:
                    yield from self._refine(at, at + size, steps[1:])
                else:
                    yield self._lost(at, size, why(error))
                at += size
                continue
            if not data:
                return
            yield Piece(DATA, len(data), data)
            at += len(data)

    def _judge(self, error: OSError) -> None:
        if error.errno in _BUGS:
            raise error
        if error.errno in _GONE:
            self._gone = why(error)

    def _once(self, at: int, into: memoryview) -> memoryview:
        """One read of what INTO has room for; what came of it."""
        if self._patient is None or self._fd < 0:
            return into[: os.preadv(self._fd, [into], at)]
        before = self._patient.abandoned
        try:
            data = self._patient.read(at, len(into))
        except OSError:
            self._silent = self._silent + 1 if self._patient.abandoned > before else 0
            if self._silent >= SILENT:
                self._gone = silence(self._patient.deadline)
            raise
        self._silent = 0
        return data

    def _read_step(self, at: int, into: memoryview, *, direct: bool) -> memoryview:
        direct = direct and self._patient is None and at % self._sector == 0 and len(into) == self._sector
        fd = self._direct_fd() if direct else -1
        if fd >= 0:
            try:
                return into[: os.preadv(fd, [into], at)]
            except OSError as error:
                if error.errno != errno.EINVAL:
                    raise
        return self._once(at, into)

    def _direct_fd(self) -> int:
        if self._direct is None:
            self._direct = -1
            with suppress(OSError):
                self._direct = os.open(f"/proc/self/fd/{self._fd}", os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_DIRECT)
        return self._direct


def aligned_buffer() -> memoryview:
    """READ_SIZE bytes that begin at a page, as O_DIRECT wants it."""
    return memoryview(mmap.mmap(-1, READ_SIZE))


def drop_cache(fd: int, at: int, length: int) -> None:
    """Tell the kernel that this range will not be read again (posix_fadvise). Not every file can be told."""
    with suppress(OSError):
        os.posix_fadvise(fd, at, length, os.POSIX_FADV_DONTNEED)


def extents(fd: int, size: int) -> Iterator[tuple[int, int, int]]:
    """(DATA or HOLE, start, end) over the first SIZE bytes as the filesystem knows them (lseek(2), SEEK_DATA).

    Ends early where the file has become shorter. A filesystem that cannot tell gives one run of data."""
    at = 0
    while at < size:
        try:
            data = min(os.lseek(fd, at, os.SEEK_DATA), size)
            after = min(os.lseek(fd, data, os.SEEK_HOLE), size) if data < size else size
        except OSError as error:
            if error.errno != errno.ENXIO:
                yield DATA, at, size
                return
            data = after = max(at, min(size, os.fstat(fd).st_size))
            size = data
        if data > at:
            yield HOLE, at, data
        if after > data:
            yield DATA, data, after
        if after <= at:
            return
        at = after
