# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Many names of one directory at once: what they are, and what is in small files. The halves of a kernel that do so."""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import struct
from collections.abc import Sequence
from typing import NamedTuple, Optional

STATUS = struct.Struct("=15q")  # struct asl_status
RUN = struct.Struct("=2Q")
NONE = 2**64 - 1  # ASL_NONE
FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
SECOND = 1_000_000_000


class Status(NamedTuple):
    """stat(2) of a name, links not followed, with the names of os.stat_result.

    `error` is 0, or its errno, and nothing else is set then. `xattrs`: bytes of the list of extended attributes, or -errno; 0 for
    directories."""

    st_dev: int
    st_ino: int
    st_mode: int
    st_nlink: int
    st_uid: int
    st_gid: int
    st_rdev: int
    st_size: int
    st_blocks: int
    mtime_s: int
    mtime_ns: int
    ctime_s: int
    ctime_ns: int
    error: int = 0
    xattrs: int = 0

    @property
    def st_mtime_ns(self) -> int:
        return self.mtime_s * SECOND + self.mtime_ns

    @property
    def st_ctime_ns(self) -> int:
        return self.ctime_s * SECOND + self.ctime_ns


Place = Optional[tuple[int, int]]


def of(found: os.stat_result, xattrs: int = 0) -> Status:
    """The status in what os.stat gave."""
    return Status(
        found.st_dev, found.st_ino, found.st_mode, found.st_nlink, found.st_uid, found.st_gid, found.st_rdev, found.st_size,
        found.st_blocks, *divmod(found.st_mtime_ns, SECOND), *divmod(found.st_ctime_ns, SECOND), 0, xattrs,
    )  # fmt: skip


class PythonFiles:
    """The twin."""

    def scan(self, directory: int, names: Sequence[bytes]) -> list[Status]:
        """What NAMES are in the open DIRECTORY."""
        return [self._look(directory, name) for name in names]

    def slurp(self, directory: int, names: Sequence[bytes], seen: Sequence[Status], into: memoryview) -> list[Place]:
        """Read small regular files one behind the other INTO memory: (start, end) of each, None for one that is not, before and after,
        exactly what was SEEN. The list ends before the first that has no room."""
        found: list[Place] = []
        at = 0
        for name, status in zip(names, seen):
            if status.st_size > len(into) - at:
                break
            good = self._read(directory, name, status, into[at : at + status.st_size])
            found.append((at, at + status.st_size) if good else None)
            at += status.st_size if good else 0
        return found

    def _look(self, directory: int, name: bytes) -> Status:
        try:
            found = os.stat(name, dir_fd=directory, follow_symlinks=False)
        except OSError as error:
            return Status(*(0,) * 13, error.errno or errno.EIO)
        if stat.S_ISDIR(found.st_mode):
            return of(found)
        try:
            listed = os.listxattr(b"/proc/self/fd/%d/%s" % (directory, name), follow_symlinks=False)
            return of(found, sum(len(os.fsencode(each)) + 1 for each in listed))
        except OSError as error:
            return of(found, -(error.errno or errno.EIO))

    def _read(self, directory: int, name: bytes, seen: Status, into: memoryview) -> bool:
        try:
            try:
                fd = os.open(name, FLAGS | os.O_NOATIME, dir_fd=directory)
            except PermissionError:
                fd = os.open(name, FLAGS, dir_fd=directory)
        except OSError:
            return False
        try:
            got = 0
            while stat.S_ISREG(seen.st_mode) and got < seen.st_size:
                more = os.readv(fd, [into[got:]])
                if not more:
                    return False
                got += more
            return stat.S_ISREG(seen.st_mode) and of(os.fstat(fd))[:13] == seen[:13]
        except OSError:
            return False
        finally:
            os.close(fd)


class NativeFiles:
    """asl_scan and asl_slurp."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._scan, self._slurp = library.asl_scan, library.asl_slurp

    def scan(self, directory: int, names: Sequence[bytes]) -> list[Status]:
        """As the twin."""
        packed, count = _packed(names), len(names)
        out = ctypes.create_string_buffer(STATUS.size * count)
        _checked(self._scan(directory, packed, len(packed), count, out, count), count)
        return [Status._make(fields) for fields in STATUS.iter_unpack(out.raw)]

    def slurp(self, directory: int, names: Sequence[bytes], seen: Sequence[Status], into: memoryview) -> list[Place]:
        """As the twin."""
        packed, count = _packed(names), len(names)
        known = b"".join([STATUS.pack(*status) for status in seen])
        spans = ctypes.create_string_buffer(RUN.size * count)
        memory = (ctypes.c_char * len(into)).from_buffer(into)
        looked = _checked(self._slurp(directory, packed, len(packed), count, known, memory, len(into), spans, count), count)
        places = RUN.iter_unpack(spans.raw[: RUN.size * looked])
        return [None if start == NONE else (start, end) for start, end in places]


def _packed(names: Sequence[bytes]) -> bytes:
    return b"\0".join(names) + b"\0" if names else b""


def _checked(result: int, most: int) -> int:
    if not 0 <= result <= most:
        raise RuntimeError(f"libasl refused a call: code {result}")
    return result
