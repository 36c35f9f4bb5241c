# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a killed intake has left is found and put back: on a real loop device, with a real mount."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from asl.errors import Unavailable
from asl.sources.guard import Guard, is_read_only, set_read_only
from asl.sources.leftovers import leftovers, put_back

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="loop devices need root")


@pytest.fixture
def loop(tmp_path: Path) -> Iterator[str]:
    (tmp_path / "image").write_bytes(bytes(1 << 20))
    done = subprocess.run(["losetup", "--find", "--show", str(tmp_path / "image")], check=True, capture_output=True, text=True)
    device = done.stdout.strip()
    yield device
    set_read_only(device, False)
    subprocess.run(["losetup", "--detach", device], check=True)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ASL_RUN_DIR", str(tmp_path / "run"))
    return tmp_path / "run" / "mnt"


def test_nothing_is_left(place: Path) -> None:
    assert leftovers() == []
    guard = Guard(str(place / "sda1"))
    guard.release()
    assert leftovers() == []


def test_a_device_is_put_back(place: Path, loop: str) -> None:
    guard = Guard(str(place / "x"))
    guard.protect(loop)
    [held] = leftovers()
    assert held.action == f"put back {loop}, which an intake had set read-only"
    with pytest.raises(Unavailable) as caught:
        put_back(held)
    assert caught.value.reason == "SOURCE_BUSY"
    guard.abandon()  # as a killed run does
    assert is_read_only(loop)
    put_back(held)
    assert not is_read_only(loop)
    assert leftovers() == []


def test_a_mount_is_taken_down_first(place: Path, loop: str) -> None:
    guard = Guard(str(place / "x"))
    guard.protect(loop)
    guard.abandon()
    (place / "x").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "none", str(place / "x")], check=True)
    try:
        [left] = leftovers()
        assert left.action.startswith(f"unmount {place / 'x'} and put back {loop}")
        with (place / "x" / "busy").open("w"), pytest.raises(Unavailable, match="cannot be unmounted"):
            put_back(left)
        assert is_read_only(loop)
        put_back(left)
    finally:
        subprocess.run(["umount", "-q", str(place / "x")], check=False)
    assert not os.path.ismount(place / "x")
    assert not is_read_only(loop)


def test_a_record_that_is_none_is_passed_over(place: Path) -> None:
    place.mkdir(parents=True)
    (place / "odd.json").write_text("[")
    assert leftovers() == []
