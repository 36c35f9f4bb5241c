# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of a file system lies on another device, by superblocks: of the types that not every kernel mounts, and of what cannot be read."""

from __future__ import annotations

import errno
import uuid
from pathlib import Path

import pytest

from asl.errors import Refused, Unavailable
from asl.sources import btrfs, several

PATHS = 1024 + 2201


def of(*parts: tuple[int, bytes]) -> several.Read:
    """A disk that holds PARTS, (offset, bytes), and zeros."""
    disk = bytearray(70 << 10)
    for at, data in parts:
        disk[at : at + len(data)] = data
    return lambda at, size: bytes(disk[at : at + size])


@pytest.mark.parametrize(
    ("kind", "parts", "part"),
    [
        ("f2fs", [], None),
        ("f2fs", [(PATHS, b"/dev/sda")], None),  # a zoned one of one device names itself
        ("f2fs", [(PATHS, b"/dev/sda"), (PATHS + 68, b"/dev/sdb")], "a part of it"),
        ("reiserfs", [], None),
        ("reiserfs", [((64 << 10) + 16, b"\x02\x07\0\0")], "its log"),
        ("ext4", [(1024 + 92, b"\x04\0\0\0")], None),
        ("ext4", [(1024 + 92, b"\x04\0\0\0"), (1024 + 228, b"\x02\x07\0\0")], several.JOURNAL),
        ("xfs", [(48, b"\0" * 7 + b"\x20")], None),
        ("xfs", [(48, b"\0" * 7 + b"\x20"), (16, b"\0" * 7 + b"\x01")], "its realtime section"),
        ("xfs", [(48, b"\0" * 7 + b"\x20"), (16, b"\0" * 7 + b"\x01"), (288, b"\0" * 7 + b"\x40")], None),
        ("bcachefs", [(4096 + 123, b"\1")], None),
        ("bcachefs", [(4096 + 123, b"\2")], "a part of it"),
        ("vfat", [], None),
    ],
)
def test_what_lies_elsewhere(kind: str, parts: list[tuple[int, bytes]], part: str) -> None:
    assert several.elsewhere(kind, of(*parts)) == part


def test_what_cannot_be_left_alone_is_refused() -> None:
    with pytest.raises(Refused, match="its log is on another device") as refused:
        several.check("fs:/dev/sda1", "xfs", of())
    assert refused.value.reason == "SEVERAL_DEVICES" and refused.value.hint


def test_a_superblock_that_cannot_be_read_is_no_answer() -> None:
    def read(at: int, size: int) -> bytes:
        raise OSError(errno.EIO, "Input/output error")

    with pytest.raises(Unavailable, match="superblock"):
        several.check("fs:/dev/sda1", "ext4", read)


def test_a_btrfs_is_mounted_where_sysfs_has_it(tmp_path: Path) -> None:
    fsid = uuid.uuid4()
    (tmp_path / "sys/fs/btrfs/features").mkdir(parents=True)
    assert not btrfs.is_mounted(fsid.bytes, str(tmp_path))
    (tmp_path / "sys/fs/btrfs" / str(fsid)).mkdir()
    assert btrfs.is_mounted(fsid.bytes, str(tmp_path))
