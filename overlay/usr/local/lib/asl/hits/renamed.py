# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A btrfs of one device under another UUID: the kernel tells filesystems apart by it, and the real disk may be there as well.

The format has a place for that: with METADATA_UUID (Linux 5.0) the superblock has a UUID of its own, and keeps the one that stands in
every block. Superblock (little-endian; btrfs documentation, "On-disk Format"): 0 checksum of what follows its 32 bytes, 32 fsid,
56 u64 flags, 136 u64 devices, 188 u64 incompat, 196 u16 type of the checksum, 571 metadata_uuid.
"""

from __future__ import annotations

import hashlib
import struct
import uuid
from collections.abc import Callable
from typing import Optional

from asl.sources import btrfs
from asl.sources.several import Read

_CHECKSUM, _FSID, _FLAGS, _INCOMPAT, _TYPE, _METADATA_UUID = 32, 32, 56, 188, 196, 571
_HAS_METADATA_UUID = 0x400
# Flags above are of seeds, of dumps, and of a change of the UUID that did not end.
_ORDINARY = 1 << 32


def _crc32c(data: bytes) -> bytes:
    """CRC-32C (RFC 3720, appendix B.4)."""
    value = 0xFFFFFFFF
    for byte in data:
        value ^= byte
        for _bit in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
    return struct.pack("<I", value ^ 0xFFFFFFFF)


_CHECKSUMS: dict[int, Callable[[bytes], bytes]] = {
    0: _crc32c,
    2: lambda data: hashlib.sha256(data).digest(),
    3: lambda data: hashlib.blake2b(data, digest_size=32).digest(),
}


def renamed(block: bytes) -> Optional[bytes]:
    """The superblock BLOCK with a random UUID; None where that is not possible: of several devices, damaged, of an unknown checksum."""
    own = btrfs.parse(block)
    if own is None or own.devices != 1 or struct.unpack_from("<Q", block, _FLAGS)[0] >= _ORDINARY:
        return None
    checksum = _CHECKSUMS.get(struct.unpack_from("<H", block, _TYPE)[0])
    if checksum is None or not block.startswith(checksum(block[_CHECKSUM:])):
        return None
    changed = bytearray(block)
    incompat = struct.unpack_from("<Q", block, _INCOMPAT)[0]
    if not incompat & _HAS_METADATA_UUID:
        changed[_METADATA_UUID : _METADATA_UUID + 16] = own.fsid
        struct.pack_into("<Q", changed, _INCOMPAT, incompat | _HAS_METADATA_UUID)
    changed[_FSID : _FSID + 16] = uuid.uuid4().bytes
    made = checksum(bytes(changed[_CHECKSUM:]))
    changed[: len(made)] = made
    return bytes(changed)


def laid_over(read: Read, at: int, data: bytes) -> Read:
    """READ, with DATA in place of what is at AT."""

    def over(start: int, size: int) -> bytes:
        end = start + size
        if end <= at or start >= at + len(data):
            return read(start, size)
        before = read(start, at - start) if start < at else b""
        after = read(at + len(data), end - at - len(data)) if end > at + len(data) else b""
        return before + data[max(0, start - at) : end - at] + after

    return over
