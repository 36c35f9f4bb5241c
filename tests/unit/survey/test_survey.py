# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The survey as a whole: image files, recorded machines, devices that do not answer, and the table for people."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
from unit.survey import images

from asl import cli, system
from asl.cli.surveys import disks_text
from asl.errors import Unavailable
from asl.survey import assembled, sources, survey


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    path = images.empty(tmp_path / "disk.img", 48)
    images.tool("sfdisk", "-q", str(path), given="label: gpt\nsize=17M, type=L, name=boot\nsize=17M, type=L\nsize=4M, type=V\n")
    images.put(path, 1 << 20, images.ext(tmp_path / "a", "ext2", label="boot"))
    images.put(path, 18 << 20, images.dirty_ext(tmp_path / "b"))
    return path


def test_an_image_with_partitions(disk: Path) -> None:
    before = hashlib.sha256(disk.read_bytes()).hexdigest()
    result = survey([str(disk)])
    assert result["pools"] == []
    [found] = result["disks"]
    assert (found["device"], found["kind"], found["size"], found["error"]) == (str(disk), "image", 48 << 20, None)
    assert (found["table"]["type"], found["volume"], found["sources"]) == ("gpt", None, [f"device:{disk}"])
    parts = found["partitions"]
    assert [part["volume"] and (part["volume"]["type"], part["volume"]["label"], part["volume"]["journal"]) for part in parts] == [
        ("ext2", "boot", False),
        ("ext4", "root", True),
        None,
    ]
    assert [(part["device"], part["sources"]) for part in parts] == [(None, [])] * 3
    assert hashlib.sha256(disk.read_bytes()).hexdigest() == before


def test_a_file_system_without_a_table(tmp_path: Path) -> None:
    path = images.ext(tmp_path / "image")
    [found] = survey([str(path)])["disks"]
    assert (found["volume"]["type"], found["sources"]) == ("ext4", [f"fs:{path}", f"device:{path}"])


@pytest.mark.parametrize(
    ("volume", "expected"),
    [
        (None, ["device:/dev/sda1"]),
        ({"usage": "member"}, ["device:/dev/sda1"]),
        ({"usage": "encrypted"}, ["device:/dev/sda1"]),
        ({"usage": "swap"}, ["device:/dev/sda1"]),
        ({"usage": "encrypted", "type": "luks"}, ["device:/dev/sda1", "fs:luks:/dev/sda1"]),
        ({"usage": "filesystem"}, ["fs:/dev/sda1", "device:/dev/sda1"]),
    ],
)
def test_sources(volume: dict[str, Any], expected: list[str]) -> None:
    assert sources("/dev/sda1", volume) == expected


def test_a_name_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(Unavailable) as caught:
        survey([str(tmp_path / "none")])
    assert caught.value.reason == "NO_DEVICE"


def test_one_that_does_not_answer_does_not_hide_the_others(tmp_path: Path) -> None:
    """A file system served by nobody is what a dead disk looks like: here a FIFO stands for what is no disk at all."""
    os.mkfifo(tmp_path / "fifo")
    path = images.ext(tmp_path / "image")
    bad, good = survey([str(tmp_path / "fifo"), str(path)])["disks"]
    assert bad["error"] is not None
    assert bad["sources"] == []
    assert good["volume"]["type"] == "ext4"


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.fixture
def machine(tmp_path: Path, disk: Path) -> Path:
    """A recorded machine on which the image is attached as a loop device, mounted and swapped on."""
    root, loop = tmp_path / "machine", "sys/block/loop7"
    write(
        root,
        {
            f"{loop}/dev": "7:7",
            f"{loop}/size": str((48 << 20) // 512),
            f"{loop}/loop/backing_file": f"{disk}\n",
            "sys/block/ram0/dev": "1:0",
            "sys/block/ram0/size": "100",
            "sys/block/sda/dev": "8:0",
            "sys/block/sda/size": "0",
            "proc/self/mountinfo": "1 0 0:1 / / rw - overlay overlay rw\n",
            "proc/swaps": "Filename Type Size Used Priority\n",
        },
    )
    return root


def test_an_image_that_is_attached_writable(machine: Path, disk: Path) -> None:
    [found] = survey([str(disk)], root=str(machine))["disks"]
    assert found["held_by"] == ["/dev/loop7"]
    assert found["unsafe"] == ["is attached writable as /dev/loop7"]


def test_without_names_only_disks_with_a_node_are_read(machine: Path) -> None:
    assert survey(root=str(machine))["disks"] == []


def record(device: str, **changes: Any) -> dict[str, Any]:
    found = {
        "device": device, "kind": "disk", "model": "WDC", "serial": "S1", "size": 1 << 30, "volume": None, "table": None, "partitions": [],
        "mounted": [], "held_by": [], "unsafe": [], "read_errors": [], "error": None, "health": None, "sources": [f"device:{device}"],
    }  # fmt: skip
    return {**found, **changes}


def test_the_table_for_people(disk: Path) -> None:
    heading, titles, *lines = disks_text(survey([str(disk)])["disks"]).splitlines()
    assert heading == f"{disk} · image · 48.0 MiB"
    assert titles.split() == ["DEVICE", "SIZE", "WHAT", "STATE", "TAKE", "IT", "WITH"]
    assert ("gpt partition table" in lines[0], lines[0].endswith(f"device:{disk}")) == (True, True)
    assert 'ext2 "boot"' in lines[1]
    assert "clean" in lines[1]
    assert "journal not replayed" in lines[2]
    assert "(Linux LVM)" in lines[3]
    assert "losetup --find --show --read-only --partscan" in lines[-1]


def test_the_table_says_what_is_wrong() -> None:
    text = disks_text(
        [
            record("/dev/sda", error="no answer within 30 seconds", sources=[]),
            record(
                "/dev/sdb", unsafe=["is mounted writable at /mnt"], mounted=["/mnt"], health={"io_errors": 3},
                smart={"passed": False, "pending": 8, "hours": 40000, "reallocated": 0},
            ),
        ]
    )  # fmt: skip
    one, two = text.split("\n\n")
    assert one.splitlines()[0] == "/dev/sda · disk · WDC · S/N S1 · 1.0 GiB"
    assert "note    it cannot be read: no answer within 30 seconds" in one
    assert two.splitlines()[0].endswith("SMART FAILED, 8 sectors pending, 40000 h")
    assert "UNSAFE  is mounted writable at /mnt" in two
    assert "3 commands that ended with an error" in two
    assert "read once, and first: device:/dev/sdb" in two
    assert disks_text([]) == "no disks were found"


@pytest.mark.parametrize(
    ("volume", "said"),
    [
        ({"type": "luks", "uuid": "u-1", "dirty": None}, "fs:luks:/dev/sda opens it read-only with the key file /run/asl/keys/u-1"),
        ({"type": "swap", "uuid": None, "dirty": True}, "holds the memory of a hibernated system"),
        ({"type": "swap", "uuid": None, "dirty": False}, ""),
        ({"type": "md", "uuid": None, "dirty": True}, "mdadm --assemble --readonly"),
        ({"type": "lvm", "uuid": None, "dirty": None}, "blockdev --setro"),
    ],
)
def test_what_has_to_be_done_first_is_said(volume: dict[str, Any], said: str) -> None:
    full = {"usage": "x", "label": None, "journal": None, "notes": [], **volume}
    notes = [line for line in disks_text([record("/dev/sda", volume=full)]).splitlines() if "note " in line]
    assert bool(notes) == bool(said)
    assert said in " ".join(notes)
    held = disks_text([record("/dev/sda", volume=full, held_by=["/dev/md0"])])
    assert "note " not in held


def test_what_others_have_assembled_is_reported(machine: Path) -> None:
    write(
        machine,
        {
            "sys/block/md127/dev": "9:127", "sys/block/md127/size": "2048", "sys/block/md127/md/level": "raid1", "dev/md127": "",
            "sys/block/md127/md/array_state": "active", "sys/block/md127/md/sync_action": "resync", "sys/block/md127/md/degraded": "1",
            "sys/block/md127/slaves/sda1": "", "sys/block/md127/slaves/sdb1": "",
            "sys/block/dm-0/dev": "254:0", "sys/block/dm-0/size": "2048", "sys/block/dm-0/dm/name": "vg0-root", "dev/dm-0": "",
            "sys/block/dm-0/dm/uuid": "LVM-abc", "sys/block/dm-0/slaves/md127": "",
        },
    )  # fmt: skip
    known = {each.name: each for each in system.block_devices(str(machine))}
    array = assembled.assembly(known["md127"], str(machine))
    assert array == {
        "kind": "md", "name": "md127", "members": ["/dev/sda1", "/dev/sdb1"], "level": "raid1", "state": "active", "sync": "resync",
        "degraded": 1,
    }  # fmt: skip
    assert assembled.unsafe(array) == ["is being rebuilt (resync): its members are written right now"]
    assert assembled.words(array) == "raid1 array (active) on /dev/sda1, /dev/sdb1, 1 members missing"
    volume = assembled.assembly(known["dm-0"], str(machine))
    assert volume == {"kind": "lvm", "name": "vg0-root", "members": ["/dev/md127"]}
    assert assembled.node(known["dm-0"], "/dev/dm-0", volume) == "/dev/mapper/vg0-root"
    assert assembled.unsafe(volume) == []
    assert assembled.assembly(known["loop7"], str(machine)) is None


def test_the_command(disk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main("asl-intake", ["survey", "--json", "--device", str(disk)]) == 0
    document = json.loads(capsys.readouterr().out)
    assert set(document) == {"disks", "pools"}
    assert document["disks"][0]["device"] == str(disk)
    assert cli.main("asl-intake", ["survey", "--device", f"{disk}.none"]) == 4
    assert "no such device or file [NO_DEVICE]" in capsys.readouterr().err
