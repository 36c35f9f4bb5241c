# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was read of one disk is never taken for another's, nor for this one's after it was written to: real block devices."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from asl import system
from asl.errors import Usage
from asl.intake import ledger, rescue
from asl.intake.request import Request
from asl.intake.run import run
from asl.sources.device import DeviceSource
from asl.sources.media import Media
from asl.store import init_store, open_store

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="loop devices need root")
SIZE = 6 << 20
Disks = Callable[[str], str]


@pytest.fixture
def disks(tmp_path: Path) -> Iterator[Disks]:
    """Makes a disk of random bytes with an image of this name; its device."""
    made: list[str] = []

    def make(name: str) -> str:
        (tmp_path / name).write_bytes(os.urandom(SIZE))
        argv = ["losetup", "--find", "--show", "--read-only", str(tmp_path / name)]
        made.append(subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip())
        return made[-1]

    yield make
    for device in made:
        subprocess.run(["losetup", "--detach", device], check=True)


def taken(store: str, *devices: str, **media: Any) -> dict[str, Any]:
    return run(Request(tuple(f"device:{each}" for each in devices), store, "test", media=Media(**media)))


def stopped(monkeypatch: pytest.MonkeyPatch, device: str, store: str) -> None:
    """An intake that is killed when four of six parts are read, and had saved what it had."""
    calls = iter(range(100))

    def watch(_self: object) -> None:
        if next(calls) == 4:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(ledger, "SOON", 0.0)
        patch.setattr(ledger, "LATEST", 0.0)
        patch.setattr(rescue.DeviceIntake, "_watch", watch)
        with pytest.raises(KeyboardInterrupt):
            taken(store, device)
    assert not open_store(store).snapshots()


def write(path: Path, at: int, data: bytes) -> None:
    """As whoever mounts a disk does, through another path; the loop device is told."""
    with path.open("r+b") as file:
        file.seek(at)
        file.write(data)


@pytest.mark.parametrize("at", [None, 0, 1 << 20])
def test_a_run_goes_on_only_where_the_disk_is_what_it_was(
    tmp_path: Path, store: str, disks: Disks, monkeypatch: pytest.MonkeyPatch, at: Any
) -> None:
    device = disks("disk")
    stopped(monkeypatch, device, store)
    if at is not None:
        write(tmp_path / "disk", at, os.urandom(65536))
        subprocess.run(["blockdev", "--flushbufs", device], check=True)
    again = taken(store, device)
    [note] = again["sources"][0]["notes"]
    if at is None:
        assert "were not read again" in note and again["bytes_read"] < SIZE
    else:
        assert "is not used, all is read anew: its bytes at " in note and again["bytes_read"] == SIZE
    init_store(str(tmp_path / "other"))
    assert again["digest"] == taken(str(tmp_path / "other"), device)["digest"]


def test_of_two_disks_of_one_size_a_retry_goes_on_from_the_right_one(tmp_path: Path, store: str, disks: Disks) -> None:
    first, second = disks("first"), disks("second")
    both = taken(store, first, second)
    for number, device in enumerate((first, second)):
        again = taken(store, device, retry=both["snapshot"])
        assert again["sources"][0]["root"] == both["sources"][number]["root"] and again["bytes_read"] == 0


def test_a_retry_never_takes_the_bytes_of_another_disk(store: str, disks: Disks) -> None:
    one, other = disks("one"), disks("other")
    taken(store, one)
    with pytest.raises(Usage, match="cannot go on from snapshot 1: its bytes at 0 are others now") as error:
        taken(store, other, retry="latest")
    assert error.value.reason == "OTHER_DISK" and len(open_store(store).snapshots()) == 1


def test_a_disk_without_a_name_of_its_own_is_one_of_this_machine(disks: Disks, monkeypatch: pytest.MonkeyPatch) -> None:
    device = disks("disk")
    with DeviceSource(f"device:{device}", device) as source:
        here = source.key()
        assert source.key() == here and here["machine"]
        monkeypatch.setattr(system, "machine_id", lambda: "another")
        assert source.key() != here


def test_a_machine_is_known_by_its_firmware(tmp_path: Path) -> None:
    dmi = tmp_path / "sys/class/dmi/id"
    boot = tmp_path / "proc/sys/kernel/random"
    for folder in (dmi, boot):
        folder.mkdir(parents=True)
    (boot / "boot_id").write_text("this boot\n")
    assert system.machine_id(str(tmp_path)) == "this boot"
    (dmi / "product_uuid").write_text("uuid\n")
    assert system.machine_id(str(tmp_path)) == "uuid"
