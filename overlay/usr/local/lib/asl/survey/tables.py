# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Partition tables: GPT (UEFI 2.10, chapter 5) and MBR with its chain of logical partitions. Little-endian; offsets in bytes.

    MBR    446  4 x 16  entry: 0 flag 0x00|0x80, 4 type, 8 u32 first sector, 12 u32 sectors        510  2  0x55 0xAA
    GPT      0  8  "EFI PART"  12 u32 header size  16 u32 CRC-32 of the header (this field 0)  24 u64 own sector  32 u64 the other one's
            40 u64 first usable  48 u64 last usable  56 16 disk GUID  72 u64 sector of the entries  80 u32 entries  84 u32 size of one
            88 u32 CRC-32 of the entries
    entry    0 16  type GUID, 16 16 own GUID, 32 u64 first sector, 40 u64 last sector, 48 u64 flags, 56 72 name in UTF-16

A GPT whose first header is damaged is read from the second one, at the end of the disk.
"""

from __future__ import annotations

import struct
import uuid
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, Optional

from asl.survey.window import Window

_ENTRY = struct.Struct("<B3xB3xII")
_HEADER = struct.Struct("<8s4xIIxxxxQQQQ16sQIII")
_GPT_ENTRY = struct.Struct("<16s16sQQQ72s")
_MAGIC = b"EFI PART"
_EXTENDED = (0x05, 0x0F, 0x85)
_LOGICALS = 128  # more links in the chain than that are a loop
_ENTRIES = 1024

MBR_TYPES = {
    0x01: "FAT12",
    0x04: "FAT16",
    0x06: "FAT16",
    0x07: "NTFS or exFAT",
    0x0B: "FAT32",
    0x0C: "FAT32",
    0x0E: "FAT16",
    0x27: "Windows recovery",
    0x82: "Linux swap",
    0x83: "Linux",
    0x8E: "Linux LVM",
    0xA5: "FreeBSD",
    0xBF: "Solaris",
    0xEE: "GPT",
    0xEF: "EFI system",
    0xFD: "Linux RAID",
}
GPT_TYPES = {
    "c12a7328-f81f-11d2-ba4b-00a0c93ec93b": "EFI system",
    "21686148-6449-6e6f-744e-656564454649": "BIOS boot",
    "0fc63daf-8483-4772-8e79-3d69d8477de4": "Linux",
    "4f68bce3-e8cd-4db1-96e7-fbcaf984b709": "Linux root (x86-64)",
    "b921b045-1df0-41c3-af44-4c6f280d3fae": "Linux root (ARM64)",
    "933ac7e1-2eb4-4f13-b844-0e14e2aef915": "Linux home",
    "bc13c2ff-59e6-4262-a352-b275fd6f7172": "Linux boot",
    "0657fd6d-a4ab-43c4-84e5-0933c84b4f4f": "Linux swap",
    "e6d6d379-f507-44c2-a23c-238f2a3df928": "Linux LVM",
    "a19d880f-05fc-4d3b-a006-743f0f84911e": "Linux RAID",
    "ca7d7ccb-63ed-4c53-861c-1742536059cc": "LUKS",
    "ebd0a0a2-b9e5-4433-87c0-68b6b72699c7": "Windows data",
    "e3c9e316-0b5c-4db8-817d-f92df00215ae": "Windows reserved",
    "de94bba4-06d1-4d40-a16a-bfd50179d6ac": "Windows recovery",
    "6a898cc3-1dd2-11b2-99a6-080020736631": "Solaris or ZFS",
    "6a945a3b-1dd2-11b2-99a6-080020736631": "Solaris reserved",
    "516e7cba-6ecf-11d6-8ff8-00022d09712b": "FreeBSD ZFS",
}


@dataclass(frozen=True)
class Partition:
    """``start`` and ``size`` are bytes; ``type`` is the GUID or the number as 0x83."""

    number: int
    start: int
    size: int
    type: str
    type_name: str
    name: Optional[str] = None
    uuid: Optional[str] = None


@dataclass
class Table:
    """A partition table. ``kind`` is gpt or mbr; ``problems`` are sentences about what is wrong with it."""

    kind: str
    identifier: Optional[str]
    sector: int
    partitions: list[Partition] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def read_table(disk: Window, sector: int = 512) -> Optional[Table]:
    """The partition table of a disk or image, or None. ``sector`` is the logical sector size; an image may have another one."""
    for size in dict.fromkeys((sector, 512, 4096)):
        table = _gpt(disk, size)
        if table is not None:
            return table
    return _mbr(disk, sector)


class _Header(NamedTuple):
    magic: bytes
    length: int
    checksum: int
    own: int
    other: int
    first: int
    last: int
    guid: bytes
    entries: int
    slots: int
    size: int
    entries_checksum: int


def _gpt(disk: Window, sector: int) -> Optional[Table]:
    final = disk.size // sector - 1
    first, second = _gpt_header(disk, 1, sector), _gpt_header(disk, final, sector)
    header = first or second
    if header is None:
        return None
    table = Table("gpt", str(uuid.UUID(bytes_le=header.guid)), sector)
    table.partitions = list(_gpt_entries(disk, header, sector, table.problems))
    if first is None:
        table.problems.append("the first GPT header is damaged; read from the second one")
    elif second is None:
        table.problems.append("there is no valid second GPT header at the end of the disk")
    return table


def _gpt_header(disk: Window, at: int, sector: int) -> Optional[_Header]:
    data = disk.exactly(at * sector, sector)
    header = _Header(*_HEADER.unpack_from(data))
    if header.magic != _MAGIC or not _HEADER.size <= header.length <= sector:
        return None
    return header if zlib.crc32(data[:16] + bytes(4) + data[20 : header.length]) == header.checksum else None


def _gpt_entries(disk: Window, header: _Header, sector: int, problems: list[str]) -> Iterator[Partition]:
    count, size = header.slots, header.size
    if size < _GPT_ENTRY.size or not 0 < count <= _ENTRIES:
        problems.append("the GPT declares an impossible number of entries")
        return
    data = disk.read(header.entries * sector, count * size)
    if zlib.crc32(data) != header.entries_checksum:
        problems.append("the GPT's entries do not match their checksum")
    for index in range(len(data) // size):
        kind, own, first, last, _attributes, name = _GPT_ENTRY.unpack_from(data, index * size)
        if kind == bytes(16):
            continue
        if last < first or first * sector >= disk.size:
            problems.append(f"partition {index + 1} lies outside of the disk")
            continue
        type_id = str(uuid.UUID(bytes_le=kind))
        text = name.decode("utf-16-le", "replace").split("\0")[0]
        yield Partition(
            index + 1,
            first * sector,
            (last - first + 1) * sector,
            type_id,
            GPT_TYPES.get(type_id, "unknown"),
            text or None,
            str(uuid.UUID(bytes_le=own)),
        )


def _mbr(disk: Window, sector: int) -> Optional[Table]:
    entries = _mbr_entries(disk.exactly(0, 512))
    if entries is None or not any(entry[1] for entry in entries):
        return None
    disk_id = struct.unpack_from("<I", disk.exactly(440, 4))[0]
    table = Table("mbr", f"{disk_id:08x}", sector)
    for number, (_flag, kind, first, count) in enumerate(entries, start=1):
        if kind == 0 or count == 0:
            continue
        if kind == 0xEE:
            table.problems.append("the MBR says GPT, but no valid GPT header was found")
            continue
        if first * sector >= disk.size:
            table.problems.append(f"partition {number} lies outside of the disk")
            continue
        if kind in _EXTENDED:
            table.partitions.extend(_logicals(disk, first, sector, table.problems))
        else:
            table.partitions.append(_mbr_partition(number, kind, first * sector, count * sector, disk_id))
    table.partitions.sort(key=lambda each: each.number)
    return table


def _mbr_entries(data: bytes, *, link: bool = False) -> Optional[list[tuple[int, int, int, int]]]:
    """The four entries, or None where the sector holds none: a boot sector of a file system ends with 0x55 0xAA too.

    A ``link`` of the chain of logical partitions cannot be taken for anything else, so its entries may be odd.
    """
    if data[510:512] != b"\x55\xaa":
        return None
    entries = [_ENTRY.unpack_from(data, 446 + 16 * index) for index in range(4)]
    return entries if link or all(flag in (0, 0x80) and (kind == 0 or first > 0) for flag, kind, first, _count in entries) else None


def _mbr_partition(number: int, kind: int, start: int, size: int, disk_id: int) -> Partition:
    return Partition(number, start, size, f"0x{kind:02x}", MBR_TYPES.get(kind, "unknown"), None, f"{disk_id:08x}-{number:02x}")


def _logicals(disk: Window, base: int, sector: int, problems: list[str]) -> Iterator[Partition]:
    """The chain: each link's first entry is a partition relative to the link, its second the next link relative to the base."""
    disk_id = struct.unpack_from("<I", disk.exactly(440, 4))[0]
    at, seen = base, set()
    for number in range(5, 5 + _LOGICALS):
        entries = _mbr_entries(disk.exactly(at * sector, 512), link=True)
        if entries is None or at in seen:
            problems.append(f"the chain of logical partitions breaks at sector {at}")
            return
        seen.add(at)
        _flag, kind, first, count = entries[0]
        if kind and count:
            yield _mbr_partition(number, kind, (at + first) * sector, count * sector, disk_id)
        _flag, kind, following, _count = entries[1]
        if kind not in _EXTENDED:
            return
        at = base + following
