# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading one regular file that may change, shrink, vanish or fail under the reader."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from typing import Callable, Optional

from asl.formats import tree
from asl.sources.base import UNREAD, Piece, Pieces, shown, why
from asl.sources.reader import Reader, aligned_buffer, drop_cache
from asl.sources.visit import Visit

# O_NONBLOCK: a file that was swapped for a fifo must not block; it does nothing to regular files.
FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
# The name leads nowhere any more, or to something that is no regular file.
GONE = (errno.ENOENT, errno.ESTALE, errno.ELOOP, errno.ENOTDIR, errno.ENXIO)
# From this size on the page cache is told what to expect and what to forget.
_LARGE = 1024 * 1024

Lose = Callable[[str, str, str], None]
State = tuple[int, int, int, int, int]


def state_of(status: os.stat_result) -> State:
    """What changes when a file changes: device, inode, size, mtime and ctime in nanoseconds."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def open_quietly(name: bytes, dir_fd: int, flags: int = FLAGS) -> int:
    """Open NAME without touching its access time where that is permitted: only owners and root may ask for it."""
    try:
        return os.open(name, flags | os.O_NOATIME, dir_fd=dir_fd)
    except PermissionError:
        return os.open(name, flags, dir_fd=dir_fd)


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

    __slots__ = ("_dir_fd", "_name", "_seen", "_shelf", "_vanished")

    def __init__(self, shelf: Shelf, dir_fd: int, name: bytes, seen: State, vanished: Callable[[State], None]) -> None:
        self._shelf = shelf
        self._dir_fd = dir_fd
        self._name = name
        self._seen = seen
        self._vanished = vanished

    def read(self, visit: Visit) -> Pieces:
        """The pieces of the file; sets flags, size, vanished and fingerprint of VISIT."""
        if visit.entry.size == 0:
            return
        try:
            fd = open_quietly(self._name, self._dir_fd)
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
        if state_of(os.fstat(fd)) != self._seen:
            visit.flags |= tree.CHANGED
            visit.fingerprint = None
            self._shelf.lose("changed", where, "it changed while it was read")
        if size >= _LARGE:
            drop_cache(fd, 0, 0)

    def _gone(self, visit: Visit, reason: str) -> None:
        visit.vanished, visit.size, visit.fingerprint = True, 0, None
        self._vanished(self._seen)
        self._shelf.lose("vanished", shown(visit.path), reason)

    def _unreadable(self, visit: Visit, reason: str) -> Piece:
        visit.flags |= tree.UNREAD
        visit.fingerprint = None
        self._shelf.lose("unreadable", shown(visit.path), reason)
        return Piece(UNREAD, visit.entry.size)
