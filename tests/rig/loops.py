# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Loop devices. The kernel need not know partitions on them: a partition is attached by its offset and size."""

from __future__ import annotations

import json
from pathlib import Path

from .process import output, run


def attach(image: Path, *, offset: int = 0, size: int = 0, readonly: bool = True) -> str:
    """Attach SIZE bytes (0: all) of IMAGE from byte OFFSET on; returns the device, /dev/loopN."""
    argv = ["losetup", "--find", "--show", "--offset", str(offset), *(["--sizelimit", str(size)] if size else [])]
    device = output([*argv, *(["--read-only"] if readonly else []), str(image)])
    forget_protection(device)
    return device


def forget_protection(device: str) -> None:
    """Take back a BLKROSET of DEVICE: the kernel keeps it for whatever file comes next. A loop device attached read-only stays so."""
    run(["blockdev", "--setrw", device])


def unmount_all(folder: Path) -> None:
    """Unmount what an interrupted step left mounted under FOLDER in this namespace."""
    points = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    for point in reversed(points):
        if point.startswith(f"{folder}/"):
            run(["umount", "--lazy", point])


def detach_all(folder: Path) -> None:
    """Let go of every loop device whose file lies under FOLDER; the kernel waits for the last user of a busy one."""
    rows = json.loads(output(["losetup", "--json", "--list", "--output", "NAME,BACK-FILE"]) or '{"loopdevices": []}')
    for row in rows["loopdevices"]:
        if str(row["back-file"] or "").startswith(f"{folder}/"):
            forget_protection(row["name"])
            run(["losetup", "--detach", row["name"]], check=False)


def partitions(image: Path) -> list[tuple[int, int]]:
    """Offset and size in bytes of each partition in IMAGE's table."""
    table = json.loads(output(["sfdisk", "--json", str(image)]))["partitiontable"]
    sector = int(table.get("sectorsize", 512))
    return [(row["start"] * sector, row["size"] * sector) for row in table["partitions"]]
