# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the bytes of a file lie, as its file system says: ioctl FS_IOC_FIEMAP (the kernel's documentation, filesystems/fiemap).

    fiemap   0 u64 start   8 u64 length   16 u32 flags   20 u32 mapped   24 u32 count   28 u32 reserved
    extent   0 u64 logical   8 u64 physical   16 u64 length (bytes)   40 u32 flags

On btrfs the physical place is one in the file system's own space; its chunk tree (ioctl BTRFS_IOC_TREE_SEARCH; btrfs documentation,
"On-disk Format", CHUNK_ITEM) leads from there to the device.
"""

from __future__ import annotations

import bisect
import errno
import fcntl
import os
import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

FS_IOC_FIEMAP = 0xC020660B
BTRFS_IOC_TREE_SEARCH = 0xD0009411
_HEAD, _EXTENT = struct.Struct("=QQIIII"), struct.Struct("=QQQ16xI12x")
_AT_ONCE = 512
LAST, UNWRITTEN = 0x1, 0x800
# Not known, not there yet, packed, encrypted, within metadata: only reading tells.
STRANGE = 0x2 | 0x4 | 0x8 | 0x80 | 0x100 | 0x200 | 0x400
_SEARCH, _FOUND = struct.Struct("=QQQQQQQIII4x32x"), struct.Struct("=QQQII")
_CHUNK_TREE, _CHUNK_OBJECT, _CHUNK_ITEM = 3, 256, 228
_CHUNK, _STRIPE = struct.Struct("<QQQQIIIHH"), struct.Struct("<QQ16x")
# Chunk types that keep a byte at one place on each of their devices: neither RAID0 (1 << 3), RAID10 (1 << 6), RAID5 nor RAID6.
_SPREAD = 1 << 3 | 1 << 6 | 1 << 7 | 1 << 8


class Extent(NamedTuple):
    """LENGTH bytes from LOGICAL on in the file lie at PHYSICAL on the device."""

    logical: int
    physical: int
    length: int


class OnlyReading(Exception):
    """The file system does not say where a file lies."""


def extents(fd: int, size: int) -> Iterator[Extent]:
    """Where the first SIZE bytes of the file FD lie, without holes and what reads as zeros: asked for in batches until the last extent.

    Raises OnlyReading where only reading tells, OSError where its map cannot be read."""
    at = 0
    while at < size:
        buffer = bytearray(_HEAD.size + _AT_ONCE * _EXTENT.size)
        _HEAD.pack_into(buffer, 0, at, size - at, 0, 0, _AT_ONCE, 0)
        fcntl.ioctl(fd, FS_IOC_FIEMAP, buffer)
        count = min(_HEAD.unpack_from(buffer)[3], _AT_ONCE)
        before, last = at, not count
        for number in range(count):
            logical, physical, length, flags = _EXTENT.unpack_from(buffer, _HEAD.size + number * _EXTENT.size)
            if flags & STRANGE:
                raise OnlyReading
            at, last = logical + length, last or bool(flags & LAST)
            if not flags & UNWRITTEN and logical < size:
                yield Extent(logical, physical, min(length, size - logical))
        if last:
            _check_end(fd, at, size)
            return
        if at <= before:
            raise OnlyReading  # it gives the same ones again


def _check_end(fd: int, at: int, size: int) -> None:
    """Raise OSError where there is more than a hole between AT, where the map of the file FD ends, and SIZE.

    Linux ends the map of a file with indirect blocks (ext3) at one that cannot be read, as if nothing followed."""
    if at >= size:
        return
    try:
        os.lseek(fd, at, os.SEEK_DATA)
    except OSError as error:
        if error.errno == errno.ENXIO:
            return
        raise
    raise OSError(errno.EIO, "its map ends before it does")


def holding(found: Iterable[Extent], missing: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """(start, end) in the file of what lies in MISSING, which are (start, end) on the device, in order and apart."""
    ends, hit = [end for _start, end in missing], []
    for each in found:
        number = bisect.bisect_right(ends, each.physical)
        while number < len(missing) and missing[number][0] < each.physical + each.length:
            start = max(missing[number][0], each.physical)
            end = min(missing[number][1], each.physical + each.length)
            hit.append((each.logical + start - each.physical, each.logical + end - each.physical))
            number += 1
    return joined(hit)


def joined(ranges: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """RANGES in order, neighbours and what overlaps joined."""
    found: list[tuple[int, int]] = []
    for start, end in sorted(ranges):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return found


class Chunks:
    """The chunk tree of a btrfs on one device: what of MISSING on the device is, seen in the file system's own space."""

    def __init__(self, fd: int, missing: Sequence[tuple[int, int]]) -> None:
        """FD is anything on the mounted file system. Raises OSError; ValueError where a byte does not lie in one place."""
        ranges = []
        for logical, length, places in _chunks(fd):
            for place in places:
                hit = [(max(start, place), min(end, place + length)) for start, end in missing]
                ranges += [(logical + start - place, logical + end - place) for start, end in hit if start < end]
        self.missing = joined(ranges)


def _chunks(fd: int) -> list[tuple[int, int, list[int]]]:
    """(logical start, length, places on the device) of every chunk, in bytes."""
    found: list[tuple[int, int, list[int]]] = []
    after = 0
    while True:
        buffer = bytearray(4096)
        most = (1 << 64) - 1
        _SEARCH.pack_into(buffer, 0, _CHUNK_TREE, _CHUNK_OBJECT, _CHUNK_OBJECT, after, most, 0, most, _CHUNK_ITEM, _CHUNK_ITEM, 4096)
        fcntl.ioctl(fd, BTRFS_IOC_TREE_SEARCH, buffer)
        count, at = struct.unpack_from("=I", buffer, 64)[0], 104
        if not count:
            return found
        for _turn in range(count):
            _transid, _object, logical, _type, length = _FOUND.unpack_from(buffer, at)
            at += _FOUND.size
            size, _owner, _stripe, kind, _align, _width, _sector, stripes, _sub = _CHUNK.unpack_from(buffer, at)
            if kind & _SPREAD:
                raise ValueError("its bytes are spread over stripes")
            places = [_STRIPE.unpack_from(buffer, at + _CHUNK.size + number * _STRIPE.size)[1] for number in range(stripes)]
            found.append((logical, size, places))
            at, after = at + length, logical + 1
