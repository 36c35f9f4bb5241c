# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the bytes of a file lie, held against the disk itself."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from unit.hits.support import mounted, run

from asl.hits import extents as module
from asl.hits.extents import OnlyReading, extents, holding

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
MIB = 1 << 20
PIECES = 3 * module._AT_ONCE + 7


@pytest.fixture
def place(tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    """A mounted ext4 of 1 KiB blocks, and the image below it."""
    image, point = tmp_path / "disk.img", tmp_path / "mnt"
    point.mkdir()
    with image.open("wb") as file:
        file.truncate(32 * MIB)
    run("mkfs.ext4", "-q", "-F", "-b", "1024", "-O", "inline_data", "-I", "256", str(image))
    with mounted(image, point):
        yield point, image


def test_a_file_of_more_pieces_than_are_asked_for_at_once_is_known_to_its_end(place: tuple[Path, Path]) -> None:
    point, image = place
    with (point / "pieces").open("wb") as file:
        for number in range(PIECES):
            file.seek(number * 2048)
            file.write(number.to_bytes(4, "big") * 256)
        file.flush()
        os.fsync(file.fileno())
    with (point / "pieces").open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        found = list(extents(file.fileno(), size))
        assert [each.logical for each in found] == [number * 2048 for number in range(PIECES)]
        disk = image.read_bytes()
        for number, each in enumerate(found):
            assert disk[each.physical : each.physical + each.length] == number.to_bytes(4, "big") * 256
        last = found[-1]
        hit = [(last.physical + 100, last.physical + 200)]
        assert holding(extents(file.fileno(), size), hit) == [(last.logical + 100, last.logical + 200)]


def test_a_file_within_its_inode_is_read(place: tuple[Path, Path]) -> None:
    (place[0] / "small").write_bytes(b"x" * 20)
    run("sync", "-f", str(place[0]))
    with (place[0] / "small").open("rb") as file, pytest.raises(OnlyReading):
        list(extents(file.fileno(), 20))
