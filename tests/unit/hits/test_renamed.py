# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A btrfs under another UUID, held against its own tools."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from asl.hits.renamed import laid_over, renamed
from asl.sources import btrfs


def made(path: Path, *words: str) -> Path:
    """An image with a btrfs."""
    with path.open("wb") as file:
        file.truncate(120 << 20)
    subprocess.run(["mkfs.btrfs", "-q", *words, str(path)], check=True, capture_output=True)
    return path


def superblock(path: Path) -> bytes:
    with path.open("rb") as file:
        file.seek(btrfs.OFFSET)
        return file.read(btrfs.SIZE)


@pytest.mark.parametrize("checksum", ["crc32c", "sha256", "blake2"])
def test_its_own_tools_take_it_for_whole(checksum: str, tmp_path: Path) -> None:
    image = made(tmp_path / "disk.img", "--csum", checksum)
    old = superblock(image)
    new = renamed(old)
    assert new is not None and btrfs.parse(new) != btrfs.parse(old)
    again = renamed(new)  # one that has a UUID beside the one in its blocks already
    assert again is not None and again[571:587] == old[32:48]
    with image.open("r+b") as file:
        file.seek(btrfs.OFFSET)
        file.write(again)
    told = subprocess.run(["btrfs", "inspect-internal", "dump-super", str(image)], check=True, capture_output=True, text=True).stdout
    assert "[match]" in told and "METADATA_UUID" in told
    subprocess.run(["btrfs", "check", "--readonly", str(image)], check=True, capture_output=True)


def test_what_is_damaged_or_of_an_unknown_checksum_keeps_its_name(tmp_path: Path) -> None:
    assert renamed(superblock(made(tmp_path / "xxhash.img", "--csum", "xxhash"))) is None
    block = bytearray(superblock(made(tmp_path / "disk.img")))
    assert renamed(bytes(block)) is not None
    block[3000] ^= 1
    assert renamed(bytes(block)) is None
    assert renamed(bytes(4096)) is None


@pytest.mark.parametrize("at", range(0, 40, 3))
@pytest.mark.parametrize("size", [1, 7, 20, 40])
def test_what_is_laid_over_is_in_its_place(at: int, size: int) -> None:
    disk = bytes(range(40))
    over = laid_over(lambda start, length: disk[start : start + length], 12, b"abcdefgh")
    assert over(at, size) == (disk[:12] + b"abcdefgh" + disk[20:])[at : at + size]
