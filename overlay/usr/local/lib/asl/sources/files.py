# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading one regular file that may change, shrink, vanish or fail under the reader."""

from __future__ import annotations

import errno
import itertools
import os
import stat
from collections.abc import Sequence
from contextlib import suppress
from typing import Callable, Optional

from asl import kernel
from asl.formats import tree
from asl.kernel import Status
from asl.kernel.files import UNASKED
from asl.sources.attributes import NO_XATTRS, Stat
from asl.sources.base import UNREAD, Piece, Pieces, shown, why
from asl.sources.reader import Reader, aligned_buffer, drop_cache
from asl.sources.visit import Visit

# O_NONBLOCK: a file that was swapped for a fifo must not block; it does nothing to regular files.
FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
# The name leads nowhere any more, or to something that is no regular file.
GONE = (errno.ENOENT, errno.ESTALE, errno.ELOOP, errno.ENOTDIR, errno.ENXIO)
# From this size on the page cache is told what to expect and what to forget.
_LARGE = 1024 * 1024

# Files not longer than this (bytes) are read many in one call, at most so many, into memory of that size.
SMALL, LONGEST_AHEAD, SMALL_ROOM = 128 * 1024, 128, 512 * 1024
# Files shorter than this are read as a whole, whatever holes they have.
TINY = 16 * 1024

Lose = Callable[[str, str, str], None]
State = tuple[int, int, int, int, int]


class Batch:
    """Names of one directory that were looked at together: what they were WHEN (seconds, monotonic), and how many are passed. BELOW: as in
    the walk; what goes into runs is not read ahead."""

    __slots__ = ("at", "below", "names", "seen", "when")

    def __init__(self, names: Sequence[bytes], seen: list[Status], when: float, below: int = 0) -> None:
        self.names, self.seen, self.when, self.below, self.at = names, seen, when, below, 0


def state_of(status: Stat) -> State:
    """What changes when a file changes: device, inode, size, mtime and ctime in nanoseconds."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def open_quietly(name: bytes, dir_fd: int, flags: int = FLAGS) -> int:
    """Open NAME without touching its access time where that is permitted: only owners and root may ask for it."""
    try:
        return os.open(name, flags | os.O_NOATIME, dir_fd=dir_fd)
    except PermissionError:
        return os.open(name, flags, dir_fd=dir_fd)


def is_small(seen: Status) -> bool:
    """True for a regular file that is neither empty nor long, nor has holes that are worth to be asked for."""
    size = seen.st_size
    return 0 < size <= SMALL and stat.S_ISREG(seen.st_mode) and (size < TINY or seen.st_blocks * 512 >= size)


def in_run(seen: Status, below: int) -> bool:
    """True for what may be in a run of a walk: a small file shorter than BELOW bytes, with one name and, as far as is known, without
    attributes."""
    usual = is_small(seen) or (seen.st_size == 0 and stat.S_ISREG(seen.st_mode))
    return usual and seen.st_size < below and seen.st_nlink == 1 and (seen.xattrs in (0, UNASKED) or -seen.xattrs in NO_XATTRS)


class _Held:
    """An open file and the reader on it; closed once, by whoever comes first."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.reader: Optional[Reader] = None

    def close(self) -> None:
        fd, self.fd = self.fd, -1
        if self.reader is not None:
            self.reader.close()
        if fd >= 0:
            os.close(fd)


class Shelf:
    """What the files of one walk share: the buffer, where losses go, and what is open.

    A reader that stops half way leaves its file open until the garbage is collected; a file system could not be unmounted then."""

    def __init__(self, lose: Lose) -> None:
        self.lose = lose
        self.buffer = aligned_buffer()
        self._open: set[_Held] = set()
        self._files = kernel.load().files
        self._small = memoryview(bytearray(SMALL_ROOM))
        self._batch: Optional[Batch] = None
        self._ready: dict[int, tuple[int, int]] = {}
        self._ahead = 1

    def small(self, directory: int, batch: Batch, number: int) -> Optional[memoryview]:
        """What is in a small file of BATCH, valid until this is called again; None where it is not what it was.

        Files behind it are read in the same call: the more, the longer each one is asked for after the other."""
        if self._batch is not batch or number not in self._ready:
            wasted = any(each >= number or self._batch is batch for each in self._ready)
            self._ahead = 1 if wasted else min(2 * self._ahead, LONGEST_AHEAD)
            self._batch, self._ready = batch, self._read_ahead(directory, batch, number)
        place = self._ready.pop(number, None)
        return self._small[place[0] : place[1]] if place else None

    def _read_ahead(self, directory: int, batch: Batch, number: int) -> dict[int, tuple[int, int]]:
        chosen = [number]
        for after in range(number + 1, len(batch.names)):
            if len(chosen) == self._ahead:
                break
            status = batch.seen[after]
            if is_small(status) and status.st_nlink == 1 and not in_run(status, batch.below):
                chosen.append(after)
        seen = [batch.seen[each] for each in chosen]
        count = self._files.slurp(directory, [batch.names[each] for each in chosen], seen, self._small)
        ends = itertools.accumulate(status.st_size for status in seen[:count])
        return {each: (end - status.st_size, end) for each, status, end in zip(chosen, seen, ends)}

    def hold(self, fd: int) -> _Held:
        """Remember that FD is open."""
        held = _Held(fd)
        self._open.add(held)
        return held

    def release(self, held: _Held) -> None:
        """Close one file."""
        held.close()
        self._open.discard(held)

    def close(self) -> None:
        """Close every file that was left half read."""
        while self._open:
            self._open.pop().close()


class Opened:
    """A regular file, seen in a directory and not opened yet."""

    __slots__ = ("_batch", "_dir_fd", "_number", "_shelf", "_vanished")

    def __init__(self, shelf: Shelf, dir_fd: int, batch: Batch, number: int, vanished: Callable[[State], None]) -> None:
        self._shelf = shelf
        self._dir_fd = dir_fd
        self._batch, self._number = batch, number
        self._vanished = vanished

    def small(self) -> Optional[memoryview]:
        """All of a small file, when it is what was seen; None for any other: read() says what there is to say of it."""
        batch, number = self._batch, self._number
        return self._shelf.small(self._dir_fd, batch, number) if is_small(batch.seen[number]) else None

    def open(self) -> int:
        """A descriptor of the file as it is now; the caller closes it. Raises OSError."""
        return open_quietly(self._batch.names[self._number], self._dir_fd)

    def read(self, visit: Visit) -> Pieces:
        """The pieces of the file; sets flags, size, vanished and fingerprint of VISIT."""
        if visit.entry.size == 0:
            return
        try:
            fd = open_quietly(self._batch.names[self._number], self._dir_fd)
        except OSError as error:
            if error.errno in GONE:
                self._gone(visit, why(error))
            else:
                yield self._unreadable(visit, why(error))
            return
        held = self._shelf.hold(fd)
        try:
            before = os.fstat(fd)
            if not stat.S_ISREG(before.st_mode):
                self._gone(visit, "it is no regular file any more")
                return
            yield from self._read(held, visit, before)
        finally:
            self._shelf.release(held)

    def _read(self, held: _Held, visit: Visit, before: os.stat_result) -> Pieces:
        fd, size, where = held.fd, visit.entry.size, shown(visit.path)
        if size >= _LARGE:
            with suppress(OSError):
                os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_SEQUENTIAL)

        def unread(at: int, length: int, reason: str) -> None:
            visit.flags |= tree.UNREAD
            visit.fingerprint = None
            self._shelf.lose("unread", f"{where}: {length} bytes at {at}", reason)

        held.reader = Reader(fd, unread, buffer=self._shelf.buffer)
        visit.size = yield from held.reader.whole(size, sparse=before.st_blocks * 512 < size)
        if state_of(os.fstat(fd)) != state_of(self._batch.seen[self._number]):
            visit.flags |= tree.CHANGED
            visit.fingerprint = None
            self._shelf.lose("changed", where, "it changed while it was read")
        if size >= _LARGE:
            drop_cache(fd, 0, 0)

    def _gone(self, visit: Visit, reason: str) -> None:
        visit.vanished, visit.size, visit.fingerprint = True, 0, None
        self._vanished(state_of(self._batch.seen[self._number]))
        self._shelf.lose("vanished", shown(visit.path), reason)

    def _unreadable(self, visit: Visit, reason: str) -> Piece:
        visit.flags |= tree.UNREAD
        visit.fingerprint = None
        self._shelf.lose("unreadable", shown(visit.path), reason)
        return Piece(UNREAD, visit.entry.size)
