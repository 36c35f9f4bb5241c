# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Many names of one directory at once: what they are, what is in small files, and small files made. The halves of a kernel that do so."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import stat
import struct
from array import array
from collections.abc import Sequence
from typing import NamedTuple

from asl.kernel.contract import DIGEST, PAGE, digest

STATUS = struct.Struct("=15q")  # struct asl_status
UNASKED = -(2**63)  # ASL_UNASKED
NEW = struct.Struct("=q2Q5q")  # struct asl_new
FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
SECOND = 1_000_000_000
# So many files and more are read by so many threads. With 128 of them that takes two thirds of the time and a fifth more of the
# processors; a thread costs as much as ten files, and what two of them share costs them as well.
MANY, THREADS = 128, 2
NOBODY = 2**32 - 1  # to chown(2) it means: as it is


class Status(NamedTuple):
    """stat(2) of a name, links not followed, with the names of os.stat_result.

    `error` is 0, or its errno, and nothing else is set then. `xattrs`: bytes of the list of extended attributes, or -errno, or UNASKED;
    0 for directories."""

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


class New(NamedTuple):
    """A regular file to be made in the open `directory`: `spans` spans from number `first` on are its content; the mode has no type."""

    directory: int
    first: int
    spans: int
    mode: int
    uid: int
    gid: int
    mtime_s: int
    mtime_ns: int


class Content(NamedTuple):
    """What files are made of: spans (start, end, start, end …) of `data`, and the digest of each as an untagged artifact."""

    data: memoryview
    spans: array[int]
    digests: bytes


def of(found: os.stat_result, xattrs: int = 0) -> Status:
    """The status in what os.stat gave."""
    return Status(
        found.st_dev, found.st_ino, found.st_mode, found.st_nlink, found.st_uid, found.st_gid, found.st_rdev, found.st_size,
        found.st_blocks, *divmod(found.st_mtime_ns, SECOND), *divmod(found.st_ctime_ns, SECOND), 0, xattrs,
    )  # fmt: skip


class PythonFiles:
    """The twin."""

    def scan(self, directory: int, names: Sequence[bytes], below: int = 0) -> list[Status]:
        """What NAMES are in the open DIRECTORY. Regular files with one link that are shorter than BELOW bytes, and not empty, are not
        asked for extended attributes, but when they are read."""
        return [self._look(directory, name, below) for name in names]

    def slurp(self, directory: int, names: Sequence[bytes], seen: Sequence[Status], into: memoryview) -> int:
        """Read small regular files one behind the other INTO memory, as many bytes each as were SEEN, and open none that is empty; the
        number of them. Ends before one that is not, before and after, exactly what was SEEN, or has attributes it was not asked for, and
        before one that has no room."""
        at = count = 0
        for name, status in zip(names, seen):
            end = at + status.st_size
            if end > len(into) or not self._read(directory, name, status, into[at:end]):
                break
            at, count = end, count + 1
        return count

    def make(self, names: Sequence[bytes], files: Sequence[New], content: Content) -> bytes:
        """Make regular files that are not there yet: one byte each, 1 where it is made as it has to be, 0 where something was not as usual
        and nothing of it is left. ValueError for spans outside of the data."""
        spans = list(zip(content.spans[::2], content.spans[1::2]))
        _check_new(files, spans, content)
        made = bytearray(len(files))
        for number, (name, file) in enumerate(zip(names, files)):
            chosen = range(file.first, file.first + file.spans)
            parts = [content.data[slice(*spans[each])] for each in chosen]
            known = [content.digests[DIGEST * each : DIGEST * each + DIGEST] for each in chosen]
            if [digest(part) for part in parts] == known and b"/" not in name:
                made[number] = self._make(name, file, parts)
        return bytes(made)

    @staticmethod
    def _make(name: bytes, file: New, parts: Sequence[memoryview]) -> bool:
        try:
            fd = os.open(name, CREATE, 0o600, dir_fd=file.directory)
        except (OSError, ValueError):
            return False
        try:
            good = _give(fd, file)
            if good:
                _write_pages(fd, b"".join(parts))
                _settle(fd, file)
        except (OSError, OverflowError):
            good = False
        finally:
            os.close(fd)
        if not good:
            with contextlib.suppress(OSError):
                os.unlink(name, dir_fd=file.directory)
        return good

    def _look(self, directory: int, name: bytes, below: int) -> Status:
        try:
            found = os.stat(name, dir_fd=directory, follow_symlinks=False)
        except OSError as error:
            return Status(*(0,) * 13, error.errno or errno.EIO)
        if stat.S_ISDIR(found.st_mode):
            return of(found)
        if stat.S_ISREG(found.st_mode) and found.st_nlink == 1 and 0 < found.st_size < below:
            return of(found, UNASKED)
        try:
            listed = os.listxattr(b"/proc/self/fd/%d/%s" % (directory, name), follow_symlinks=False)
            return of(found, sum(len(os.fsencode(each)) + 1 for each in listed))
        except OSError as error:
            return of(found, -(error.errno or errno.EIO))

    def _read(self, directory: int, name: bytes, seen: Status, into: memoryview) -> bool:
        if seen.st_size == 0 and stat.S_ISREG(seen.st_mode):
            return True
        try:
            try:
                fd = os.open(name, FLAGS | os.O_NOATIME, dir_fd=directory)
            except PermissionError:
                fd = os.open(name, FLAGS, dir_fd=directory)
        except OSError:
            return False
        try:
            got = 0
            if seen.xattrs == UNASKED and not _has_no_xattrs(fd):
                return False
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


def _has_no_xattrs(fd: int) -> bool:
    try:
        return not os.listxattr(fd)
    except OSError as error:
        return error.errno in (errno.ENOTSUP, errno.ENOSYS)


def _check_new(files: Sequence[New], spans: Sequence[tuple[int, int]], content: Content) -> None:
    inside = all(0 <= start <= end <= len(content.data) for start, end in spans)
    if not inside or len(content.spans) % 2 or any(min(each[:2]) < 0 or each.first + each.spans > len(spans) for each in files):
        raise ValueError(f"spans that do not lie inside {len(content.data)} bytes, or files of spans that are not there")
    if any(not 0 <= each.directory < 2**31 or not 0 <= each.mode <= 0o7777 or not 0 <= each.mtime_ns < SECOND for each in files):
        raise ValueError("a descriptor, mode or time that cannot be")


def _write_pages(fd: int, data: bytes) -> None:
    """All of a new file but its zero pages."""
    for at in range(0, len(data), PAGE):
        page = data[at : at + PAGE]
        if page.count(0) != len(page):
            while page:
                done = os.pwrite(fd, page, at)
                page, at = page[done:], at + done  # noqa: PLW2901  the kernel may stop half way
    os.ftruncate(fd, len(data))


def _give(fd: int, file: New) -> bool:
    """The owner, before anything is in the file: content is never to be had by another one than its own, and chown takes setuid bits away.
    False where the file has attributes that nobody gave it; labels of security modules are left alone."""
    try:
        names = os.listxattr(fd)
    except OSError as error:
        if error.errno not in (errno.ENOTSUP, errno.ENOSYS):
            raise
        names = []
    if any(not name.startswith("security.") or name == "security.capability" for name in names):
        return False
    if not (0 <= file.uid < NOBODY and 0 <= file.gid < NOBODY):
        return False
    found = os.fstat(fd)
    if (found.st_uid, found.st_gid) != (file.uid, file.gid):
        os.fchown(fd, file.uid, file.gid)
    return True


def _settle(fd: int, file: New) -> None:
    """Mode and times, behind the content: to write takes setuid bits away, and everything changes the times."""
    os.fchmod(fd, file.mode)
    time = file.mtime_s * SECOND + file.mtime_ns
    os.utime(fd, ns=(time, time))


class NativeFiles:
    """asl_scan, asl_slurp and asl_make. CRYPTO: whether the library has found libcrypto."""

    def __init__(self, library: ctypes.CDLL, *, crypto: bool) -> None:
        self._scan, self._slurp, self._make = library.asl_scan, library.asl_slurp, library.asl_make if crypto else None
        self._most = min(THREADS, len(os.sched_getaffinity(0)))

    def scan(self, directory: int, names: Sequence[bytes], below: int = 0) -> list[Status]:
        """As the twin."""
        packed, count = _packed(names), len(names)
        out = ctypes.create_string_buffer(STATUS.size * count)
        checked(self._scan(directory, packed, len(packed), count, below, out, count), count)
        made = tuple.__new__  # what Status._make() calls, without its way there
        return [made(Status, fields) for fields in STATUS.iter_unpack(out.raw)]

    def slurp(self, directory: int, names: Sequence[bytes], seen: Sequence[Status], into: memoryview) -> int:
        """As the twin."""
        packed, count = _packed(names), len(names)
        known = b"".join([STATUS.pack(*status) for status in seen])
        memory = (ctypes.c_char * len(into)).from_buffer(into)
        threads = self._most if count >= MANY else 1
        return checked(self._slurp(directory, packed, len(packed), count, threads, known, memory, len(into)), count)

    def make(self, names: Sequence[bytes], files: Sequence[New], content: Content) -> bytes:
        """As the twin."""
        if self._make is None:
            return PythonFiles().make(names, files, content)
        packed, count = _packed(names), len(names)
        wanted = b"".join([NEW.pack(*each) for each in files])
        made = ctypes.create_string_buffer(count)
        memory = (ctypes.c_char * len(content.data)).from_buffer(content.data)
        spans, span_count = content.spans.buffer_info()[0], len(content.spans) // 2
        code = self._make(packed, len(packed), count, wanted, memory, len(content.data), spans, content.digests, span_count, made, count)
        if code < 0 or len(content.digests) != DIGEST * span_count or len(files) != count:
            raise ValueError(f"spans that do not lie inside {len(content.data)} bytes, or files of spans that are not there")
        return made.raw


def _packed(names: Sequence[bytes]) -> bytes:
    return b"\0".join(names) + b"\0" if names else b""


def checked(result: int, most: int) -> int:
    """RESULT of a function of libasl that answers MOST at most. Raises RuntimeError for a refusal."""
    if not 0 <= result <= most:
        raise RuntimeError(f"libasl refused a call: code {result}")
    return result
