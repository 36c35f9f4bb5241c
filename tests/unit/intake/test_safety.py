# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A store is never written on a disk that is read as its source, whatever lies between the two."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from asl.config import Config
from asl.errors import Refused, Unavailable
from asl.intake import mount, safety
from asl.store import init_store

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="loop devices need root")


def run(*argv: str) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()


@contextmanager
def loops(folder: Path, count: int) -> Iterator[list[str]]:
    """Loop devices on image files of 128 MiB."""
    with ExitStack() as stack:
        found = []
        for number in range(count):
            image = folder / f"image{number}"
            with image.open("wb") as file:
                file.truncate(128 << 20)
            found.append(run("losetup", "--find", "--show", str(image)))
            stack.callback(run, "losetup", "--detach", found[-1])
        yield found


@contextmanager
def mounted(place: Path, *argv: str, undo: Sequence[str] = ("umount",)) -> Iterator[Path]:
    place.mkdir()
    run(*argv, str(place))
    try:
        yield place
    finally:
        run(*undo, str(place))


def refused(spec: str, store: Path) -> bool:
    try:
        safety.refuse_store_on_source(spec, str(store))
    except Refused as error:
        assert error.reason == "STORE_ON_SOURCE"
        return True
    return False


def test_a_device_is_not_read_into_a_store_that_lies_on_it(tmp_path: Path) -> None:
    with loops(tmp_path, 1) as [device]:
        run("mkfs.ext4", "-q", "-F", device)
        with mounted(tmp_path / "place", "mount", device) as place:
            init_store(str(place / "store"))
            assert refused(f"device:{device}", place / "store") and refused(f"fs:{device}", place / "store")
            assert not refused(f"device:{device}", tmp_path)


def test_btrfs_is_found_on_each_of_its_devices(tmp_path: Path) -> None:
    with loops(tmp_path, 3) as [one, two, other]:
        run("mkfs.btrfs", "-q", "-d", "raid1", "-m", "raid1", one, two)
        with mounted(tmp_path / "place", "mount", one) as place:
            run("btrfs", "subvolume", "create", str(place / "volume"))
            for store in (place, place / "volume"):
                assert refused(f"device:{one}", store) and refused(f"fs:{two}", store)
                assert not refused(f"device:{other}", store)


def test_fuse_is_found_by_its_source(tmp_path: Path) -> None:
    far, ssh = tmp_path / "far", tmp_path / "ssh"
    far.mkdir()
    ssh.write_text("#!/bin/sh\nexec /usr/lib/openssh/sftp-server\n")
    ssh.chmod(0o755)
    undo = ("fusermount3", "-u")
    with loops(tmp_path, 2) as [device, other]:
        argv = ["sshfs", "-o", f"ssh_command={ssh},fsname={device}", f"nobody@nowhere:{far}"]
        with mounted(tmp_path / "place", *argv, undo=undo) as place:
            assert refused(f"device:{device}", place) and not refused(f"device:{other}", place)
        run("mkfs.ext4", "-q", "-F", device)
        argv[2] = f"ssh_command={ssh},fsname={tmp_path}/disk/below"
        with mounted(tmp_path / "disk", "mount", device) as disk:
            (disk / "below").mkdir()
            with mounted(tmp_path / "again", *argv, undo=undo) as place:
                assert refused(f"device:{device}", place) and not refused(f"device:{other}", place)


def test_an_overlay_and_an_image_are_followed_to_the_disk(tmp_path: Path) -> None:
    with loops(tmp_path, 2) as [device, other]:
        run("mkfs.ext4", "-q", "-F", device)
        with mounted(tmp_path / "disk", "mount", device) as disk:
            for name in ("low", "up", "work"):
                (disk / name).mkdir()
            options = f"lowerdir={disk}/low,upperdir={disk}/up,workdir={disk}/work"
            with mounted(tmp_path / "over", "mount", "-t", "overlay", "overlay", "-o", options) as over:
                assert refused(f"device:{device}", over) and not refused(f"device:{other}", over)
            with loops(disk / "up", 1) as [inner]:
                run("mkfs.ext4", "-q", "-F", inner)
                with mounted(tmp_path / "inner", "mount", inner) as place:
                    assert refused(f"device:{device}", place) and not refused(f"device:{other}", place)


def test_a_mount_is_tried_only_when_it_lies_on_no_source(tmp_path: Path) -> None:
    """The trial writes: what is to be rescued must not be what it writes to."""
    far, ssh = tmp_path / "far", tmp_path / "ssh"
    far.mkdir()
    ssh.write_text("#!/bin/sh\nexec /usr/lib/openssh/sftp-server\n")
    ssh.chmod(0o755)
    with loops(tmp_path, 1) as [device]:
        argv = ["sshfs", "-o", f"ssh_command={ssh},fsname={device}", f"nobody@nowhere:{far}"]
        with mounted(tmp_path / "place", *argv, undo=("fusermount3", "-u")) as place:
            config = Config(mode="remote", remote_mount=str(place))
            before = far.stat().st_mtime_ns
            with pytest.raises(Refused) as told:
                mount.check(config, str(place), ["tree:/nowhere", f"device:{device}"])
            assert told.value.reason == "STORE_ON_SOURCE" and far.stat().st_mtime_ns == before
            mount.check(config, str(place), ["tree:/nowhere"])
            assert far.stat().st_mtime_ns > before, "it was tried"
    with pytest.raises(Unavailable) as gone:
        mount.check(config, str(tmp_path / "place"), [f"device:{device}"])
    assert gone.value.reason == "REMOTE_NOT_MOUNTED"
