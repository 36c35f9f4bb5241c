# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands, files, mounts and block devices: real commands and files, and recorded trees of /proc and /sys."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from unit.recorded import tree

from asl import system
from asl.errors import Unavailable


def test_a_command_has_only_the_c_locale_and_a_path() -> None:
    result = system.run(["env"], 20)
    assert result.rc == 0
    assert sorted(line.partition("=")[0] for line in result.stdout.decode().splitlines()) == ["LC_ALL", "PATH"]


def test_stdin_and_failure_words() -> None:
    assert system.run(["cat"], 20, stdin=b"hello").stdout == b"hello"
    with pytest.raises(Unavailable) as caught:
        system.run(["ls", "/nowhere-at-all"], 20).check("cannot list it", hint="look elsewhere")
    assert caught.value.reason == "COMMAND_FAILED"
    assert "cannot list it: ls: " in caught.value.message
    assert "No such file" in caught.value.message


def test_a_deadline_kills_the_whole_group(tmp_path: Path) -> None:
    result = system.run(["sh", "-c", f"sleep 1000 & echo $! > {tmp_path}/pid; echo said; wait"], 0.5)
    assert result.timed_out
    assert result.stdout == b"said\n"
    with pytest.raises(Unavailable, match="no answer within") as caught:
        result.check("cannot wait")
    assert caught.value.reason == "COMMAND_TIMEOUT"
    child = int((tmp_path / "pid").read_text())
    stat = Path(f"/proc/{child}/stat")
    gone_by = time.monotonic() + 20
    while stat.exists() and stat.read_text().rpartition(")")[2].split()[0] not in "ZX":  # the reaper may be slow
        assert time.monotonic() < gone_by, "the grandchild outlived the deadline"


def test_a_missing_tool() -> None:
    with pytest.raises(Unavailable) as caught:
        system.run(["asl-no-such-tool"], 5)
    assert caught.value.reason == "TOOL_MISSING"


def test_replace_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    system.replace_file(str(path), b"one", 0o600)
    system.replace_file(str(path), b"two")
    assert path.read_bytes() == b"two"
    assert path.stat().st_mode & 0o777 == 0o644
    assert os.listdir(tmp_path) == ["file"]


def test_replace_file_that_fails_leaves_the_old_one(tmp_path: Path) -> None:
    target = tmp_path / "folder"
    (target / "inside").mkdir(parents=True)
    with pytest.raises(OSError, match="directory"):
        system.replace_file(str(target), b"data")
    assert os.listdir(tmp_path) == ["folder"]


MOUNTINFO = """\
1 0 0:2 / / rw,relatime shared:1 - overlay overlay rw,lowerdir=/l,upperdir=/u
20 1 8:2 / /mnt/a\\040b\\134 ro,relatime - ext4 /dev/sda2 rw,errors=remount-ro
21 1 8:3 / /mnt/ro rw - xfs /dev/sda3 ro
22 20 8:4 /sub /mnt/a\\040b\\134/deep rw,noatime master:3 propagate_from:2 - btrfs /dev/sda4 rw
not a line
"""


def test_mounts(tmp_path: Path) -> None:
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/mountinfo").write_text(MOUNTINFO)
    mounts = system.mounts(str(tmp_path))
    assert [mount.mount_point for mount in mounts] == ["/", "/mnt/a b\\", "/mnt/ro", "/mnt/a b\\/deep"]
    assert [mount.writable for mount in mounts] == [True, True, False, True]  # a ro mount point of a rw file system is written
    assert mounts[3].root == "/sub"
    found = system.mount_at("/mnt/a b\\/deep/er", mounts)
    assert found is not None
    assert found.fstype == "btrfs"
    assert system.mount_at("/mnt/roo", mounts) == mounts[0]


def test_own_mounts_and_boot_id() -> None:
    assert any(mount.mount_point == "/proc" and mount.fstype == "proc" for mount in system.mounts())
    assert len(system.boot_id()) == 36


def machine(root: Path) -> str:
    sda, vg, nvme = "sys/block/sda", "sys/block/dm-0", "sys/block/nvme0n1"
    return tree(
        root,
        {
            f"{sda}/dev": "8:0\n",
            f"{sda}/size": "2048\n",
            f"{sda}/ro": "0\n",
            f"{sda}/removable": "1\n",
            f"{sda}/queue/rotational": "1\n",
            f"{sda}/device/model": "WDC WD10   \n",
            f"{sda}/device/vpd_pg80": "\0\0\0\x04 S3R1",
            f"{sda}/device/wwid": "naa.5000c500\n",
            f"{sda}/sda10/partition": "10\n",
            f"{sda}/sda10/dev": "8:10\n",
            f"{sda}/sda10/start": "64\n",
            f"{sda}/sda10/size": "8\n",
            f"{sda}/sda2/partition": "2\n",
            f"{sda}/sda2/dev": "8:2\n",
            f"{sda}/sda2/start": "8\n",
            f"{sda}/sda2/size": "16\n",
            f"{sda}/sda2/holders/dm-0": "",
            f"{vg}/dev": "253:0\n",
            f"{vg}/size": "16\n",
            f"{vg}/slaves/sda2": "",
            f"{nvme}/dev": "259:0\n",
            f"{nvme}/size": "32\n",
            f"{nvme}/ro": "1\n",
            f"{nvme}/device/serial": "NV1 \n",
            "sys/block/loop0/dev": "7:0\n",
            "sys/block/loop0/size": "0\n",
            "run/udev/data/b253:0": "E:ID_MODEL=from udev\nN:dm-0\n",
        },
    )


def test_block_devices(tmp_path: Path) -> None:
    devices = {device.name: device for device in system.block_devices(machine(tmp_path))}
    assert list(devices) == ["dm-0", "loop0", "nvme0n1", "sda", "sda2", "sda10"]
    disk = devices["sda"]
    assert (disk.size, disk.model, disk.serial, disk.wwn) == (2048 * 512, "WDC WD10", "S3R1", "naa.5000c500")
    assert (disk.removable, disk.rotational, disk.partitions) == (True, True, ("sda2", "sda10"))
    part = devices["sda2"]
    assert (part.parent, part.number, part.start, part.size, part.holders) == ("sda", 2, 4096, 8192, ("dm-0",))
    assert part.serial == "S3R1"
    assert devices["nvme0n1"].read_only
    assert devices["nvme0n1"].serial == "NV1"
    assert devices["dm-0"].model == "from udev"
    assert devices["loop0"].size == 0


def test_base_disks(tmp_path: Path) -> None:
    devices = system.block_devices(machine(tmp_path))
    assert system.base_disks("dm-0", devices) == {"sda"}
    assert system.base_disks("sda10", devices) == {"sda"}
    assert system.base_disks("nothing", devices) == set()


def test_find_tool_inside_a_root(tmp_path: Path) -> None:
    tool = tmp_path / "usr/sbin/zpool"
    tool.parent.mkdir(parents=True)
    tool.write_text("#!/bin/sh\n")
    assert system.find_tool("zpool", str(tmp_path)) is None
    tool.chmod(0o755)
    assert system.find_tool("zpool", str(tmp_path)) == "/usr/sbin/zpool"
