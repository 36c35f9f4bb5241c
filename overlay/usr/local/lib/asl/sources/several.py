# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filesystems that keep a part of themselves on another device, by their superblocks. Mounting one opens that device too.

ext3, ext4   at 1024, little-endian: 92 u32 compat (4: has a journal), 228 u32 device of the journal; `noload` leaves it alone
xfs          at 0, big-endian: 16 u64 blocks of the realtime section, 48 u64 first block of the log (0: elsewhere), 288 u64 first block
             of a realtime section on the same device. No option does without either
f2fs         at 1024, little-endian: 2201 8 devices of 68 bytes, each a path of 64; the kernel opens these paths by itself
reiserfs     at 64 KiB, little-endian: 16 u32 device of the journal, which is opened whatever the options are
bcachefs     at 4096: 123 u8 number of devices (struct bch_sb); mount.bcachefs looks for the others by itself
A btrfs of several devices is told by sources.btrfs.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from typing import Optional

from asl.errors import Refused, Unavailable
from asl.sources.base import why

# (offset, size) → the bytes there. Raises OSError.
Read = Callable[[int, int], bytes]
JOURNAL = "its journal"
_HAS_JOURNAL = 0x4
_F2FS_DEVICES, _F2FS_DEVICE = 2201, 68
_BCACHEFS, _BCACHEFS_DEVICES = 4096, 123


def check(spec: str, kind: str, read: Read) -> Optional[str]:
    """JOURNAL where the filesystem SPEC of type KIND has its journal on another device, None where nothing of it lies elsewhere.

    READ gives its bytes. Raises Refused where something else lies elsewhere, Unavailable where its superblock cannot be read."""
    try:
        part = elsewhere(kind, read)
    except OSError as error:
        raise Unavailable(f"{spec}: the superblock of its {kind} cannot be read: {why(error)}", reason="MOUNT_FAILED") from error
    if part not in (None, JOURNAL):
        what = f"{spec} ({kind}) is not mounted: {part} is on another device, which would be opened too"
        raise Refused(what, reason="SEVERAL_DEVICES", hint="device: reads every byte of each without mounting")
    return part


def elsewhere(kind: str, read: Read) -> Optional[str]:
    """What of the filesystem of type KIND lies on another device, in words; None where nothing does. Only JOURNAL can be left alone."""
    if kind in ("ext3", "ext4"):
        block = read(1024, 1024)
        return JOURNAL if _u32(block, 92) & _HAS_JOURNAL and _u32(block, 228) else None
    if kind == "xfs":
        return _xfs(read(0, 512))
    if kind == "f2fs":
        first = read(1024 + _F2FS_DEVICES, 2 * _F2FS_DEVICE)
        return "a part of it" if first[:1] > b"\0" and first[_F2FS_DEVICE : _F2FS_DEVICE + 1] > b"\0" else None
    if kind == "bcachefs":
        return "a part of it" if read(_BCACHEFS, 128).ljust(128, b"\0")[_BCACHEFS_DEVICES] > 1 else None
    if kind == "reiserfs":
        return "its log" if _u32(read(64 * 1024, 512), 16) else None
    return None


def _xfs(block: bytes) -> Optional[str]:
    realtime, log, inside = (int.from_bytes(block[at : at + 8], "big") for at in (16, 48, 288))
    if not log:
        return "its log"
    return "its realtime section" if realtime and not inside else None


def _u32(block: bytes, at: int) -> int:
    value: int = struct.unpack_from("<I", block.ljust(at + 4, b"\0"), at)[0]
    return value


def reader(device: str) -> Read:
    """Reads DEVICE, which is opened for each reading."""

    def read(at: int, size: int) -> bytes:
        fd = os.open(device, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return os.pread(fd, size, at)
        finally:
            os.close(fd)

    return read
