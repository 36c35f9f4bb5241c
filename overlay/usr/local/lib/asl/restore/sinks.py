# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where one run of bytes is written: a new file, a file that is there, a block device; and what only tells where it would be."""

from __future__ import annotations

import fcntl
import os
import struct
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress

from asl import kernel
from asl.formats.artifact import Buffer
from asl.sources.base import DATA, READ_SIZE
from asl.sources.reader import extents

PAGE = 4096
# linux/fs.h: zero a range of a block device (offset and length in bytes, multiples of its sector size).
BLKZEROOUT = 0x127F
_RANGE = struct.Struct("=QQ")
_ZEROS = bytes(READ_SIZE)
# No chunk is as long as this; a snapshot may claim so.
_LIMIT = 1 << 30
# Stretches written by one call; IOV_MAX is 1024.
_VECTORS = 512


class NewFile:
    """An empty file. What is not written is a hole, so zero pages are not written."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._mutex = threading.Lock()
        self.written = 0
        """Bytes that had to be written."""
        self.resized = False
        """Whether finish() changed the size."""

    def _put(self, parts: Sequence[memoryview], at: int) -> None:
        with self._mutex:  # the kernel lets one at a time write to a file, and who waits for it there does so with a core
            self.written += write_all(self._fd, parts, at)

    def _resize(self, size: int) -> None:
        os.ftruncate(self._fd, size)
        self.resized = True

    def holds(self, at: int, length: int) -> bytes:
        """What is there: nothing yet."""
        return b""

    def write(self, at: int, parts: Sequence[Buffer]) -> None:
        """Put PARTS, one behind the other, at offset AT. May be called from several threads."""
        begin = end = at
        together: list[memoryview] = []
        for data in parts:
            for start, stop in self._wanted(at, data):
                if at + start != end or len(together) == _VECTORS:
                    self._put(together, begin)
                    begin, together = at + start, []
                together.append(memoryview(data)[start:stop])
                end = at + stop
            at += len(data)
        self._put(together, begin)

    def _wanted(self, at: int, data: Buffer) -> Iterable[tuple[int, int]]:
        """The stretches of DATA, which goes to offset AT, that are to be written."""
        return stretches(at, data)

    def zero(self, at: int, length: int) -> None:
        """LENGTH zero bytes at AT: they are there already."""

    def gap(self, at: int, length: int) -> None:
        """Nobody knows what belongs into LENGTH bytes at AT: zeros, in a file."""
        self.zero(at, length)

    def finish(self, size: int) -> None:
        """The content has SIZE bytes."""
        self._resize(size)

    def sync(self) -> None:
        """What was written is on the disk. Raises OSError."""
        os.fsync(self._fd)


class OldFile(NewFile):
    """A file with content: what is right already is left alone."""

    def holds(self, at: int, length: int) -> bytes:
        """The bytes that are there, fewer at the end of the file or before what cannot be read."""
        if length <= _LIMIT:
            with suppress(OSError):
                return os.pread(self._fd, length, at)
        return b""

    def _wanted(self, at: int, data: Buffer) -> Iterable[tuple[int, int]]:
        """All of DATA, zeros included."""
        return [(0, len(data))] if data else []

    def zero(self, at: int, length: int) -> None:
        """LENGTH zero bytes at AT: written only where there is data now."""
        end = min(at + length, os.fstat(self._fd).st_size)
        for kind, start, stop in extents(self._fd, end):
            if kind == DATA and stop > at:
                self._zero(max(start, at), stop)

    def finish(self, size: int) -> None:
        """The content has SIZE bytes."""
        if os.fstat(self._fd).st_size != size:
            self._resize(size)

    def _zero(self, at: int, end: int) -> None:
        while at < end:
            length = min(READ_SIZE, end - at)
            if self.holds(at, length) != _ZEROS[:length]:
                self._put([memoryview(_ZEROS)[:length]], at)
            at += length


class Device(OldFile):
    """A block device of a fixed size."""

    def _put(self, parts: Sequence[memoryview], at: int) -> None:
        written = write_all(self._fd, parts, at)  # several at a time
        with self._mutex:
            self.written += written

    def zero(self, at: int, length: int) -> None:
        """LENGTH zero bytes at AT, unless they are there; the device does it itself where it can."""
        if self._zeros(at, length):
            return
        try:
            self._clear(at, length)
        except OSError:
            self._zero(at, at + length)

    def _clear(self, at: int, length: int) -> None:
        fcntl.ioctl(self._fd, BLKZEROOUT, _RANGE.pack(at, length))
        with self._mutex:
            self.written += length

    def _zeros(self, at: int, length: int) -> bool:
        end = at + length
        while at < end:
            step = min(READ_SIZE, end - at)
            if self.holds(at, step) != _ZEROS[:step]:
                return False
            at += step
        return True

    def gap(self, at: int, length: int) -> None:
        """What nobody knows stays as it is on the device."""

    def finish(self, size: int) -> None:
        """What lies behind SIZE stays as it is."""


# Told where a restore would write: offset and length in bytes, 0 where only the size would change. It may raise.
Told = Callable[[int, int], None]


class SeenFile(OldFile):
    """A file that is only read: TOLD is called where OldFile would write, or change the size."""

    def __init__(self, fd: int, told: Told) -> None:
        super().__init__(fd)
        self._told = told

    def _put(self, parts: Sequence[memoryview], at: int) -> None:
        for data in parts:
            self._told(at, len(data))
            at += len(data)

    def _clear(self, at: int, length: int) -> None:
        self._told(at, length)

    def _resize(self, size: int) -> None:
        self._told(size, 0)


class SeenDevice(SeenFile, Device):
    """A block device that is only read: TOLD is called where Device would write."""

    def sync(self) -> None:
        """Nothing was written; what others may have written is not ours to flush."""


def stretches(at: int, data: Buffer) -> Iterator[tuple[int, int]]:
    """The stretches of DATA, which goes to offset AT, to write into a file of zeros: all but whole zero pages of the file.

    A page that begins or ends in other data counts by its part in DATA, so that its parts together are left out too."""
    view, length = memoryview(data), len(data)
    first = min(length, -at % PAGE)  # bytes of a page that begins in other data
    start = first if view[:first] == _ZEROS[:first] else 0
    for begin, end in kernel.load().zero_runs(view[first:], 0):
        if first + begin > start:
            yield start, first + begin
        start = first + end
    if length > start:
        yield start, length


def write_all(fd: int, parts: Sequence[memoryview], at: int) -> int:
    """pwritev(2) of PARTS, _VECTORS at most, one behind the other, until all is written; how many bytes."""
    left, begin = list(parts), at
    while left:
        done = os.pwritev(fd, left, at)
        at += done
        while left and done >= len(left[0]):
            done -= len(left.pop(0))
        if left:
            left[0] = left[0][done:]
    return at - begin
