# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Artifacts that need not fit into memory: put from a file, got piece by piece."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple, Optional

from asl.errors import Damaged, Unavailable
from asl.formats import artifact
from asl.formats.segment import Location
from asl.names import Digest, reference_text
from asl.store.reader import Reader
from asl.store.writer import LARGE, Writer

_PIECE = 4 * 1024 * 1024


class Put(NamedTuple):
    """What became of a file: its digest, bytes of payload, and whether it was new."""

    digest: Digest
    size: int
    new: bool


def put_file(writer: Writer, file: BinaryIO, type_tag: Optional[int] = None) -> Put:
    """Store all of the seekable FILE as one artifact. Visible after commit().

    The file is read twice: length and digest stand before the bytes in what is stored. Raises Unavailable, also when the file
    changed between the two (SOURCE_CHANGED): then nothing becomes visible.
    """
    length = file.seek(0, os.SEEK_END)
    head = artifact.header(length, type_tag)
    if length < LARGE:
        file.seek(0)
        payload = file.read(length)
        digest = artifact.digest(payload, type_tag)
        return Put(digest, len(payload), writer.add(digest, payload, type_tag))
    hasher = hashlib.sha256()
    for part in _parts(file, head, length):
        hasher.update(part)
    digest = Digest(hasher.digest())
    if writer.has(digest):
        return Put(digest, length, False)
    writer.add_parts(digest, _unchanged(_parts(file, head, length), digest))
    return Put(digest, length, True)


def _unchanged(parts: Iterator[bytes], digest: Digest) -> Iterator[bytes]:
    """PARTS. Raises Unavailable behind the last one when they are not those with DIGEST any more."""
    hasher = hashlib.sha256()
    for part in parts:
        hasher.update(part)
        yield part
    if hasher.digest() != digest:
        raise Unavailable(
            "the file changed while it was read; nothing was stored", reason="SOURCE_CHANGED", hint="store a copy that does not change"
        )


def _parts(file: BinaryIO, head: bytes, length: int) -> Iterator[bytes]:
    """HEAD and LENGTH bytes of FILE, in parts of LARGE bytes."""
    file.seek(0)
    part = head
    while length:
        wanted = min(length, LARGE - len(part))
        data = file.read(wanted)
        length -= wanted
        yield part + data if part else data
        part = b""
        if len(data) < wanted:
            return  # it became shorter: the digest will tell


class Payload(NamedTuple):
    """An artifact to be read: its tag, bytes of payload, and these bytes; the last piece comes only after the digest was checked."""

    type_tag: Optional[int]
    size: int
    pieces: Iterator[bytes]


def open_payload(store: Reader, digest: bytes) -> Payload:
    """The artifact with DIGEST. Raises NotFound, Damaged; `pieces` raises Damaged before its last piece when the digest is wrong."""
    location = store.locate(digest)
    encoded = _encoded(store, digest, location)
    first = next(encoded, b"")
    try:
        tag, start, length = artifact.parse_header(first)
    except Damaged as error:
        raise _damaged(digest, str(error)) from error
    if start + length != sum(extent.length for extent in location):
        raise _damaged(digest, "it has another length than its encoding says")
    return Payload(tag, length, _checked(first, start, encoded, digest))


def _encoded(store: Reader, digest: bytes, location: Location) -> Iterator[bytes]:
    for extent in location:
        for at in range(0, extent.length, _PIECE):
            yield store.extent(extent._replace(offset=extent.offset + at, length=min(_PIECE, extent.length - at)), digest)


def _damaged(digest: bytes, why: str) -> Damaged:
    return Damaged(f"artifact {reference_text(digest)} is damaged: {why}", reason="DAMAGED_ARTIFACT")


def _checked(first: bytes, start: int, rest: Iterator[bytes], digest: bytes) -> Iterator[bytes]:
    hasher, held = hashlib.sha256(first), first[start:]
    for piece in rest:
        yield held
        hasher.update(piece)
        held = piece
    if hasher.digest() != digest:
        raise _damaged(digest, "its bytes have another digest")
    yield held
