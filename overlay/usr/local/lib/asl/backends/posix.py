# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A store in a directory. Needs of the file system: hard links, fsync, flock; nothing else.

An object is written to tmp/, synced, then linked to its name: link(2) is create-only and atomic. The name is durable once its
folder is synced, and the folder's own name once, which barrier() does. A file in tmp/ is flocked by its maker, so that a sweep
can tell dead from living.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Optional

from asl.backends import layout
from asl.errors import AslError, Conflict, NotFound, Unavailable
from asl.formats.artifact import Buffer

# Blocks from this size on do not stay in the page cache.
FORGET = 1024 * 1024
_REASONS = {
    errno.ENOSPC: ("NO_SPACE", "free space at the store, then run the same command again"),
    errno.EDQUOT: ("NO_SPACE", "raise the quota, then run the same command again"),
    errno.EFBIG: ("FILE_TOO_LARGE", "raise the limit on the size of files (ulimit -f), or use a smaller block.size"),
    errno.EROFS: ("READ_ONLY", "the store must be on a writable file system"),
    errno.EACCES: ("PERMISSION", "run as root"),
    errno.EPERM: ("PERMISSION", "run as root, on a file system with hard links"),
    errno.EIO: ("IO_ERROR", "the store's own disk fails: check it before anything else"),
}


def failure(what: str, error: OSError) -> AslError:
    """The AslError for a failed system call on the store."""
    if error.errno == errno.ENOENT:
        return NotFound(f"{what}: not there")
    if error.errno == errno.ENOTDIR:
        return NotFound(f"{what}: a part of its path is not a directory")
    reason, hint = _REASONS.get(error.errno or 0, ("OS_ERROR", None))
    return Unavailable(f"{what}: {(error.strerror or str(error)).lower()}", reason=reason, hint=hint)


class PosixReads:
    """The reading side. Implements backends.base.Reads."""

    def __init__(self, root: str) -> None:
        self.root = os.path.abspath(root)

    @property
    def location(self) -> str:
        return self.root

    def path(self, name: str) -> Optional[str]:
        return os.path.join(self.root, name)

    def _at(self, name: str) -> str:
        return os.path.join(self.root, name)

    def read(self, name: str, offset: int = 0, length: Optional[int] = None) -> bytes:
        try:
            with open(self._at(name), "rb", buffering=0) as file:
                if length is None:
                    file.seek(offset)
                    return file.readall()
                return _pread(file.fileno(), length, offset)
        except OSError as error:
            raise failure(f"{self.root}: cannot read {name}", error) from error

    def size(self, name: str) -> int:
        try:
            return os.stat(self._at(name)).st_size
        except OSError as error:
            raise failure(f"{self.root}: cannot read {name}", error) from error

    def names(self, folder: str) -> Iterator[str]:
        try:
            entries = sorted(os.listdir(self._at(folder)))
        except OSError as error:
            raise failure(f"{self.root}: cannot list {folder}", error) from error
        for entry in entries:
            name = f"{folder}/{entry}"
            if folder == "blocks" and os.path.isdir(self._at(name)):
                yield from self.names(name)
            else:
                yield name


class Posix(PosixReads):
    """The adding side. Implements backends.base.Adds."""

    def __init__(self, root: str) -> None:
        super().__init__(root)
        self._unsynced: set[str] = set()
        self._reached: set[str] = set()

    @classmethod
    def make(cls, root: str) -> Posix:
        """Make the folders of an empty store at ROOT, which may exist. Raises Unavailable."""
        try:
            backend = cls(root)
            at = backend.root
            while not os.path.isdir(at):
                at = os.path.dirname(at)
                backend._unsynced.add(at)
            for folder in layout.FOLDERS:
                os.makedirs(os.path.join(backend.root, folder), exist_ok=True)
            backend._unsynced.update((backend.root, os.path.dirname(backend.root)))
            backend.barrier()
        except OSError as error:
            raise failure(f"{root}: cannot make a store", error) from error
        return backend

    def stage(self) -> PosixStaged:
        return PosixStaged(self)

    def create(self, name: str, data: Buffer) -> None:
        # The log grows: whoever owns it must be able to write to it, root or not.
        staged = PosixStaged(self, 0o644 if name == layout.LOG else 0o444)
        try:
            staged.write(data)
            staged.publish(name)
        finally:
            staged.drop()

    def take(self, path: str, name: str) -> None:
        """Make the file at PATH, which is synced and on this very file system, NAME: create-only. PATH stays. Raises Conflict."""
        target = self._at(name)
        try:
            try:
                os.link(path, target)
            except FileNotFoundError:
                os.makedirs(os.path.dirname(target), exist_ok=True)
                os.link(path, target)
        except FileExistsError as error:
            raise Conflict(f"{self.root}: {name} exists") from error
        except OSError as error:
            raise failure(f"{self.root}: cannot publish {name}", error) from error
        self.ensure(name)

    def ensure(self, name: str) -> None:
        folder = os.path.dirname(self._at(name))
        self._unsynced.add(folder)
        if folder not in self._reached:  # whoever made the folder may have died before its own name was durable
            self._reached.add(folder)
            self._unsynced.add(os.path.dirname(folder))

    def barrier(self) -> None:
        for folder in sorted(self._unsynced):
            try:
                _sync_folder(folder)
            except OSError as error:
                raise failure(f"{folder}: cannot make names durable", error) from error
        self._unsynced.clear()

    @contextmanager
    def lock(self) -> Iterator[None]:
        try:
            fd = os.open(self._at(layout.LOCK), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise failure(f"{self.root}: cannot open the lock of the store", error) from error
        try:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX)
            except OSError as error:
                raise failure(f"{self.root}: cannot lock the store", error) from error
            yield
        finally:
            os.close(fd)

    def append(self, name: str, data: bytes, at: int) -> None:
        try:
            fd = os.open(self._at(name), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                if os.fstat(fd).st_size != at:
                    raise Conflict(f"{self.root}: {name} does not end at {at} any more")
                os.lseek(fd, at, os.SEEK_SET)
                _write_all(fd, data)
                os.fsync(fd)
            finally:
                os.close(fd)
        except OSError as error:
            raise failure(f"{self.root}: cannot add to {name}", error) from error

    def cut(self, name: str, at: int) -> None:
        tail = self.read(name, at)
        self.create(f"tmp/torn-{at}-{os.urandom(4).hex()}", tail)
        self._unsynced.add(self._at("tmp"))
        self.barrier()
        try:
            fd = os.open(self._at(name), os.O_WRONLY | os.O_CLOEXEC)
            try:
                os.ftruncate(fd, at)
                os.fsync(fd)
            finally:
                os.close(fd)
        except OSError as error:
            raise failure(f"{self.root}: cannot cut the torn tail off {name}", error) from error

    def set_aside(self, name: str) -> None:
        kept = self._at(f"tmp/torn-{name.replace('/', '-')}-{os.urandom(4).hex()}")
        try:
            os.rename(self._at(name), kept)
            _sync_folder(os.path.dirname(self._at(name)))
            _sync_folder(self._at("tmp"))
        except OSError as error:
            raise failure(f"{self.root}: cannot set {name} aside", error) from error

    def swap(self, name: str, data: bytes) -> None:
        """Put DATA in the place of NAME in one step; what was there is kept in tmp/. For repairs of stores nobody writes to."""
        fresh, kept = (self._at(f"tmp/{kind}-{name.replace('/', '-')}-{os.urandom(4).hex()}") for kind in ("new", "torn"))
        try:
            _write_new(fresh, data)
            if os.path.exists(self._at(name)):
                os.link(self._at(name), kept)
                _sync_folder(self._at("tmp"))
            os.rename(fresh, self._at(name))
            _sync_folder(os.path.dirname(self._at(name)))
        except OSError as error:
            raise failure(f"{self.root}: cannot replace {name}", error) from error

    def replace_head(self, data: bytes) -> None:
        temporary = self._at(f"tmp/head-{os.getpid()}-{os.urandom(4).hex()}")
        try:
            _write_new(temporary, data)
            os.rename(temporary, self._at(layout.HEAD))
            _sync_folder(self._at("meta"))
        except OSError as error:
            raise failure(f"{self.root}: cannot replace {layout.HEAD}", error) from error

    def sweep(self) -> int:
        """Only within lock(): a new head is not flocked."""
        removed = 0
        for name in list(self.names("tmp")):
            if os.path.basename(name).startswith("torn-"):
                continue
            try:
                fd = os.open(self._at(name), os.O_RDONLY | os.O_CLOEXEC)
            except OSError:
                continue  # another sweep was faster
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.unlink(self._at(name))
                removed += 1
            except OSError:
                continue  # its maker lives, or it went away
            finally:
                os.close(fd)
        return removed


class PosixStaged:
    """A file in tmp/, flocked. Implements backends.base.Staged and OnFile."""

    def __init__(self, backend: Posix, mode: int = 0o444) -> None:
        self._backend = backend
        self._path = os.path.join(backend.root, f"tmp/new-{os.getpid()}-{os.urandom(6).hex()}")
        self._fd = -1
        try:
            while self._fd < 0:
                self._fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
                fcntl.flock(self._fd, fcntl.LOCK_EX)
                if not os.fstat(self._fd).st_nlink:  # a sweep was between open and flock
                    os.close(self._fd)
                    self._fd = -1
        except OSError as error:
            raise failure(f"{backend.root}: cannot begin a new object", error) from error

    def write(self, data: Buffer) -> None:
        try:
            _write_all(self._fd, data)
        except OSError as error:
            raise failure(f"{self._backend.root}: cannot write", error) from error

    def fileno(self) -> int:
        return self._fd

    def publish(self, name: str) -> None:
        try:
            os.fsync(self._fd)
            if layout.parse_block(name) is not None:  # a segment is mapped and looked into at once
                forget(self._fd)
            self._backend.take(self._path, name)
        except OSError as error:
            raise failure(f"{self._backend.root}: cannot publish {name}", error) from error
        finally:
            self.drop()

    def drop(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
            try:
                os.unlink(self._path)
            except OSError:
                return  # a sweep took it, or the file system went away: nothing is owed to a dropped object


def forget(fd: int, at: int = 0, length: int = 0) -> None:
    """Let the page cache drop what it has of a large block, from AT on (LENGTH 0: to its end). A rescue system has little memory, and what
    was written is durable and not soon read again; a verification that follows reads the disk and not the cache."""
    with suppress(OSError):
        if os.fstat(fd).st_size >= FORGET:
            os.posix_fadvise(fd, at, length, os.POSIX_FADV_DONTNEED)


def _pread(fd: int, length: int, offset: int) -> bytes:
    # A damaged index may ask for gigabytes, and memory for them is taken before anything is read.
    length = min(length, max(0, os.fstat(fd).st_size - offset))
    parts = []
    while length:
        part = os.pread(fd, length, offset)
        if not part:
            break
        parts.append(part)
        length -= len(part)
        offset += len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _write_all(fd: int, data: Buffer) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _write_new(path: str, data: Buffer) -> None:
    """Make the file PATH, which is not there yet, with DATA, durable but for its name."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    try:
        _write_all(fd, data)
        os.fsync(fd)
    finally:
        os.close(fd)


def _sync_folder(path: str) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some file systems cannot sync a folder; an I/O error is never forgiven
            raise
    finally:
        os.close(fd)
