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
from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO, NamedTuple, Optional

from asl import paths
from asl.formats import canonical, tree

HEADER, RECORD, CRC = struct.Struct("<8s32s"), struct.Struct("<IHBxQ32s"), struct.Struct("<I")
SIZES = struct.Struct("<IH")  # the first two fields of a record
PATH = CRC.size + RECORD.size  # where the path begins
MAGIC = b"ASLCACH1"


# Bytes read at once, and records of which the store is asked at once whether their contents are there.
READ, GROUP = 256 * 1024, 256
Have = Callable[[bytes], bytes]


class Known(NamedTuple):
    """What became of a file when it had this fingerprint."""

    fingerprint: bytes
    content: int
    digest: bytes
    size: int
    there: bool = False  # the store has the content
    record: bytes = b""  # as it stands in the file it was read from


def _nothing(digests: bytes) -> bytes:
    return bytes(len(digests) // 32)


def order(path: bytes) -> bytes:
    """A key that sorts paths as a walk meets them: by component, a directory before what stands behind it."""
    return path.replace(b"/", b"\0")


class _Stream:
    """The records of an old cache file, read as the walk goes on. HAVE: one byte for each of the digests given one behind the other, 1
    where the store has it."""

    def __init__(self, file: BinaryIO, have: Have) -> None:
        self._file, self._have = file, have
        self._records = self._read()
        self._next = next(self._records, None)

    def _read(self) -> Iterator[tuple[bytes, Known]]:
        group: list[tuple[int, int, bytes, int, bytes]] = []
        for record in self._whole():
            path_size, _print_size, content, size, digest = RECORD.unpack_from(record, CRC.size)
            if zlib.crc32(record[CRC.size :]) != CRC.unpack_from(record)[0]:
                break  # torn or damaged: what follows cannot be trusted
            group.append((PATH + path_size, content, digest, size, record))
            if len(group) == GROUP:
                yield from self._asked(group)
                group = []
        yield from self._asked(group)

    def _whole(self) -> Iterator[bytes]:
        """Whole records, not checked yet."""
        data, at = self._file.read(READ), 0
        while True:
            end = at + CRC.size + RECORD.size
            if end <= len(data):
                path_size, print_size = SIZES.unpack_from(data, at + CRC.size)
                if path_size > 1 << 20:
                    return
                end += path_size + print_size
            if end <= len(data):
                yield data[at:end]
                at = end
                continue
            more = self._file.read(READ)
            if not more:
                return
            data, at = data[at:] + more, 0

    def _asked(self, group: list[tuple[int, int, bytes, int, bytes]]) -> Iterator[tuple[bytes, Known]]:
        there = self._have(b"".join([each[2] for each in group]))
        for (end, content, digest, size, record), has in zip(group, there):
            yield record[PATH:end], Known(record[end:], content, digest, size, bool(has), record)

    def find(self, path: bytes) -> Optional[Known]:
        """The record of PATH. Paths have to be asked for in the order of the walk."""
        found = self._next
        if found is not None and found[0] != path:
            key = order(path)
            while found is not None and order(found[0]) < key:
                found = self._next = next(self._records, None)
        if found is None or found[0] != path:
            return None
        self._next = next(self._records, None)
        return found[1]

    def rest(self) -> Iterator[tuple[bytes, Known]]:
        """(path, what is known) of every record that was not met yet."""
        while self._next:
            yield self._next
            self._next = next(self._records, None)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class FileCache:
    """The cache of one source in one store. Errors of its files are never errors of the intake."""

    def __init__(self, store_id: str, source: str, settings: dict[str, int], have: Have = _nothing) -> None:
        """HAVE says of many digests which the store has. It is asked when files are."""
        self._key = hashlib.sha256(canonical.encode({"store": store_id, "source": source, "settings": settings})).digest()
        self._have = have
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
                    self._old.append(_Stream(file, self._have))
                else:
                    file.close()
        self._new = open(self._base + ".new", "wb")  # noqa: SIM115
        self._new.write(HEADER.pack(MAGIC, self._key))

    def digests(self) -> Iterator[bytes]:
        """The digests of all contents that are known, read from the files once more."""
        for path in (self._base + ".part", self._base):
            with contextlib.suppress(OSError), open(path, "rb") as file:
                if file.read(HEADER.size) == HEADER.pack(MAGIC, self._key):
                    for _path, known in _Stream(file, _nothing).rest():
                        if known.content != tree.NONE:
                            yield known.digest

    @property
    def knows(self) -> bool:
        """False where nothing is known of any file."""
        return bool(self._old)

    def find(self, path: bytes, fingerprint: Optional[bytes]) -> Optional[Known]:
        """What is known of the file at PATH, when its FINGERPRINT is still the same."""
        if fingerprint is None:
            return None
        for stream in self._old:
            try:
                known = stream.find(path)
            except OSError:
                continue
            if known and known.fingerprint == fingerprint:
                return known
        return None

    def add(self, path: bytes, known: Known) -> None:
        """Remember KNOWN for the next run."""
        if known.record:
            self._write(known.record)
        else:
            self.add_all([(path, *known[:2], known.size, known.digest)])

    def add_again(self, known: Iterable[Known]) -> None:
        """Remember what find() has given."""
        self._write(b"".join([each.record for each in known]))

    def add_all(self, files: Iterable[tuple[bytes, bytes, int, int, bytes]]) -> None:
        """Remember many: (path, fingerprint, content, size, digest) as in Known."""
        pack, crc, crc32 = RECORD.pack, CRC.pack, zlib.crc32
        records = []
        for path, fingerprint, content, size, digest in files:
            body = pack(len(path), len(fingerprint), content, size, digest) + path + fingerprint
            records.append(crc(crc32(body)) + body)
        self._write(b"".join(records))

    def _write(self, records: bytes) -> None:
        try:
            if self._new is not None:
                self._new.write(records)
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
