# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cache of unchanged files: /var/lib/asl/cache. May vanish or be damaged at any time; then files are read again.

One file a source, its records in the order of the walk, so that old and new are compared as two streams and memory does not
grow with the tree. A run writes a new file beside it and puts it in its place at the end; the one of a killed run is used as far
as it goes. All integers little-endian.

    header   0  8  magic "ASLCACH1"    8 32  key: SHA-256 over store id, source and settings; another key means another cache
    record   0  4  CRC-32 of the rest  4  4  path length = n    8  2  fingerprint length = f    10  1  content   11  1  zero
            12  8  size               20 32  digest            52  n  path                    52+n  f  fingerprint
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple, Optional

from asl import paths
from asl.formats import canonical, tree

HEADER, RECORD, CRC = struct.Struct("<8s32s"), struct.Struct("<IHBxQ32s"), struct.Struct("<I")
MAGIC = b"ASLCACH1"


class Known(NamedTuple):
    """What became of a file when it had this fingerprint."""

    fingerprint: bytes
    content: int
    digest: bytes
    size: int


def order(path: bytes) -> bytes:
    """A key that sorts paths as a walk meets them: by component, a directory before what stands behind it."""
    return path.replace(b"/", b"\0")


class _Stream:
    """The records of an old cache file, read as the walk goes on."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._records = self._read()
        self._next = next(self._records, None)

    def _read(self) -> Iterator[tuple[bytes, bytes, Known]]:
        while True:
            head = self._file.read(CRC.size + RECORD.size)
            if len(head) < CRC.size + RECORD.size:
                return
            path_size, print_size, content, size, digest = RECORD.unpack_from(head, CRC.size)
            if path_size > 1 << 20:
                return
            rest = self._file.read(path_size + print_size)
            if zlib.crc32(head[CRC.size :] + rest) != CRC.unpack_from(head)[0]:
                return  # torn or damaged: what follows cannot be trusted
            path = rest[:path_size]
            yield order(path), path, Known(rest[path_size:], content, digest, size)

    def find(self, path: bytes) -> Optional[Known]:
        """The record of PATH. Paths have to be asked for in the order of the walk."""
        key = order(path)
        while self._next and self._next[0] < key:
            self._next = next(self._records, None)
        return self._next[2] if self._next and self._next[1] == path else None

    def rest(self) -> Iterator[tuple[bytes, bytes, Known]]:
        """(order, path, what is known) of every record that was not met yet."""
        while self._next:
            yield self._next
            self._next = next(self._records, None)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class FileCache:
    """The cache of one source in one store. Errors of its files are never errors of the intake."""

    def __init__(self, store_id: str, source: str, settings: dict[str, int]) -> None:
        self._key = hashlib.sha256(canonical.encode({"store": store_id, "source": source, "settings": settings})).digest()
        self._base = paths.state("cache", f"files-{self._key[:12].hex()}")
        self._old: list[_Stream] = []
        self._new: Optional[BinaryIO] = None
        with contextlib.suppress(OSError):
            self._open()

    def _open(self) -> None:
        os.makedirs(os.path.dirname(self._base), mode=0o700, exist_ok=True)
        if os.path.exists(self._base + ".new"):
            os.replace(self._base + ".new", self._base + ".part")
        for path in (self._base + ".part", self._base):
            with contextlib.suppress(OSError):
                file = open(path, "rb")  # noqa: SIM115  lives as long as the walk
                if file.read(HEADER.size) == HEADER.pack(MAGIC, self._key):
                    self._old.append(_Stream(file))
                else:
                    file.close()
        self._new = open(self._base + ".new", "wb")  # noqa: SIM115
        self._new.write(HEADER.pack(MAGIC, self._key))

    def digests(self) -> Iterator[bytes]:
        """The digests of all contents that are known, read from the files once more."""
        for path in (self._base + ".part", self._base):
            with contextlib.suppress(OSError), open(path, "rb") as file:
                if file.read(HEADER.size) == HEADER.pack(MAGIC, self._key):
                    stream = _Stream(file)
                    for _order, _path, known in stream.rest():
                        if known.content != tree.NONE:
                            yield known.digest

    def find(self, path: bytes, fingerprint: Optional[bytes]) -> Optional[Known]:
        """What is known of the file at PATH, when its FINGERPRINT is still the same."""
        if fingerprint is None:
            return None
        for stream in self._old:
            with contextlib.suppress(OSError):
                known = stream.find(path)
                if known and known.fingerprint == fingerprint:
                    return known
        return None

    def add(self, path: bytes, known: Known) -> None:
        """Remember KNOWN for the next run."""
        if self._new is None:
            return
        body = RECORD.pack(len(path), len(known.fingerprint), known.content, known.size, known.digest) + path + known.fingerprint
        try:
            self._new.write(CRC.pack(zlib.crc32(body)) + body)
        except OSError:
            self._new = None  # no room for a cache is no reason to end an intake

    def close(self, *, complete: bool) -> None:
        """Put the new cache in the old one's place when the walk was COMPLETE."""
        for stream in self._old:
            stream.close()
        with contextlib.suppress(OSError):
            if self._new is not None:
                self._new.close()
                if complete:
                    os.replace(self._base + ".new", self._base)
                    os.unlink(self._base + ".part")
