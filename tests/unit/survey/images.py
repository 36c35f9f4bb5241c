# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images made by the real tools of each file system."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

PACKAGES = {
    "mkfs.ext4": "e2fsprogs", "mkfs.ext3": "e2fsprogs", "mkfs.ext2": "e2fsprogs", "debugfs": "e2fsprogs", "mkfs.xfs": "xfsprogs",
    "mkfs.btrfs": "btrfs-progs", "mkfs.vfat": "dosfstools", "mkswap": "util-linux", "sfdisk": "fdisk",
}  # fmt: skip
MIB = 1 << 20
SEARCH = "/usr/sbin:/usr/bin:/sbin:/bin"


def tool(name: str, *arguments: str, given: str = "") -> None:
    """Run a tool; a missing one fails the test and names its package."""
    path = shutil.which(name, path=SEARCH)
    assert path, f"{name} is missing: install the package {PACKAGES[name]}"
    environment = {"LC_ALL": "C", "PATH": SEARCH}
    done = subprocess.run([path, *arguments], input=given, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, f"{name}: {done.stderr}"


def empty(path: Path, mib: int) -> Path:
    """A sparse file of zeros."""
    with path.open("wb") as file:
        file.truncate(mib * MIB)
    return path


def ext(path: Path, kind: str = "ext4", *, label: str = "root", mib: int = 16) -> Path:
    """A clean ext file system."""
    tool(f"mkfs.{kind}", "-q", "-F", "-L", label, str(empty(path, mib)))
    return path


def dirty_ext(path: Path) -> Path:
    """An ext4 whose journal wants to be replayed."""
    tool("debugfs", "-w", "-R", "feature needs_recovery", str(ext(path)))
    return path


def xfs(path: Path) -> Path:
    """A clean XFS."""
    tool("mkfs.xfs", "-q", "-f", "-L", "data", str(empty(path, 310)))
    return path


def poke(path: Path, offset: int, data: bytes) -> Path:
    """Change bytes of an image."""
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)
    return path


def put(disk: Path, start: int, part: Path) -> None:
    """Copy an image into a disk image."""
    with disk.open("r+b") as file:
        file.seek(start)
        file.write(part.read_bytes())
