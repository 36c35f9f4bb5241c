# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of a file system some blocks of which fail: what they are is known from the file system's own tool."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path
from typing import Any

import pytest
from unit.hits.support import mounted, run

from asl.deadline import in_child
from asl.hits import view
from asl.hits.volume import Volume

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
MIB, BLOCK, SIZE = 1 << 20, 1024, 17_000


def test_a_file_whose_map_cannot_be_read_is_hit_from_there_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first twelve blocks of a file of an ext3 stand in its inode, the others in a block that fails here."""
    monkeypatch.setenv("ASL_RUN_DIR", str(tmp_path / "run"))
    image, point = tmp_path / "disk.img", tmp_path / "mnt"
    point.mkdir()
    with image.open("wb") as file:
        file.truncate(16 * MIB)
    run("mkfs.ext3", "-q", "-F", "-b", str(BLOCK), str(image))
    with mounted(image, point):
        (point / "file").write_bytes(os.urandom(SIZE))
        with (point / "hole").open("wb") as file:
            file.write(b"x" * 100)
            file.truncate(SIZE)
    found = re.search(r"\(IND\):(\d+)", run("debugfs", "-R", "stat /file", str(image)))
    assert found
    bad = int(found[1]) * BLOCK

    def fetch(at: int, size: int) -> bytes:
        if at < bad + BLOCK and at + size > bad:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        with image.open("rb") as file:
            return os.pread(file.fileno(), size, at)

    def look() -> Any:
        view.alone()
        with view.as_file(16 * MIB, fetch) as path, view.as_device(path, 0, 16 * MIB) as device:
            volume = Volume("disk", device, "ext3", [(bad, bad + BLOCK)], 10)
            volume.find(lambda _count: None)
            return {name: each["ranges"] for name, each in volume.files.items()}

    outcome = in_child(look, 60)
    assert outcome.error is None
    assert outcome.value == {"file": [[12 * BLOCK, SIZE - 12 * BLOCK]]}
