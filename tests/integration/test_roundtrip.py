# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""In and out again: what comes back is what went in, down to holes, nanoseconds and names that are no text."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from integration.support import Machine, differences

pytestmark = pytest.mark.root


def take_and_restore(machine: Machine, tree: Path, folder: Path) -> Path:
    store = machine.init(folder / "store")
    taken = machine.intake(f"tree:{tree}", store).document
    back = folder / "back"
    machine.run("asl-admin", "restore", taken["snapshot"], "--to", str(back), "--store", str(store))
    return back


def test_a_whole_system_comes_back_identical(machine: Machine, system_tree: Path, tmp_path: Path) -> None:
    assert differences(system_tree, take_and_restore(machine, system_tree, tmp_path)) == []


def test_hostile_cases_come_back_identical(machine: Machine, hostile_tree: Path, tmp_path: Path) -> None:
    back = take_and_restore(machine, hostile_tree, tmp_path)
    assert differences(hostile_tree, back) == []
    assert listing(back) == listing(hostile_tree)


def test_holes_stay_holes(machine: Machine, hostile_tree: Path, tmp_path: Path) -> None:
    back = take_and_restore(machine, hostile_tree, tmp_path)
    for path in sorted((hostile_tree / "holes").iterdir()):
        allocated = [folder.lstat().st_blocks * 512 for folder in (path, back / "holes" / path.name)]
        assert allocated[1] <= allocated[0], f"{path.name} took {allocated[0]} bytes and came back with {allocated[1]}"
    assert (back / "holes" / "only-a-hole").lstat().st_blocks == 0


def test_an_image_comes_back_byte_for_byte(machine: Machine, tmp_path: Path) -> None:
    image = tmp_path / "disk.img"
    with image.open("wb") as handle:
        handle.truncate(300 << 20)
        for offset in (0, 70 << 20, (300 << 20) - 512):
            handle.seek(offset)
            handle.write(os.urandom(512) * (1 if offset else 4000))
    store = machine.init(tmp_path / "store")
    taken = machine.intake(f"device:{image}", store).document
    back = tmp_path / "back.img"
    machine.run("asl-admin", "restore", taken["snapshot"], "--file", str(back), "--store", str(store))
    assert back.stat().st_size == image.stat().st_size
    assert back.read_bytes() == image.read_bytes()
    assert back.stat().st_blocks <= image.stat().st_blocks + 1024


def listing(tree: Path) -> list[tuple[object, ...]]:
    """Name, type, device, owner, size, time and link target of everything in TREE, which rsync's rules do not stand between."""
    rows = []
    for folder, names, files in os.walk(os.fsencode(tree)):
        for name in sorted(names + files):
            path = os.path.join(folder, name)
            status = os.lstat(path)
            target = os.readlink(path) if stat.S_ISLNK(status.st_mode) else b""
            size = 0 if stat.S_ISDIR(status.st_mode) else status.st_size
            owner = (status.st_uid, status.st_gid, status.st_mode, status.st_rdev, status.st_nlink)
            rows.append((os.path.relpath(path, os.fsencode(tree)), *owner, size, status.st_mtime_ns, target))
    return sorted(rows)
