# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What lies below file systems: LUKS, BitLocker, LVM, md, ZFS, swap. Each parser gives a Signature or None.

LUKS    "LUKS" 0xBA 0xBE at 0, u16 version (big-endian), uuid at 168, label at 24 (version 2)
LVM     "LABELONE" in one of the first four sectors; 20 u32 offset of the header: uuid, u64 size, lists of areas up to a zero one
md      magic 0xA92B4EFC; 1.1 at 0, 1.2 at 4096, 1.0 at 8 KiB before the end rounded to 4 KiB, 0.90 in the last full 64 KiB
ZFS     four labels of 256 KiB, two at each end; uberblock magic 0xBAB10C in the ring at +128 KiB, either byte order
swap    "SWAPSPACE2" at the end of the first page; another word there is a hibernated system
"""

from __future__ import annotations

import re
import struct
import uuid
from typing import Optional

from asl.survey.signature import Signature, text
from asl.survey.window import Window

_MD_MAGIC = 0xA92B4EFC
_PAGES = (4096, 8192, 16384, 65536)
_HIBERNATED = (b"S1SUSPEND\0", b"S2SUSPEND\0", b"ULSUSPEND\0", b"LINHIB0001")
_LABEL = 256 << 10  # bytes of a ZFS label
_UBERBLOCK = (struct.pack("<Q", 0xBAB10C), struct.pack(">Q", 0xBAB10C))


def luks(volume: Window) -> Optional[Signature]:
    """LUKS 1 and 2."""
    block = volume.exactly(0, 512)
    if block[:6] != b"LUKS\xba\xbe":
        return None
    version = struct.unpack_from(">H", block, 6)[0]
    return Signature("luks", "encrypted", text(block[24:72]) if version == 2 else None, text(block[168:208]), notes=(f"LUKS{version}",))


def bitlocker(volume: Window) -> Optional[Signature]:
    """BitLocker."""
    return Signature("bitlocker", "encrypted") if volume.exactly(0, 16)[3:11] == b"-FVE-FS-" else None


def lvm(volume: Window) -> Optional[Signature]:
    """An LVM physical volume; the label is the name of its volume group."""
    for sector in range(4):
        label = volume.exactly(sector * 512, 512)
        if label[:8] == b"LABELONE" and label[24:32] == b"LVM2 001":
            at = sector * 512 + struct.unpack_from("<I", label, 20)[0]
            header = volume.exactly(at, 512)
            raw = header[:32].decode("ascii", "replace")
            parts = (raw[:6], raw[6:10], raw[10:14], raw[14:18], raw[18:22], raw[22:26], raw[26:])
            size = struct.unpack_from("<Q", header, 32)[0]
            return Signature("lvm", "member", _volume_group(volume, header), "-".join(parts), size)
    return None


def _volume_group(volume: Window, header: bytes) -> Optional[str]:
    """The first word of the newest metadata: behind the header's list of data areas comes that of metadata areas."""
    areas = list(struct.iter_unpack("<QQ", header[40 : 40 + (len(header) - 40) // 16 * 16]))
    try:
        start = areas[areas.index((0, 0)) + 1][0]
    except (ValueError, IndexError):
        return None
    area = volume.exactly(start, 512)
    if start == 0 or area[4:20] != b" LVM2 x[5A%r0N*>":
        return None
    name = re.match(rb"([A-Za-z0-9+_.-]+) \{", volume.read(start + struct.unpack_from("<Q", area, 40)[0], 256))
    return name[1].decode("ascii") if name else None


def md(volume: Window) -> Optional[Signature]:
    """A member of a Linux software RAID."""
    size = volume.size
    for at, version in ((4096, "1.2"), (0, "1.1"), (((size >> 9) - 16 & ~7) << 9, "1.0")):
        block = volume.exactly(at, 256)
        if struct.unpack_from("<II", block) == (_MD_MAGIC, 1):
            level, disks = struct.unpack_from("<i", block, 72)[0], struct.unpack_from("<I", block, 92)[0]
            resync = struct.unpack_from("<Q", block, 208)[0]
            notes = (f"metadata {version}", f"{_level(level)} of {disks}")
            return Signature(
                "md", "member", text(block[32:64]), str(uuid.UUID(bytes=block[16:32])), dirty=resync != (1 << 64) - 1, notes=notes
            )
    block = volume.exactly((size & ~0xFFFF) - 0x10000, 256)
    if struct.unpack_from("<II", block) == (_MD_MAGIC, 0):
        level, disks = struct.unpack_from("<i", block, 28)[0], struct.unpack_from("<I", block, 40)[0]
        return Signature("md", "member", notes=("metadata 0.90", f"{_level(level)} of {disks}"))
    return None


def _level(level: int) -> str:
    return {-1: "linear", -4: "multipath"}.get(level, f"raid{level}")


def zfs(volume: Window) -> Optional[Signature]:
    """A member of a ZFS pool, by the uberblocks of any of its four labels. Which pool it is, only the label's list says."""
    size = volume.size // _LABEL * _LABEL
    seen = 0
    for at in (0, _LABEL, size - 2 * _LABEL, size - _LABEL):
        ring = volume.read(at + (128 << 10), 128 << 10)
        seen += any(ring[slot : slot + 8] in _UBERBLOCK for slot in range(0, len(ring), 1024))
    return Signature("zfs_member", "member", notes=(f"{seen} of 4 labels",)) if seen else None


def swap(volume: Window) -> Optional[Signature]:
    """A swap area; one that holds a hibernated system counts as dirty."""
    for page in _PAGES:
        magic = volume.exactly(page - 10, 10)
        hibernated = magic in _HIBERNATED
        if hibernated or magic in (b"SWAPSPACE2", b"SWAP-SPACE"):
            block = volume.exactly(1024, 64)
            pages = struct.unpack_from("<I", block, 4)[0] + 1
            notes = ("holds a hibernated system",) if hibernated else ()
            return Signature(
                "swap", "swap", text(block[28:44]), str(uuid.UUID(bytes=block[12:28])), pages * page, hibernated, hibernated, notes
            )
    return None


PARSERS = (luks, bitlocker, lvm, md, zfs, swap)
