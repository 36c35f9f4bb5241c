# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""From disk images to the pools of a survey, and from those to what preflight decides about."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any, Optional

import archive
import pytest
from unit.recorded import tree

from asl.config import Config
from asl.preflight.found import pool_facts, probe
from asl.preflight.pools import PoolFact
from asl.survey import survey
from asl.survey.zpools import hostid

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures" / "zfs" / "2.3.9"
INTAKE = Path(__file__).resolve().parents[3] / "overlay" / "usr" / "local" / "bin" / "asl-intake"
MIB = 1 << 20


def write(device: archive.Device, path: Path, start: int = 0, size: int = 0) -> Path:
    """A sparse image with the labels of a device at ``start``."""
    with path.open("wb") as file:
        file.truncate(size or start + device.size)
        for offset in (0, device.size - archive.HALF):
            file.seek(start + offset)
            file.write(device.fetch(offset, archive.HALF))
    return path


def images(name: str, folder: Path) -> list[str]:
    return [str(write(device, folder / f"{name}-{device.name}.img")) for device in archive.read(FIXTURES / f"{name}.json")[1]]


def test_images(tmp_path: Path) -> None:
    paths = images("parity", tmp_path)
    (pool,) = survey(paths)["pools"]
    assert (pool["name"], pool["state"], pool["top_level"], pool["top_level_seen"]) == ("parity", "exported", 1, 1)
    assert [member["path"] for member in pool["members"]] == sorted(paths)
    assert pool["guid"] == json.loads((FIXTURES / "parity.json").read_text())["pools"][0]["properties"]["guid"]


def test_a_partition_of_an_image(tmp_path: Path) -> None:
    """The partition ends where the disk ends, so that the disk itself shows its last two labels as well."""
    (device,) = archive.read(FIXTURES / "single.json")[1]
    path = write(device, tmp_path / "disk.img", start=MIB)
    with path.open("r+b") as file:
        file.seek(446)
        file.write(struct.pack("<B3xB3xII", 0, 0xBF, MIB // 512, device.size // 512))
        file.seek(510)
        file.write(b"\x55\xaa")
    found = survey([str(path)])
    (pool,) = found["pools"]
    assert [(member["path"], member["labels"]) for member in pool["members"]] == [(f"{path} partition 1", 4)]
    assert pool["hazards"] == []
    assert "labels" not in found["disks"][0]["partitions"][0]


def test_the_tool(tmp_path: Path) -> None:
    paths = [*images("twins", tmp_path), *images("crashed", tmp_path)]
    flags = [word for path in paths for word in ("--device", path)]
    run = [sys.executable, "-B", str(INTAKE), "survey", *flags]
    shown = json.loads(subprocess.run([*run, "--json"], capture_output=True, check=True).stdout)
    assert [pool["name"] for pool in shown["pools"]] == ["crashed", "rpool", "rpool"]
    assert all(isinstance(pool["guid"], str) and isinstance(member["guid"], str) for pool in shown["pools"] for member in pool["members"])
    words = subprocess.run(run, capture_output=True, check=True, text=True).stdout
    assert "crashed-host" in words
    assert words.count("DUPLICATE_NAME") == 2


def test_nothing_is_written(tmp_path: Path) -> None:
    path = Path(images("single", tmp_path)[0])
    path.chmod(0o400)
    before = (path.stat().st_mtime_ns, path.read_bytes())
    assert len(survey([str(path)])["pools"]) == 1
    assert (path.stat().st_mtime_ns, path.read_bytes()) == before


BLOCKS = {
    "sys/block/sda/dev": "8:0", "sys/block/sda/size": "4096",
    "sys/block/sda/sda1/dev": "8:1", "sys/block/sda/sda1/partition": "1", "sys/block/sda/sda1/size": "1024",
    "sys/block/sda/sda2/dev": "8:2", "sys/block/sda/sda2/partition": "2", "sys/block/sda/sda2/size": "1024",
    "sys/block/sdb/dev": "8:16", "sys/block/sdb/size": "4096",
}  # fmt: skip


def surveyed(member: str, *, beside: bool = False, error: bool = False, **pool: Any) -> dict[str, Any]:
    """A survey of sda (two partitions) and sdb with one pool on ``member``; ``beside``: sda2 holds a file system."""
    here = {"type": "zfs_member"}
    other = {"type": "ext4"} if beside else None
    parts = [
        {"device": "/dev/sda1", "volume": here if member == "/dev/sda1" else None},
        {"device": "/dev/sda2", "volume": other},
    ]
    sda = {"device": "/dev/sda", "volume": None, "partitions": parts, "error": "no answer within 30 seconds" if error else None}
    sdb = {"device": "/dev/sdb", "volume": here if member == "/dev/sdb" else None, "partitions": [], "error": None}
    fields = {
        "guid": "7", "name": "rescuepool", "state": "exported", "top_level": 1, "top_level_seen": 1, "multihost": False,
        "features_for_read": [], "hazards": [], "members": [{"path": member}], **pool,
    }  # fmt: skip
    return {"disks": [sda, sdb], "pools": [fields]}


def fact(found: dict[str, Any], root: str, config: Optional[Config] = None) -> PoolFact:
    (one,) = pool_facts(found, config, root=root)
    return one


@pytest.mark.parametrize(
    ("member", "beside", "on_source"), [("/dev/sda1", True, True), ("/dev/sda1", False, False), ("/dev/sdb", True, False)]
)
def test_what_else_is_on_its_disk(member: str, beside: bool, on_source: bool, tmp_path: Path) -> None:
    assert fact(surveyed(member, beside=beside), tree(tmp_path, BLOCKS)).on_source == on_source


def test_hazards_become_facts(tmp_path: Path) -> None:
    root = tree(tmp_path, BLOCKS)
    assert fact(surveyed("/dev/sdb"), root) == PoolFact(guid="7", name="rescuepool")
    assert fact(surveyed("/dev/sdb", hazards=["DUPLICATE_GUID"]), root).duplicate
    assert fact(surveyed("/dev/sdb", hazards=["DEGRADED"]), root).degraded
    assert not fact(surveyed("/dev/sdb", hazards=["INCOMPLETE"]), root).complete
    assert fact(surveyed("/dev/sdb", hazards=["DEGRADED"], error=True), root).timed_out
    assert not fact(surveyed("/dev/sdb", error=True), root).timed_out


def test_multihost_needs_a_hostid(tmp_path: Path) -> None:
    root = tree(tmp_path, BLOCKS)
    assert fact(surveyed("/dev/sdb", multihost=True), root).mmp_refuses
    tree(tmp_path, {"etc/hostid": "\x01\x02\x03\x04"})
    assert hostid(root) == 0x04030201
    assert not fact(surveyed("/dev/sdb", multihost=True), root).mmp_refuses
    tree(tmp_path, {"sys/module/spl/parameters/spl_hostid": "195939070\n"})
    assert hostid(root) == 195939070


def test_another_host_and_another_writer(tmp_path: Path) -> None:
    root = tree(tmp_path, BLOCKS)
    found = surveyed("/dev/sdb", hazards=["FOREIGN_HOST"], state="active")
    assert fact(found, root).foreign
    assert not fact(surveyed("/dev/sdb"), root).foreign
    waited: list[float] = []
    assert probe(found, root=root, wait=waited.append) == set(), "no node of it is there to be read"
    assert waited == []
    (seen,) = pool_facts(found, None, root=root, written={"7"})
    assert seen.live_writer


def test_a_pool_of_our_own_is_not_waited_for(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.write_bytes(bytes(1 << 20))
    found = surveyed(str(disk), state="active")
    root = tree(tmp_path / "root", BLOCKS)
    waited: list[float] = []
    probe(found, root=root, wait=waited.append)
    assert len(waited) == 1
    tree(tmp_path / "root", {"proc/spl/kstat/zfs/tank/guid": "7\n"})
    probe(found, root=root, wait=waited.append)
    assert len(waited) == 1


def test_features_the_module_does_not_know(tmp_path: Path) -> None:
    found = surveyed("/dev/sdb", features_for_read=["org.new:thing", "org.old:thing"])
    root = tree(tmp_path, BLOCKS)
    assert fact(found, root).unsupported_read == ()  # no module is loaded: nobody knows
    tree(tmp_path, {"sys/module/zfs/features.pool/org.old:thing/guid": "org.old:thing\n"})
    assert fact(found, root).unsupported_read == ("org.new:thing",)


def test_imported_and_mounted(tmp_path: Path) -> None:
    mounted = "1 0 0:40 / /mnt/asl/local rw - zfs rescuepool/asl rw\n"
    kstat = {"proc/spl/kstat/zfs/rescuepool/guid": "7\n", "proc/spl/kstat/zfs/rescuepool/state": "ONLINE\n"}
    found = surveyed("/dev/sdb")
    root = tree(tmp_path, {**BLOCKS, **kstat, "proc/self/mountinfo": mounted})
    seen = fact(found, root, Config(local_mount="/mnt/asl/local"))
    assert (seen.imported, seen.mounted_at, seen.mountpoint_taken) == ("rw", "/mnt/asl/local", False)
    tree(tmp_path, {"proc/self/mountinfo": "1 0 8:2 / /mnt/asl/local rw - ext4 /dev/sda2 rw\n"})
    seen = fact(found, root, Config(local_mount="/mnt/asl/local"))
    assert (seen.imported, seen.mounted_at, seen.mountpoint_taken) == ("ro", None, True)


def test_another_pool_on_the_disk_of_the_backend(tmp_path: Path) -> None:
    found = surveyed("/dev/sda1")
    stranger = {**found["pools"][0], "guid": "8", "name": "rpool", "members": [{"path": "/dev/sda2"}]}
    found["pools"].append(stranger)
    backend, other = pool_facts(found, Config(local_approved=("7",)), root=tree(tmp_path, BLOCKS))
    assert (backend.shares_backend_disk, other.shares_backend_disk) == (False, True)
