# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Memory stays bounded whatever the size. Peaks are those that the kernel keeps for a process (getrusage(2), ru_maxrss)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from integration.support import Machine

BOUND = 128 << 20


def test_a_20_gib_sparse_image(machine: Machine, tmp_path: Path) -> None:
    image = tmp_path / "disk.img"
    with image.open("wb") as handle:
        handle.truncate(20 << 30)
        for gibibyte in range(20):
            handle.seek((gibibyte << 30) + 12_345_678)
            handle.write(os.urandom(6 << 20))
    store = machine.init(tmp_path / "store")
    peak, taken = machine.peak(f"device:{image}", store)
    assert taken["sources"][0]["bytes_read"] >= 20 * (6 << 20)
    assert 1 << 20 < peak < BOUND, f"peak {peak >> 20} MiB"


@pytest.fixture
def many_files(tmp_path: Path) -> Path:
    tree = tmp_path / "many"
    for folder in range(200):
        place = tree / f"{folder:03d}"
        place.mkdir(parents=True)
        at = os.open(place, os.O_PATH)
        for name in range(1000):
            handle = os.open(f"{name:04d}", os.O_CREAT | os.O_WRONLY, dir_fd=at)
            os.write(handle, b"%d %d\n" % (folder % 20, name))
            os.close(handle)
        os.close(at)
    return tree


def test_a_tree_of_200_000_files(machine: Machine, many_files: Path, tmp_path: Path) -> None:
    store = machine.init(tmp_path / "store")
    peak, first = machine.peak(f"tree:{many_files}", store)
    assert first["files"] >= 200_000
    assert 1 << 20 < peak < BOUND, f"peak {peak >> 20} MiB"
    peak, again = machine.peak(f"tree:{many_files}", store)
    assert again["digest"] == first["digest"]
    assert 1 << 20 < peak < BOUND, f"peak of the second run {peak >> 20} MiB"
