# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is asked before anything is looked at."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from asl.errors import Usage
from asl.hits.find import check_image, sector_of


def test_an_image_is_a_file_of_the_size_that_was_recorded(tmp_path: Path) -> None:
    image = tmp_path / "disk.img"
    image.write_bytes(bytes(4096))
    check_image(str(image), "device:/dev/sda", 4096)
    os.mkfifo(tmp_path / "fifo")
    for path, words in (
        (image, "it has 4096 bytes, and the snapshot 8192"),
        (tmp_path, "neither a file nor a block device"),
        (tmp_path / "fifo", "neither a file nor a block device"),
        (tmp_path / "nothing", "cannot be opened"),
    ):
        with pytest.raises(Usage, match=words) as error:
            check_image(str(path), "device:/dev/sda", 8192)
        assert error.value.reason == "WRONG_IMAGE" and error.value.hint


@pytest.mark.parametrize(
    ("details", "size"),
    [({"sector_size": 4096}, 4096), ({"sector_size": 520}, 512), ({"sector_size": "4096"}, 512), ({}, 512), (None, 512)],
)
def test_the_sector_size_is_what_the_receipt_tells(details: object, size: int) -> None:
    assert sector_of(details) == size
