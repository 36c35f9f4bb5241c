# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A recipe: what a file, a disk or a stream is made of, in order. Artifact type tag 0x41530003. Little-endian.

    node     0  1  version, 1     1  1  level     2  2  zero     4  4  entry_count     8  8  size: bytes covered
    entry    0  8  kind << 56 | length
             8 32  digest, for kinds 0 and 3 only
    kind     0 data: an untagged artifact of that length       1 hole: that many zero bytes, not stored
             2 unread: that many bytes the source did not give  3 child: a recipe node of the level below

Valid if and only if (1) the lengths add up to size, (2) children stand only at level > 0 and nothing else does, (3) no two
neighbours are both holes, or both unread.
A node ends behind an entry whose digest has ten zero bits in its first two bytes (little-endian, low bits), when it has at
least MIN_ENTRIES, and always at MAX_ENTRIES: an insertion changes few nodes. The root is the only node of its level.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from asl.errors import Damaged, Unsupported

NODE, WORD = struct.Struct("<BBHIQ"), struct.Struct("<Q")
VERSION = 1
DATA, HOLE, UNREAD, CHILD = 0, 1, 2, 3
MIN_ENTRIES, MAX_ENTRIES = 256, 4096
MAX_LENGTH = 2**56 - 1
NO_DIGEST = b""
_SHIFT = 56


class Entry(NamedTuple):
    """LENGTH bytes of a kind; digest (32 bytes) for data and children, else empty."""

    kind: int
    length: int
    digest: bytes = NO_DIGEST


class Node(NamedTuple):
    """A decoded node."""

    level: int
    size: int
    entries: Sequence[Entry]


def ends_node(entry: Entry, count: int) -> bool:
    """True when the node that holds COUNT entries, ENTRY the last, ends here."""
    if count >= MAX_ENTRIES:
        return True
    return count >= MIN_ENTRIES and bool(entry.digest) and (entry.digest[0] | entry.digest[1] << 8) & 0x3FF == 0


def encode(level: int, entries: Sequence[Entry]) -> bytes:
    """The payload of the node with ENTRIES."""
    parts = [NODE.pack(VERSION, level, 0, len(entries), sum(entry.length for entry in entries))]
    for entry in entries:
        parts.append(WORD.pack(entry.kind << _SHIFT | entry.length))
        parts.append(entry.digest)
    return b"".join(parts)


def decode(payload: bytes) -> Node:
    """The node in PAYLOAD; every rule is checked. Raises Damaged or Unsupported."""
    if len(payload) < NODE.size:
        raise _bad("too short")
    version, level, _reserved, count, size = NODE.unpack_from(payload)
    if version > VERSION:
        raise Unsupported(f"a recipe of version {version}; this engine knows {VERSION}")
    if version < VERSION:
        raise _bad(f"of version {version}, which there never was")
    entries: list[Entry] = []
    at = NODE.size
    for _each in range(count):
        if at + WORD.size > len(payload):
            raise _bad("cut short")
        (word,) = WORD.unpack_from(payload, at)
        kind, length = word >> _SHIFT, word & MAX_LENGTH
        at += WORD.size
        digest = NO_DIGEST
        if kind in (DATA, CHILD):
            digest = payload[at : at + 32]
            at += 32
        if kind > CHILD or (kind == CHILD) != (level > 0) or not length:
            raise _bad("with an entry that may not stand there")
        if kind in (HOLE, UNREAD) and entries and entries[-1].kind == kind:
            raise _bad("with two holes or two unread ranges side by side")
        entries.append(Entry(kind, length, digest))
    if at != len(payload) or sum(entry.length for entry in entries) != size:
        raise _bad("whose lengths do not add up")
    return Node(level, size, entries)


def _bad(what: str) -> Damaged:
    return Damaged(f"a recipe {what}", reason="BAD_RECIPE")


def ranges(entries: Iterator[Entry], kind: int) -> Iterator[tuple[int, int]]:
    """(start, length) of all ranges of KIND in a flat sequence of entries, neighbours joined."""
    at, start, length = 0, 0, 0
    for entry in entries:
        if entry.kind == kind:
            if length and start + length == at:
                length += entry.length
            else:
                if length:
                    yield start, length
                start, length = at, entry.length
        at += entry.length
    if length:
        yield start, length
