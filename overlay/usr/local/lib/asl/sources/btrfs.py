# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The members of a btrfs that lies on several devices.

All have to be read-only before any is mounted: btrfs replays its log as long as one of them can be written. The superblock
lies at 64 KiB: fsid at byte 32, magic at 64, num_devices at 136 (little-endian; btrfs documentation, "On-disk Format").
"""

from __future__ import annotations

import os
import struct
from typing import NamedTuple, Optional

from asl import system

OFFSET, SIZE = 64 * 1024, 4096
MAGIC = b"_BHRfS_M"
_FSID, _MAGIC_AT, _DEVICES = 32, 64, struct.Struct("<Q")


class Super(NamedTuple):
    """Which filesystem a device belongs to, and how many devices that has."""

    fsid: bytes
    devices: int


def superblock(device: str) -> Optional[Super]:
    """The btrfs superblock of DEVICE; None where there is none or it cannot be read."""
    try:
        fd = os.open(device, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        data = os.pread(fd, SIZE, OFFSET)
    except OSError:
        return None
    finally:
        os.close(fd)
    if len(data) < SIZE or data[_MAGIC_AT : _MAGIC_AT + len(MAGIC)] != MAGIC:
        return None
    return Super(data[_FSID : _FSID + 16], _DEVICES.unpack_from(data, 136)[0])


def other_members(device: str) -> list[str]:
    """The other block devices that carry the filesystem of DEVICE, as far as they are there."""
    own = superblock(device)
    if own is None or own.devices < 2:
        return []
    this = os.path.realpath(device)
    found = [other.path for other in system.block_devices() if other.size and other.path != this]
    return [path for path in found if (there := superblock(path)) is not None and there.fsid == own.fsid]
