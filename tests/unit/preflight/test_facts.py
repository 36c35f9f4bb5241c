# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What preflight reads from recorded trees of /proc, /sys, /etc and /run, and the report it writes."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from unit.recorded import tree

from asl import cli, preflight, system
from asl.config import Config
from asl.preflight import environment, touching, zfs
from asl.preflight.local import local_store
from asl.preflight.report import differs


def mountinfo(*lines: str) -> str:
    return "".join(f"{number} 0 {line}\n" for number, line in enumerate(lines, start=1))


OVERLAY = "0:30 / / rw - overlay overlay rw,lowerdir=/l"
DISK = {
    "sys/block/sda/dev": "8:0", "sys/block/sda/size": "4096",
    "sys/block/sda/sda1/dev": "8:1", "sys/block/sda/sda1/partition": "1", "sys/block/sda/sda1/size": "1024",
    "sys/block/sda/sda2/dev": "8:2", "sys/block/sda/sda2/partition": "2", "sys/block/sda/sda2/size": "1024",
    "sys/block/sdb/dev": "8:16", "sys/block/sdb/size": "4096",
    "sys/block/sdb/sdb1/dev": "8:17", "sys/block/sdb/sdb1/partition": "1", "sys/block/sdb/sdb1/size": "1024",
}  # fmt: skip


@pytest.mark.parametrize(
    ("files", "live"),
    [
        ({"proc/self/mountinfo": mountinfo(OVERLAY)}, True),
        ({"proc/self/mountinfo": mountinfo("0:1 / / rw - rootfs rootfs rw", "0:30 / / rw - tmpfs tmpfs rw")}, True),
        ({"proc/self/mountinfo": mountinfo("8:1 / / rw - ext4 /dev/sda1 rw")}, False),
        ({"proc/self/mountinfo": mountinfo("0:30 / / rw - btrfs /dev/sda1 rw")}, False),
        ({"proc/self/mountinfo": mountinfo("0:30 / / rw - zfs rpool/ROOT rw")}, False),
        ({"proc/self/mountinfo": mountinfo("8:1 / / rw - ext4 /dev/sda1 rw"), ".dockerenv": ""}, False),
        ({"proc/self/mountinfo": mountinfo("8:1 /var/lib/x / rw - ext4 /dev/sda1 rw"), ".dockerenv": ""}, True),
        ({"proc/self/mountinfo": mountinfo("8:1 / / rw - ext4 /dev/sda1 rw"), "run/systemd/container": "podman\n"}, True),
        ({"proc/self/mountinfo": mountinfo("8:1 / / rw - ext4 /dev/sda1 rw"), "run/.containerenv": ""}, True),
        ({"proc/self/mountinfo": mountinfo("8:1 / / rw - ext4 /dev/sda1 rw"), "proc/1/environ": "A=b\0container=lxc\0"}, True),
        ({}, False),
    ],
)
def test_root_is_live(files: dict[str, str], live: bool, tmp_path: Path) -> None:
    assert environment.root_is_live(tree(tmp_path, files))[0] is live


@pytest.mark.parametrize(
    ("files", "name"),
    [
        ({"etc/os-release": 'NAME="X"\nID=sysrescue\n', "run/archiso/x": ""}, "sysrescue"),
        ({"etc/os-release": "ID=arch\n", "run/archiso/x": ""}, "archiso"),
        ({"etc/os-release": 'ID="debian"\n', "proc/cmdline": "boot=live quiet\n"}, "debian-live"),
        ({"etc/os-release": "ID=debian\n", "etc/grml_version": "grml64"}, "grml"),
        ({"etc/os-release": "ID=ubuntu\n", "proc/cmdline": "boot=casper"}, "ubuntu-live"),
        ({"etc/os-release": "ID=debian\n", "etc/hetzner-build": ""}, "hetzner-rescue"),
        ({"etc/os-release": "ID=debian\n"}, "debian"),
        ({}, "unknown"),
    ],
)
def test_system_name(files: dict[str, str], name: str, tmp_path: Path) -> None:
    assert environment.system_name(tree(tmp_path, files)) == name


@pytest.mark.parametrize(
    ("command_line", "power", "resume"),
    [
        ("quiet resume=/dev/sda3", "8:3", "/dev/sda3"),
        ("resume=/dev/sda3 noresume", "8:3", None),
        ("resume=/dev/sda3", "0:0", None),
        ("quiet", "8:3", None),
    ],
)
def test_resume(command_line: str, power: str, resume: str, tmp_path: Path) -> None:
    assert environment.observe(tree(tmp_path, {"proc/cmdline": command_line, "sys/power/resume": power})).resume == resume


def writable(root: str, *, in_container: bool = False, spared: tuple[str, ...] = ()) -> list[str]:
    mounts = touching.writable_mounts(system.mounts(root), system.block_devices(root), in_container=in_container, spared=spared)
    return [mount.mount_point for mount in mounts]


def test_writable_mounts(tmp_path: Path) -> None:
    lines = (OVERLAY, "8:1 / /mnt/rw rw - ext4 /dev/sda1 rw", "8:2 / /mnt/ro ro - xfs /dev/sda2 ro", "0:31 / /tmp rw - tmpfs tmpfs rw")
    root = tree(tmp_path, {**DISK, "proc/self/mountinfo": mountinfo(*lines)})
    assert writable(root) == ["/mnt/rw"]
    assert writable(root, spared=("/mnt/rw",)) == []


def test_a_read_only_mount_point_of_a_writable_file_system_counts(tmp_path: Path) -> None:
    root = tree(tmp_path, {**DISK, "proc/self/mountinfo": mountinfo("8:1 / /mnt ro - ext4 /dev/sda1 rw")})
    assert writable(root) == ["/mnt"]


def test_btrfs_is_found_by_its_source(tmp_path: Path) -> None:
    root = tree(tmp_path, {**DISK, "proc/self/mountinfo": mountinfo("0:44 /@home /mnt rw - btrfs /dev/sda2 rw")})
    assert writable(root) == ["/mnt"]


def test_the_live_medium_and_its_whole_disk_are_spared(tmp_path: Path) -> None:
    lines = ("8:17 / /run/live/medium ro - vfat /dev/sdb1 rw", "8:1 / /mnt rw - ext4 /dev/sda1 rw")
    root = tree(tmp_path, {**DISK, "proc/self/mountinfo": mountinfo(OVERLAY, *lines)})
    assert writable(root) == ["/mnt"]


def test_files_of_its_host_mounted_into_a_container_are_spared(tmp_path: Path) -> None:
    lines = ("8:1 /var/lib/x/hosts /etc/hosts rw - ext4 /dev/sda1 rw", "8:2 / /mnt rw - ext4 /dev/sda2 rw")
    root = tree(tmp_path, {**DISK, "proc/self/mountinfo": mountinfo(OVERLAY, *lines)})
    assert writable(root, in_container=True) == ["/mnt"]
    assert writable(root) == ["/etc/hosts", "/mnt"]


def test_swaps(tmp_path: Path) -> None:
    text = "Filename\tType\tSize\tUsed\tPriority\n/dev/zram0 partition 1 0 100\n/dev/sda3 partition 1 0 -2\n/mnt/a\\040b file 1 0 -3\n"
    assert touching.swaps(tree(tmp_path, {"proc/swaps": text})) == ["/dev/sda3", "/mnt/a b"]
    assert touching.swaps(str(tmp_path / "none")) == []


MDSTAT = """\
Personalities : [raid1] [raid6]
md127 : active (auto-read-only) raid1 sdb1[1] sda1[0]
      1046528 blocks super 1.2 [2/2] [UU]
      \tresync=PENDING

md0 : active raid1 sdb2[1] sda2[0](F)
      10476544 blocks super 1.2 [2/2] [UU]
      [=>...................]  resync =  7.6% (800128/10476544) finish=0.8min speed=200032K/sec

md1 : inactive sdc1[0](S)
      1046528 blocks super 1.2

unused devices: <none>
"""


def test_arrays(tmp_path: Path) -> None:
    arrays = touching.arrays(tree(tmp_path, {"proc/mdstat": MDSTAT}))
    assert [(each.name, each.state, each.members, each.action) for each in arrays] == [
        ("md127", "auto-read-only", ("sda1", "sdb1"), None),
        ("md0", "active", ("sda2", "sdb2"), "resync"),
        ("md1", "inactive", ("sdc1",), None),
    ]


def test_mapped(tmp_path: Path) -> None:
    files = {
        "sys/block/dm-0/dev": "253:0",
        "sys/block/dm-0/dm/name": "vg-root",
        "sys/block/dm-0/dm/uuid": "LVM-abc",
        "sys/block/dm-0/slaves/sda2": "",
    }
    root = tree(tmp_path, {**DISK, **files})
    assert touching.mapped(system.block_devices(root), root) == [touching.Mapped("vg-root", "LVM", False, ("sda",))]


def test_imported_pools(tmp_path: Path) -> None:
    kstat = "proc/spl/kstat/zfs"
    files = {
        f"{kstat}/arcstats": "1\n",
        f"{kstat}/moving/txgs": "29 0 0x01\ntxg birth state\n7 1 C\n",
        f"{kstat}/moving/state": "ONLINE\n",
        f"{kstat}/still/txgs": "29 0 0x01\ntxg birth state\n",
        f"{kstat}/still/guid": "123\n",
        f"{kstat}/mounted/state": "ONLINE\n",
        "proc/self/mountinfo": mountinfo("0:40 / /data rw - zfs mounted/data rw,xattr", "0:41 / /src ro - zfs still/src ro"),
    }
    root = tree(tmp_path, files)
    pools = {each.name: each for each in touching.imported_pools(system.mounts(root), root)}
    assert {name: pool.writable for name, pool in pools.items()} == {"moving": True, "still": None, "mounted": True}
    assert pools["still"].guid == "123"
    assert pools["still"].mounted_at == ("/src",)


def test_zfs_units(tmp_path: Path) -> None:
    wants = tmp_path / "etc/systemd/system/zfs-import.target.wants"
    wants.mkdir(parents=True)
    for unit in ("zfs-import-scan.service", "zfs-import-cache.service", "other.service"):
        (wants / unit).symlink_to(f"/usr/lib/systemd/system/{unit}")
    (tmp_path / "run/systemd/system").mkdir(parents=True)
    (tmp_path / "run/systemd/system/zfs-import-cache.service").symlink_to("/dev/null")
    assert touching.zfs_units(str(tmp_path)) == ["zfs-import-scan.service"]


def test_daemons(tmp_path: Path) -> None:
    comms = {"proc/12/comm": "udisksd\n", "proc/13/comm": "bash\n", "proc/14/comm": "gvfs-udisks2-vo\n", "proc/self/comm": "zed\n"}
    root = tree(tmp_path, comms)
    assert touching.daemons(root) == ["gvfs-udisks2-volume-monitor", "udisksd"]


ELF = "\x7fELF and more"


@pytest.mark.parametrize(
    ("status", "files"),
    [
        ("absent", {}),
        ("absent", {"sys/module/zfs/version": "2.3.9-1\n"}),
        ("loaded", {"sys/module/zfs/version": "2.3.9-1\n", "usr/sbin/zpool": ELF}),
        ("loadable", {"lib/modules/6.12.1/modules.dep": "updates/dkms/zfs.ko.xz: updates/dkms/spl.ko.xz\n", "usr/sbin/zpool": ELF}),
        ("tools_only", {"lib/modules/6.12.1/modules.dep": "kernel/fs/zfsish.ko:\n", "usr/sbin/zpool": ELF}),
        ("tools_only", {"lib/modules/6.11.0/modules.dep": "extra/zfs.ko:\n", "usr/sbin/zpool": ELF}),
        ("stub", {"sys/module/zfs/version": "2.3.9-1\n", "usr/local/sbin/zpool": "#!/bin/bash\ninstall zfs\n"}),
        ("fuse", {"usr/sbin/zpool": ELF, "usr/sbin/zfs-fuse": ELF}),
        (
            "mismatch",
            {
                "sys/module/zfs/version": "2.3.9-1\n",
                "usr/sbin/zpool": ELF,
                "var/lib/dpkg/status": "Package: a\nVersion: 1\n\nPackage: zfsutils-linux\nStatus: ok\nVersion: 2.1.11-1\n\nPackage: b\n",
            },
        ),
        ("mismatch", {"sys/module/zfs/version": "2.3.9\n", "usr/sbin/zpool": ELF, "var/lib/pacman/local/zfs-utils-2.4.0-1/desc": ""}),
    ],
)
def test_zfs_capability(status: str, files: dict[str, str], tmp_path: Path) -> None:
    root = tree(tmp_path, files)
    for path in tmp_path.glob("usr/**/z*"):
        path.chmod(0o755)
    assert zfs.capability(root, "6.12.1").status == status


def make_store(folder: Path) -> Path:
    (folder / "meta").mkdir(parents=True)
    (folder / "meta/asl-store").write_text("1\n")
    return folder


def test_local_store(tmp_path: Path) -> None:
    here = environment.views()
    nothing = local_store(str(tmp_path / "none"), here, [])
    assert not (nothing.mounted or nothing.initialised or nothing.ready)
    empty = local_store(str(tmp_path), here, [])
    assert not (empty.mounted or empty.initialised or empty.ready)
    ready = local_store(str(make_store(tmp_path / "store")), here, [])
    assert ready.ready
    assert ready.free is not None


def test_a_store_on_a_partition_tells_of_its_neighbours(tmp_path: Path) -> None:
    store = make_store(tmp_path / "store")
    root = tree(tmp_path / "machine", {**DISK, "proc/self/mountinfo": mountinfo(OVERLAY, f"8:1 / {store} rw - ext4 /dev/sda1 rw")})
    found = local_store(str(store), environment.views(root), system.block_devices(root))
    assert (found.mounted, found.ready, found.disks, found.shares_disk_with) == (True, True, ("sda",), ("/dev/sda2",))


@pytest.mark.parametrize(
    ("line", "disks", "shared"),
    [
        ("0:40 / {} rw - btrfs /dev/sda1 rw", ("sda", "sdb"), ("/dev/sda2",)),
        ("8:1 / {} rw - fuseblk /dev/sda1 rw", ("sda",), ("/dev/sda2",)),
        ("0:40 / {} rw - fuse.ntfs /dev/sda1 rw", ("sda",), ("/dev/sda2",)),
        ("0:40 / {} rw - bcachefs /dev/sda2:/dev/sdb1 rw", ("sda", "sdb"), ("/dev/sda1",)),
        ("0:40 / {} rw - fuse.sshfs host:/dev/sda1 rw", (), ()),
        ("0:40 / {} rw - nfs4 host:/export rw", (), ()),
    ],
)
def test_what_a_store_lies_on_is_found_by_its_mount(line: str, disks: tuple[str, ...], shared: tuple[str, ...], tmp_path: Path) -> None:
    store = make_store(tmp_path / "store")
    members = {"sys/fs/btrfs/0a/devices/sda1/x": "", "sys/fs/btrfs/0a/devices/sdb1/x": "", "sys/fs/btrfs/0b/devices/sda2/x": ""}
    root = tree(tmp_path / "machine", {**DISK, **members, "proc/self/mountinfo": mountinfo(OVERLAY, line.format(store))})
    found = local_store(str(store), environment.views(root), system.block_devices(root), root)
    assert (found.disks, found.shares_disk_with) == (disks, shared)


@pytest.mark.parametrize(
    ("first", "alone"),
    [
        ("8:1 / / rw - ext4 /dev/sda1 rw", True),
        ("8:1 / / ro - ext4 /dev/sda1 rw", False),
        ("8:1 / / rw - ext4 /dev/sda1 ro", False),
        ("8:2 / / rw - ext4 /dev/sda2 rw", False),
    ],
)
def test_what_a_hardened_unit_alone_sees_read_only(first: str, alone: bool, tmp_path: Path) -> None:
    files = {"proc/self/mountinfo": mountinfo("8:1 / / ro - ext4 /dev/sda1 rw"), "proc/1/mountinfo": mountinfo(first)}
    seen = environment.views(tree(tmp_path, files))
    assert seen.sealed_for_us_alone("/var/lib/asl") is (alone and os.geteuid() == 0)


def test_scratch_answers_for_the_nearest_folder(tmp_path: Path) -> None:
    room = environment.scratch(environment.views(), str(tmp_path / "not/yet/there"))
    assert room.writable
    assert room.free


def test_memory_and_clock(tmp_path: Path) -> None:
    assert environment.memory_available(tree(tmp_path, {"proc/meminfo": "MemTotal: 9 kB\nMemAvailable:    2048 kB\n"})) == 2 << 20
    assert not environment.clock_is_plausible(0)
    assert environment.clock_is_plausible()


@pytest.fixture
def rescue(tmp_path: Path) -> tuple[str, Config]:
    """A recorded rescue system with a store at local.mount."""
    store = make_store(tmp_path / "store")
    root = tree(tmp_path / "machine", {**DISK, "proc/self/mountinfo": mountinfo(OVERLAY, f"8:17 / {store} rw - ext4 /dev/sdb1 rw")})
    return root, Config(local_mount=str(store))


def test_the_store_itself_is_no_unsafe_mount(rescue: tuple[str, Config]) -> None:
    root, config = rescue
    result = preflight.preflight(config, write=False, root=root)
    assert (result["mode"], result["reason"], result["rule"]) == ("local", "LOCAL_READY", "1")
    assert result["facts"]["writable_mounts"] == []


def test_a_store_at_remote_mount_is_one_too(rescue: tuple[str, Config], tmp_path: Path) -> None:
    store = make_store(tmp_path / "far")
    machine = {**DISK, "proc/self/mountinfo": mountinfo(OVERLAY, f"0:40 / {store} rw - btrfs /dev/sda1 rw")}
    pool = {"proc/spl/kstat/zfs/tank/txgs": "head\nnames\n1\n", "proc/spl/kstat/zfs/tank/guid": "7\n"}
    config = Config(mode="remote", local_mount=str(tmp_path / "none"), remote_mount=str(store))
    result = preflight.preflight(config, write=False, root=tree(tmp_path / "other", machine))
    assert (result["mode"], result["reason"], result["facts"]["writable_mounts"]) == ("remote", "REMOTE_CONFIGURED", [])
    assert {"REMOTE_MOUNT_READY", "STORE_SHARES_DISK"} <= {each["code"] for each in result["findings"]}
    assert result["facts"]["remote_store"]["disks"] == ["sda"] and result["measured"]["remote_store_free"] > 0
    machine["proc/self/mountinfo"] = mountinfo(OVERLAY, f"0:41 / {store} rw - zfs tank/far rw")
    on_pool = preflight.preflight(config, write=False, root=tree(tmp_path / "third", {**machine, **pool}))
    assert on_pool["mode"] == "remote", on_pool["findings"]
    empty = preflight.preflight(config._replace(remote_mount=str(tmp_path)), write=False, root=tree(tmp_path / "fourth", DISK))
    assert (empty["mode"], empty["measured"]["remote_store_free"] is None) == ("none", False)


def test_a_store_folder_inside_a_mounted_file_system_is_no_unsafe_mount_either(rescue: tuple[str, Config], tmp_path: Path) -> None:
    _, config = rescue
    parent = str(Path(config.local_mount).parent)
    root = tree(tmp_path / "other", {**DISK, "proc/self/mountinfo": mountinfo(OVERLAY, f"8:17 / {parent} rw - ext4 /dev/sdb1 rw")})
    assert preflight.preflight(config, write=False, root=root)["reason"] == "LOCAL_READY"


def test_the_report_is_written_once_and_equal_for_equal_facts(rescue: tuple[str, Config], tmp_path: Path) -> None:
    root, config = rescue
    first = preflight.preflight(config, write=True, root=root)
    assert first["changed"]
    assert (tmp_path / "run/mode").read_text() == "local\n"
    assert [(tmp_path / "run" / name).stat().st_mode & 0o777 for name in ("mode", "preflight.json")] == [0o644, 0o644]
    before = (tmp_path / "run/preflight.json").read_bytes()
    again = preflight.preflight(config, write=True, root=root)
    assert not again["changed"]
    assert (tmp_path / "run/preflight.json").read_bytes() == before
    stable = [
        {key: value for key, value in each.items() if key not in ("measured", "changed")} for each in (first, again, json.loads(before))
    ]
    assert stable[0] == stable[1] == stable[2]
    (tmp_path / "run/mode").write_text("none\n")
    assert differs(first)


def test_check_writes_nothing(rescue: tuple[str, Config], tmp_path: Path) -> None:
    root, config = rescue
    assert preflight.preflight(config, write=False, root=root)["changed"]
    assert not (tmp_path / "run").exists()
    assert not (tmp_path / "state").exists()


def run(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, dict[str, Any]]:
    code = cli.main("asl-intake", ["preflight", "--json", *argv])
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    return code, document


def test_the_command(rescue: tuple[str, Config], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, document = run(capsys, "--check", "--set", f"local.mount={rescue[1].local_mount}")
    assert code == 0
    assert {"mode", "reason", "findings", "facts", "measured", "changed"} <= set(document)
    assert not (tmp_path / "run").exists()
    code, document = run(capsys, "--set", f"local.mount={tmp_path}/none")
    assert (tmp_path / "run/mode").read_text() == f"{document['mode']}\n"
    limit = max(("info", "warning", "error").index(each["severity"]) for each in document["findings"])
    assert run(capsys, "--fail-on", "warning", "--set", f"local.mount={tmp_path}/none")[0] == (3 if limit >= 1 else 0)


def test_the_command_with_an_invalid_configuration(rescue: tuple[str, Config], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "asl.conf").write_text("mdoe = auto\n")
    code, document = run(capsys, "--config", f"{tmp_path}/asl.conf")
    assert code == 2
    assert document["mode"] == "none"
    assert document["hint"] == "did you mean mode?"
    assert f"{tmp_path}/asl.conf:1: unknown key mdoe" in [each["text"] for each in document["findings"]]
    assert (tmp_path / "run/mode").read_text() == "none\n"
