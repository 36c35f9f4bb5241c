# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Memory stays bounded whatever the size. Peaks are those that the kernel kept for the process (wait4(2), ru_maxrss)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from integration.support import Machine

BOUND = 256 << 20


def test_a_20_gib_sparse_image(machine: Machine, tmp_path: Path) -> None:
    image = tmp_path / "disk.img"
    with image.open("wb") as handle:
        handle.truncate(20 << 30)
        for gibibyte in range(20):
            handle.seek((gibibyte << 30) + 12_345_678)
            handle.write(os.urandom(6 << 20))
    store = machine.init(tmp_path / "store")
    outcome = machine.intake(f"device:{image}", store)
    assert outcome.document["sources"][0]["bytes_read"] >= 20 * (6 << 20)
    assert outcome.peak < BOUND, f"peak {outcome.peak >> 20} MiB"


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
    first = machine.intake(f"tree:{many_files}", store)
    assert first.document["files"] >= 200_000
    assert first.peak < BOUND, f"peak {first.peak >> 20} MiB"
    again = machine.intake(f"tree:{many_files}", store)
    assert again.document["digest"] == first.document["digest"]
    assert again.peak < BOUND, f"peak of the second run {again.peak >> 20} MiB"
