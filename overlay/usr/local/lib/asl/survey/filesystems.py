# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""File systems by their superblocks. Each parser gives a Signature or None and never raises for what it reads.

ext2/3/4   little-endian, superblock at 1024: 4 u32 blocks, 24 u32 log2(block)-10, 56 u16 magic 0xEF53, 58 u16 state,
           92/96/100 u32 compat/incompat/ro_compat, 104 uuid, 120 label, 232 u32 orphan list, 336 u32 blocks (high)
btrfs      little-endian, superblock at 64 KiB: 32 fsid, 64 "_BHRfS_M", 96 u64 log tree, 112 u64 bytes, 136 u64 devices, 299 label
vfat       0x55AA at 510, "FAT" at 54 or 82; 11 u16 bytes a sector, 19 u16 / 32 u32 sectors, 37 / 65 u8 state, bit 0 dirty
exfat      "EXFAT   " at 3; 72 u64 sectors, 100 u32 serial, 106 u16 flags, bit 1 dirty, 108 u8 log2(sector)
ntfs       "NTFS    " at 3; flags of $Volume (record 3 of the MFT), bit 0 dirty
f2fs, squashfs, iso9660: recognised only
"""

from __future__ import annotations

import struct
import uuid
from typing import Optional

from asl.survey import xfs
from asl.survey.signature import Signature, text
from asl.survey.window import Window

_EXT_RECOVER, _EXT_JOURNAL_DEVICE = 0x4, 0x8
_EXT4_INCOMPAT = 0x40 | 0x80 | 0x100 | 0x200 | 0x400 | 0x1000 | 0x2000 | 0x4000 | 0x8000 | 0x10000
_EXT4_RO_COMPAT = 0x8 | 0x10 | 0x20 | 0x40 | 0x100 | 0x200 | 0x400 | 0x2000 | 0x8000
_NTFS_VOLUME = 3  # the number of $Volume in the MFT


def ext(volume: Window) -> Optional[Signature]:
    """ext2, ext3, ext4 or an external journal."""
    block = volume.exactly(1024, 1024)
    if block[56:58] != b"\x53\xef":
        return None
    blocks, scale, state = (
        struct.unpack_from("<I", block, 4)[0],
        struct.unpack_from("<I", block, 24)[0],
        struct.unpack_from("<H", block, 58)[0],
    )
    compat, incompat, ro_compat = struct.unpack_from("<III", block, 92)
    if scale > 6:  # blocks above 64 KiB do not exist: the magic number stands there by chance
        return None
    if incompat & 0x80:
        blocks |= struct.unpack_from("<I", block, 336)[0] << 32
    label, own = text(block[120:136]), str(uuid.UUID(bytes=block[104:120]))
    size = blocks << (10 + scale)
    if incompat & _EXT_JOURNAL_DEVICE:
        return Signature("ext_journal", "member", label, own, size)
    kind = "ext4" if incompat & _EXT4_INCOMPAT or ro_compat & _EXT4_RO_COMPAT else "ext3" if compat & 0x4 else "ext2"
    recover = bool(incompat & _EXT_RECOVER)
    notes = []
    if state & 2:
        notes.append("errors were found in it")
    if struct.unpack_from("<I", block, 232)[0]:
        notes.append("files were deleted while open")
    # State bit 0 is "cleanly unmounted". With a journal it stays set while mounted; then the recovery flag tells.
    return Signature(kind, "filesystem", label, own, size, recover or not state & 1 or bool(state & 2), recover, tuple(notes))


def btrfs(volume: Window) -> Optional[Signature]:
    """btrfs; a log tree holds what was fsynced after the last commit."""
    block = volume.exactly(64 << 10, 4096)
    if block[64:72] != b"_BHRfS_M":
        return None
    devices = struct.unpack_from("<Q", block, 136)[0]
    log = struct.unpack_from("<Q", block, 96)[0] != 0
    notes = (f"one of {devices} devices",) if devices != 1 else ()
    size = struct.unpack_from("<Q", block, 112)[0]
    return Signature("btrfs", "filesystem", text(block[299:555]), str(uuid.UUID(bytes=block[32:48])), size, log, log, notes)


def vfat(volume: Window) -> Optional[Signature]:
    """FAT12, FAT16 or FAT32."""
    block = volume.exactly(0, 512)
    sector, cluster = struct.unpack_from("<HB", block, 11)
    wide = block[82:85] == b"FAT"
    if (
        block[510:] != b"\x55\xaa"
        or not (wide or block[54:57] == b"FAT")
        or sector not in (512, 1024, 2048, 4096)
        or cluster & (cluster - 1)
    ):
        return None
    sectors = struct.unpack_from("<H", block, 19)[0] or struct.unpack_from("<I", block, 32)[0]
    base = 64 if wide else 36
    serial = struct.unpack_from("<I", block, base + 3)[0]
    label = text(block[base + 7 : base + 18], "cp437")
    own = f"{serial >> 16:04X}-{serial & 0xFFFF:04X}"
    return Signature("vfat", "filesystem", None if label == "NO NAME" else label, own, sectors * sector, bool(block[base + 1] & 1))


def exfat(volume: Window) -> Optional[Signature]:
    """exFAT."""
    block = volume.exactly(0, 512)
    if block[3:11] != b"EXFAT   " or block[510:] != b"\x55\xaa":
        return None
    serial, flags, shift = struct.unpack_from("<I", block, 100)[0], struct.unpack_from("<H", block, 106)[0], block[108]
    size = struct.unpack_from("<Q", block, 72)[0] << min(shift, 12)
    return Signature("exfat", "filesystem", None, f"{serial >> 16:04X}-{serial & 0xFFFF:04X}", size, bool(flags & 2))


def ntfs(volume: Window) -> Optional[Signature]:
    """NTFS; a dirty one was not shut down, or is hibernated (fast startup)."""
    block = volume.exactly(0, 512)
    sector, cluster = struct.unpack_from("<HB", block, 11)
    if block[3:11] != b"NTFS    " or sector not in (512, 1024, 2048, 4096):
        return None
    sectors, table = struct.unpack_from("<QQ", block, 40)
    serial = struct.unpack_from("<Q", block, 72)[0]
    per_cluster = cluster if cluster <= 0x80 else 1 << (256 - cluster)  # above 128 it is minus the logarithm
    length = struct.unpack_from("<b", block, 64)[0]
    record = length * per_cluster * sector if length > 0 else 1 << min(-length, 16)
    label, dirty = _ntfs_volume(volume.exactly(table * per_cluster * sector + _NTFS_VOLUME * record, min(record, 1 << 16)))
    return Signature("ntfs", "filesystem", label, f"{serial:016X}", sectors * sector, dirty, dirty)


def _ntfs_volume(record: bytes) -> tuple[Optional[str], Optional[bool]]:
    """Label and dirty flag out of $Volume's attributes $VOLUME_NAME (0x60) and $VOLUME_INFORMATION (0x70), both resident."""
    label, dirty = None, None
    if record[:4] != b"FILE":
        return label, dirty
    at = struct.unpack_from("<H", record, 20)[0]
    while at + 24 <= len(record):
        kind, length = struct.unpack_from("<II", record, at)
        size, offset = struct.unpack_from("<IH", record, at + 16)
        if kind == 0xFFFFFFFF or length < 24:
            break
        content = record[at + offset : at + offset + size]
        if kind == 0x60:
            label = text(content, "utf-16-le")
        elif kind == 0x70 and len(content) >= 12:
            dirty = bool(struct.unpack_from("<H", content, 10)[0] & 1)
        at += length
    return label, dirty


def f2fs(volume: Window) -> Optional[Signature]:
    """F2FS; it does not say in its superblock whether it is clean."""
    block = volume.exactly(1024, 2048)
    if block[:4] != b"\x10\x20\xf5\xf2":
        return None
    return Signature("f2fs", "filesystem", text(block[124:1148], "utf-16-le"), str(uuid.UUID(bytes=block[108:124])))


def squashfs(volume: Window) -> Optional[Signature]:
    """squashfs: the image of a live system, or the like."""
    block = volume.exactly(0, 96)
    return Signature("squashfs", "image", size=struct.unpack_from("<Q", block, 40)[0], dirty=False) if block[:4] == b"hsqs" else None


def iso9660(volume: Window) -> Optional[Signature]:
    """A CD or a live medium."""
    block = volume.exactly(32768, 2048)
    return Signature("iso9660", "image", text(block[40:72]), dirty=False) if block[1:6] == b"CD001" else None


PARSERS = (ext, xfs.xfs, btrfs, vfat, exfat, ntfs, f2fs, squashfs, iso9660)
