# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A tree: the entries of one directory, by name. Artifact type tag 0x41530002. All integers little-endian.

    node     0  1  version, 1     1  1  level     2  2  zero     4  4  entry_count
    level 0  0  4  length of what follows       28  8  mtime_s (signed)
             4  1  type                         36  4  mtime_ns
             5  1  flags                        40  8  size in bytes
             6  1  content                      48  4  device major    52  4  device minor
             7  1  zero                         56 32  digest of the content, zeros where there is none
             8  4  mode, permission bits        88  2  name length     90  4  target length    94  4  xattr count
            12  4  uid                          98  .  name, target, then per xattr: 2 name length, 4 value length, name, value
            16  4  gid                          20  8  zero
    level n  0 32  digest of a node of the level below   32  8  entries below it   40  2  name length   42  .  first name
    type     1 file  2 directory  3 symlink (target: where it points)  4 hard link (target: path of the first name, from the
             source's root)  5 character device  6 block device  7 fifo  8 socket
    flags    1 content has unread parts or is missing   2 changed while it was read   4 some xattrs could not be read
    content  0 none   1 one untagged artifact   2 a recipe   3 a tree

Valid if and only if (1) entries stand in order of their names as bytes, each once, (2) no name is empty, ".", "..", or has
"/" or NUL in it, except that the root of a source is one entry named ".", (3) everything lies inside the node.
Names, targets and attributes are bytes: nothing says that they are UTF-8. ACLs are xattrs (system.posix_acl_*).
A node ends behind an entry whose CRC-32 of the name has ten low zero bits, when it has at least MIN_ENTRIES, and always at
MAX_ENTRIES, so that one new name changes few nodes of a large directory.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from asl.errors import Damaged, Unsupported

NODE, ENTRY = struct.Struct("<BBHI"), struct.Struct("<IBBBxIII8xqIQII32sHII")
CHILD, XATTR = struct.Struct("<32sQH"), struct.Struct("<HI")
VERSION = 1
FILE, DIRECTORY, SYMLINK, HARDLINK, CHARACTER, BLOCK, FIFO, SOCKET = range(1, 9)
UNREAD, CHANGED, XATTRS_LOST = 1, 2, 4
NONE, CHUNK, RECIPE, TREE = range(4)
MIN_ENTRIES, MAX_ENTRIES = 256, 4096
ROOT_NAME = b"."
NO_DIGEST = bytes(32)
TYPE_NAMES = {
    FILE: "file", DIRECTORY: "directory", SYMLINK: "symlink", HARDLINK: "hardlink",
    CHARACTER: "character device", BLOCK: "block device", FIFO: "fifo", SOCKET: "socket",
}  # fmt: skip


class Entry(NamedTuple):
    """One name in a directory. Times in seconds and nanoseconds since 1970, size in bytes, mode without the file type."""

    name: bytes
    type: int
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    mtime_s: int = 0
    mtime_ns: int = 0
    size: int = 0
    rdev: tuple[int, int] = (0, 0)
    target: bytes = b""
    xattrs: tuple[tuple[bytes, bytes], ...] = ()
    flags: int = 0
    content: int = NONE
    digest: bytes = NO_DIGEST


class Branch(NamedTuple):
    """A child of an upper node: its digest, how many entries lie below it, and the first name there."""

    digest: bytes
    below: int
    first: bytes


class Node(NamedTuple):
    """A decoded node: entries at level 0, branches above."""

    level: int
    entries: Sequence[Entry]
    branches: Sequence[Branch]


def ends_node(name: bytes, count: int) -> bool:
    """True when the node that holds COUNT entries, the last with NAME, ends here."""
    return count >= MAX_ENTRIES or (count >= MIN_ENTRIES and zlib.crc32(name) & 0x3FF == 0)


def check_name(name: bytes) -> bytes:
    """NAME, when rule 2 holds for it. Raises Damaged: such a name in a snapshot is hostile."""
    if name in (b"", b".", b"..") or b"/" in name or b"\0" in name:
        raise Damaged(f"a tree with the forbidden name {name!r}", reason="BAD_TREE")
    return name


def encode_entry(entry: Entry) -> bytes:
    """The bytes of one entry of a level 0 node."""
    return encode_with(entry, entry.size, entry.flags, entry.content, entry.digest)


def encode_with(entry: Entry, size: int, flags: int, content: int, digest: bytes) -> bytes:
    """encode_entry() of ENTRY, but for these of its fields: an entry made anew would be a third of the work."""
    name, kind, mode, uid, gid, seconds, nanoseconds, _size, rdev, target, xattrs = entry[:11]
    tail = name + target
    if xattrs:
        tail += b"".join([XATTR.pack(len(key), len(value)) + key + value for key, value in xattrs])
    return ENTRY.pack(
        ENTRY.size - 4 + len(tail), kind, flags, content, mode, uid, gid, seconds, nanoseconds, size, *rdev, digest, len(name),
        len(target), len(xattrs),
    ) + tail  # fmt: skip


def encode_plain(files: Iterable[tuple[bytes, int, int, int, int, int, int, int, bytes]]) -> list[bytes]:
    """encode_entry() of regular files without attributes: (name, mode, uid, gid, mtime_s, mtime_ns, size, content, digest)."""
    pack, head, none = ENTRY.pack, ENTRY.size - 4, 0
    return [
        pack(head + len(name), FILE, none, content, mode, uid, gid, seconds, nanoseconds, size, none, none, digest, len(name), none, none)
        + name
        for name, mode, uid, gid, seconds, nanoseconds, size, content, digest in files
    ]


def encode(entries: Sequence[bytes]) -> bytes:
    """The payload of the level 0 node with ENTRIES, each already encoded."""
    return NODE.pack(VERSION, 0, 0, len(entries)) + b"".join(entries)


def encode_upper(level: int, branches: Sequence[Branch]) -> bytes:
    """The payload of the node above level 0 with BRANCHES."""
    parts = [NODE.pack(VERSION, level, 0, len(branches))]
    for branch in branches:
        parts += (CHILD.pack(branch.digest, branch.below, len(branch.first)), branch.first)
    return b"".join(parts)


def decode(payload: bytes) -> Node:
    """The node in PAYLOAD; every rule is checked. Raises Damaged or Unsupported."""
    if len(payload) < NODE.size:
        raise _bad("too short")
    version, level, _reserved, count = NODE.unpack_from(payload)
    if version > VERSION:
        raise Unsupported(f"a tree of version {version}; this engine knows {VERSION}")
    if version < VERSION:
        raise _bad(f"of version {version}, which there never was")
    try:
        node = _decode_leaf(payload, count) if level == 0 else _decode_upper(payload, level, count)
    except struct.error as error:
        raise _bad("cut short") from error
    names = [entry.name for entry in node.entries] or [branch.first for branch in node.branches]
    if any(name >= after for name, after in zip(names, names[1:])):
        raise _bad("whose names are not in order")
    if names != [ROOT_NAME]:
        for name in names:
            check_name(name)
    return node


def _decode_leaf(payload: bytes, count: int) -> Node:
    entries, at = [], NODE.size
    for _each in range(count):
        size = struct.unpack_from("<I", payload, at)[0] + 4
        if size < ENTRY.size or at + size > len(payload):
            raise _bad("with an entry that does not fit")
        entries.append(_decode_entry(payload[at : at + size]))
        at += size
    if at != len(payload):
        raise _bad("with bytes behind its entries")
    return Node(0, entries, ())


def _decode_entry(data: bytes) -> Entry:
    (_size, kind, flags, content, mode, uid, gid, mtime_s, mtime_ns, size, major, minor, digest, name_size, target_size, xattr_count) = (
        ENTRY.unpack_from(data)
    )
    at = ENTRY.size + name_size
    name, target = data[ENTRY.size : at], data[at : at + target_size]
    at += target_size
    xattrs = []
    for _each in range(xattr_count):
        key_size, value_size = XATTR.unpack_from(data, at)
        at += XATTR.size
        xattrs.append((data[at : at + key_size], data[at + key_size : at + key_size + value_size]))
        at += key_size + value_size
    if at != len(data) or kind not in TYPE_NAMES or content > TREE or mtime_ns >= 1_000_000_000:
        raise _bad("with an entry that makes no sense")
    return Entry(
        name, kind, mode & 0o7777, uid, gid, mtime_s, mtime_ns, size, (major, minor), target, tuple(xattrs), flags, content, digest
    )


def _decode_upper(payload: bytes, level: int, count: int) -> Node:
    branches, at = [], NODE.size
    for _each in range(count):
        digest, below, name_size = CHILD.unpack_from(payload, at)
        at += CHILD.size
        if at + name_size > len(payload):
            raise _bad("with a branch that does not fit")
        branches.append(Branch(digest, below, payload[at : at + name_size]))
        at += name_size
    if at != len(payload) or not branches:
        raise _bad("with bytes behind its branches")
    return Node(level, (), branches)


def _bad(what: str) -> Damaged:
    return Damaged(f"a tree {what}", reason="BAD_TREE")
