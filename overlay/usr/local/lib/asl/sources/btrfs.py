# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which block devices the kernel may take for parts of one btrfs.

It puts a filesystem together from whatever it knows under its fsid, members of several as well as copies and members that were
removed, and replays the log as long as one of them can be written: so all of them have to be read-only before any is mounted. The
superblock lies at 64 KiB: fsid at byte 32, magic at 64, num_devices at 136 (little-endian; btrfs documentation, "On-disk Format").
"""

from __future__ import annotations

import os
import struct
import uuid
from typing import NamedTuple, Optional

from asl import system

OFFSET, SIZE = 64 * 1024, 4096
MAGIC = b"_BHRfS_M"
_FSID, _MAGIC_AT, _DEVICES = 32, 64, struct.Struct("<Q")


class Super(NamedTuple):
    """Which filesystem a device belongs to, and how many devices that has."""

    fsid: bytes
    devices: int


def parse(data: bytes) -> Optional[Super]:
    """The superblock in DATA, the SIZE bytes at OFFSET of a device; None where it is none."""
    if len(data) < SIZE or data[_MAGIC_AT : _MAGIC_AT + len(MAGIC)] != MAGIC:
        return None
    return Super(data[_FSID : _FSID + 16], _DEVICES.unpack_from(data, 136)[0])


def superblock(device: str) -> Optional[Super]:
    """The btrfs superblock of DEVICE; None where there is none or it cannot be read."""
    try:
        fd = os.open(device, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return parse(os.pread(fd, SIZE, OFFSET))
    except OSError:
        return None
    finally:
        os.close(fd)


def others(fsid: bytes, device: Optional[str] = None) -> list[str]:
    """The block devices that carry FSID, beside DEVICE, as far as they are there.

    Without those that lie below another one of them: who holds a device keeps the kernel's btrfs off it, and it is the same bytes."""
    devices = system.block_devices()
    own = None if device is None else system.device_of(device, devices)
    candidates = [(each, superblock(each.path)) for each in devices if each.size and each != own]
    found = {each.name: each for each, there in candidates if there is not None and there.fsid == fsid}
    above = {*found, *([own.name] if own else [])}
    return [each.path for each in found.values() if not above & set(each.holders)]


def is_mounted(fsid: bytes, root: str = "/") -> bool:
    """Whether the kernel has a filesystem of this FSID mounted, from whatever device and in whatever namespace."""
    return os.path.isdir(system.under(root, f"/sys/fs/btrfs/{uuid.UUID(bytes=fsid)}"))
