# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""XFS: the superblock, and whether its log ends with an unmount. All integers big-endian.

    superblock   0 "XFSB"  4 u32 block size  8 u64 blocks  32 uuid  48 u64 first block of the log (0: on another device)  84 u32 blocks of
                 an allocation group  96 u32 blocks of the log  108 label, 12 bytes  124 u8 log2 of blocks of a group, rounded up
    log record   0 u32 0xFEEDBABE  4 u32 cycle  8 u32 version  12 u32 bytes behind the header  40 u32 operations  320 u32 buffer (version 2)
    operation    8 u8 client  9 u8 flags; 0x20 is "unmount"

The log is a ring of 512-byte blocks. The first word of each is its cycle (in a record's header: the second); the head is where
the cycle falls. A log is clean if and only if its last record is one operation, an unmount, and ends at the head (as in Linux,
xlog_check_unmount_rec).
"""

from __future__ import annotations

import struct
import uuid
from typing import Optional

from asl.survey.signature import Signature, text
from asl.survey.window import Window

_BLOCK = 512
_RECORD = b"\xfe\xed\xba\xbe"
_UNMOUNT = 0x20
_FURTHEST = (256 + 32) * 2  # blocks from the head back to the header of the last record: 256 KiB of it and up to 32 KiB of headers


def xfs(volume: Window) -> Optional[Signature]:
    """XFS by its first superblock."""
    block = volume.exactly(0, 512)
    if block[:4] != b"XFSB":
        return None
    size, blocks = struct.unpack_from(">IQ", block, 4)
    if size < 512 or size > 1 << 16 or size & (size - 1):
        return None
    dirty, notes = _log(volume, block, size)
    return Signature("xfs", "filesystem", text(block[108:120]), str(uuid.UUID(bytes=block[32:48])), size * blocks, dirty, dirty, notes)


def _log(volume: Window, block: bytes, size: int) -> tuple[Optional[bool], tuple[str, ...]]:
    first, group, length, shift = struct.unpack_from(">Q", block, 48)[0], *struct.unpack_from(">I8xI", block, 84), block[124]
    if first == 0:
        return None, ("its log is on another device",)
    start = ((first >> shift) * group + (first & ((1 << shift) - 1))) * size
    log = volume.part(start, length * size)
    count = log.size // _BLOCK
    if count == 0:
        return None, ("its log lies outside of the volume",)
    return _is_dirty(log, count), ()


def _is_dirty(log: Window, count: int) -> Optional[bool]:
    head = _head(log, count)
    for back in range(1, min(_FURTHEST, count) + 1):
        at = (head - back) % count
        header = log.exactly(at * _BLOCK, _BLOCK)
        if header[:4] != _RECORD:
            continue
        version, length = struct.unpack_from(">II", header, 8)
        operations = struct.unpack_from(">I", header, 40)[0]
        headers = _header_blocks(version, struct.unpack_from(">I", header, 320)[0])
        after = (at + headers + (length + _BLOCK - 1) // _BLOCK) % count
        operation = log.exactly((at + headers) % count * _BLOCK, _BLOCK)
        return not (after == head % count and operations == 1 and operation[9] & _UNMOUNT)
    return None


def _header_blocks(version: int, size: int) -> int:
    """How many blocks a record's header takes: one for each 32 KiB that a log buffer may have, in version 2."""
    return max(1, -(-size // (32 << 10))) if version & 2 else 1


def _head(log: Window, count: int) -> int:
    """The first block that does not belong to the present cycle; ``count`` where the whole ring does. About 20 reads."""
    first = _cycle(log, 0)
    if _cycle(log, count - 1) == first:
        return count
    low, high = 0, count - 1  # the cycle of low is the first one's, that of high is not
    while high - low > 1:
        middle = (low + high) // 2
        if _cycle(log, middle) == first:
            low = middle
        else:
            high = middle
    return high


def _cycle(log: Window, at: int) -> int:
    word, second = struct.unpack(">4sI", log.exactly(at * _BLOCK, 8))
    return second if word == _RECORD else int.from_bytes(word, "big")
