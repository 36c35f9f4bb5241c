# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the blocks of an intake are compressed: what asl.conf says, and what lies below the store."""

from __future__ import annotations

import os
from typing import Optional

from asl import system
from asl.errors import AslError
from asl.kernel import zstd
from asl.store.frames import Compression

DEADLINE = 10.0  # seconds for zfs to say what a dataset has


def choose(wanted: str, level: int, store: str) -> Optional[Compression]:
    """What Writer takes as its compression, for `block.compression` WANTED, `block.level` LEVEL and the STORE.

    off: None. zstd: always; a host without libzstd is told so when the store is opened. auto: blocks that are worth it, where there is
    a libzstd and the file system does not compress by itself (ZFS: unless the dataset has compression off)."""
    if wanted != "auto":
        return None if wanted == "off" else Compression(level, probe=False)
    if zstd.find() is None or "://" in store or compresses(store):
        return None
    return Compression(level)


def compresses(path: str) -> bool:
    """True when the file system at PATH is ZFS, and not known to leave its data as it is."""
    try:
        status = os.stat(path)
    except OSError:
        return False
    number = f"{os.major(status.st_dev)}:{os.minor(status.st_dev)}"
    found = next((mount for mount in system.mounts() if mount.devno == number), None)
    return found is not None and found.fstype == "zfs" and _zfs_compression(found.source) != "off"


def _zfs_compression(dataset: str) -> str:
    """The property compression of DATASET; "" where zfs does not tell."""
    try:
        result = system.run(["zfs", "get", "-H", "-o", "value", "compression", dataset], DEADLINE)
    except AslError:
        return ""
    return result.stdout.decode("ascii", "replace").strip()
