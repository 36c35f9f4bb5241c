# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A bounded cache of what was read from a gateway: whole blocks and segments, each in a file that is named by its SHA-256.

Nothing relies on it. It may vanish or be damaged at any time, also while it is used: a file is held against its name before its first
use in a process, and again when it has changed since. What was not used for longest goes first. Several processes may share it.

What cannot be kept (too large, no room on the disk) is fetched as a whole once: the last of these objects stays in memory, and any
other is read from the store in parts from then on.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from typing import Optional, Union

from asl.backends import layout
from asl.backends.base import Reads
from asl.backends.remote import Plan
from asl.errors import NotFound

# An object may take this part of the cache at most, or it would drive everything else out.
_SHARE = 4
_LOCKS = 16


class Cache:
    """Files by digest. Safe in several threads."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        # By digest: size and time of change of a file that was held against its name. None: it cannot be kept.
        self._seen: dict[bytes, Optional[tuple[int, int]]] = {}
        self._unkept: tuple[bytes, bytes] = (b"", b"")
        self._locks = [threading.Lock() for _number in range(_LOCKS)]

    def find(self, digest: bytes, fetch: Callable[[], bytes]) -> Union[str, bytes, None]:
        """A file with the bytes whose SHA-256 is DIGEST, of the cache or from FETCH. Where they cannot be kept, or are others: the bytes
        themselves, or None when they were fetched before and are not at hand any more."""
        path = os.path.join(self._plan.folder, digest.hex())
        with self._locks[digest[0] % _LOCKS]:
            if digest in self._seen and self._seen[digest] is None:
                held, data = self._unkept
                return data if held == digest else None
            if self._usable(path, digest):
                return path
            data = fetch()
            if len(data) <= self._plan.size // _SHARE and hashlib.sha256(data).digest() == digest:
                with contextlib.suppress(OSError):  # no room, no permission, read-only: it is read without a cache then
                    self._keep(path, data)
                    self._seen[digest] = _stamp(path)
                    return path
            self._seen[digest], self._unkept = None, (digest, data)
            return data

    def _usable(self, path: str, digest: bytes) -> bool:
        try:
            stamp = _stamp(path)
            if self._seen.get(digest) != stamp:
                if self._plan.fresh or _digest(path) != digest:
                    return False
                self._seen[digest] = stamp
            os.utime(path, ns=(time.time_ns(), stamp[1]))  # the time of access says when it was used last
        except OSError:
            return False
        return True

    def _keep(self, path: str, data: bytes) -> None:
        os.makedirs(self._plan.folder, mode=0o700, exist_ok=True)
        self._make_room(len(data))
        half = f"{path}.{os.getpid()}-{threading.get_ident()}"
        try:
            fd = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with open(fd, "wb") as file:
                file.write(data)
            os.rename(half, path)
        except OSError:
            with contextlib.suppress(OSError):
                os.unlink(half)
            raise

    def _make_room(self, size: int) -> None:
        found = []
        for entry in os.scandir(self._plan.folder):
            with contextlib.suppress(OSError):
                status = entry.stat(follow_symlinks=False)
                found.append((status.st_atime_ns, status.st_size, entry.path))
        total = size + sum(each[1] for each in found)
        for _used, length, path in sorted(found):
            if total <= self._plan.size:
                break
            with contextlib.suppress(OSError):
                os.unlink(path)
            total -= length


def _stamp(path: str) -> tuple[int, int]:
    status = os.stat(path, follow_symlinks=False)
    return status.st_size, status.st_mtime_ns


def _digest(path: str) -> bytes:
    hasher = hashlib.sha256()
    with open(path, "rb", buffering=0) as file:
        while True:
            piece = file.read(1 << 20)
            if not piece:
                return hasher.digest()
            hasher.update(piece)


class CachedReads:
    """A store to read from, its blocks and segments through a cache. Implements backends.base.Reads and Sealed."""

    def __init__(self, own: Reads, plan: Plan) -> None:
        self._own, self._cache = own, Cache(plan)

    @property
    def location(self) -> str:
        return self._own.location

    def path(self, name: str) -> Optional[str]:
        digest = layout.parse_block(name)
        if digest is None:
            return self._own.path(name)
        try:
            found = self._find(name, digest)
        except NotFound:  # there is no file; whoever reads it is told what is missing
            return None
        return found if isinstance(found, str) else None

    def _find(self, name: str, digest: bytes) -> Union[str, bytes, None]:
        return self._cache.find(digest, lambda: self._own.read(name))

    def sealed(self, name: str, digest: bytes) -> bytes:
        # Into memory: an index that is mapped would go wrong, or end the process, with a file that is changed meanwhile.
        found = self._find(name, digest)
        if isinstance(found, bytes):
            return found
        with contextlib.suppress(OSError):
            if found is not None:
                with open(found, "rb", buffering=0) as file:
                    data = file.readall()
                if hashlib.sha256(data).digest() == digest:
                    return data
        return self._own.read(name)

    def read(self, name: str, offset: int = 0, length: Optional[int] = None) -> bytes:
        digest = layout.parse_block(name)
        found = None if digest is None else self._find(name, digest)
        if isinstance(found, bytes):
            return found[offset:] if length is None else found[offset : offset + length]
        if found is not None:
            try:
                with open(found, "rb", buffering=0) as file:
                    file.seek(offset)
                    return file.readall() if length is None else _exactly(file.fileno(), offset, length)
            except OSError:  # it has vanished
                pass
        return self._own.read(name, offset, length)

    def size(self, name: str) -> int:
        return self._own.size(name)

    def names(self, folder: str) -> Iterator[str]:
        return self._own.names(folder)


def _exactly(fd: int, offset: int, length: int) -> bytes:
    length = min(length, max(0, os.fstat(fd).st_size - offset))
    found = os.pread(fd, length, offset)
    if len(found) != length:
        raise OSError("the file became shorter")
    return found
