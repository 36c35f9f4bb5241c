# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole local mode on real ZFS: what a crashed host left is read into a store on a pool, proven, and given back; and no byte of it
changes. The numbers in the names of the tests are those of the scenarios in docs/zfs.md."""

from __future__ import annotations

import json
from typing import Any

import pytest

from vm.conftest import BY_ID, FILESYSTEMS, HOSTID, sh
from vm.machine import Machine

STORE = "/mnt/asl/local"
ROOM = "mkdir -p /v; mount -t tmpfs none /v"
CRASHED = ("one", "two", "four")
SOURCES = [*(f"fs:{part}" for part in FILESYSTEMS.values()), "zfs:tank/home@monday", "zfs:tank/home", "fs:zfs:tank/home", "zfs:tank/secret"]


@pytest.fixture
def vm(crashed: Machine) -> Machine:
    """Right after the boot that followed the crash."""
    return crashed


def document(vm: Machine, line: str, *, rc: int = 0) -> dict[str, Any]:
    """What LINE says with --json; it must end with this status."""
    done = vm.run(f"{line} --json", check=False)
    assert done.returncode == rc, (line, done.stdout[-3000:], done.stderr[-3000:])
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def hashes(vm: Machine, *names: str) -> str:
    return vm.output(f"sha256sum {' '.join(f'{BY_ID}-{name}' for name in names)}")


def attach(vm: Machine) -> dict[str, str]:
    """Import tank as a source and rescuepool as the backend with a store; their GUIDs."""
    guids = {each["name"]: each["guid"] for each in document(vm, "asl-intake survey")["pools"]}
    tank, backend = guids["tank"], guids["rescuepool"]
    document(vm, f"asl-admin pool import {tank} --approve {tank} --force-foreign")
    document(vm, f"asl-admin pool import {backend} --role backend --set local.approved={backend} --init")
    return guids


def detach(vm: Machine, guids: dict[str, str]) -> None:
    done = document(vm, f"asl-admin pool export --all --set local.approved={guids['rescuepool']}")
    assert [each["labels_unchanged"] for each in done["pools"] if each["guid"] == guids["tank"]] == [True]
    assert vm.output("zpool list -H -o name") == ""


def test_20_13_the_whole_local_mode(vm: Machine) -> None:
    """Dirty ext4, xfs and btrfs, a snapshot, a head, its files and a locked dataset; each verified, and given back."""
    before = hashes(vm, *CRASHED)
    guids = attach(vm)
    done = document(vm, f"asl-intake run {' '.join(SOURCES)} --store {STORE}")
    assert [each["view"] for each in done["sources"]] == [
        *["journal not replayed"] * 3, None, *["intent log not replayed"] * 2, "raw: blocks stay encrypted; intent log not replayed",
    ]  # fmt: skip
    assert [each["kind"] for each in done["sources"]] == ["fs", "fs", "fs", "zfs", "zfs", "fs", "zfs"]
    assert vm.output("cat /sys/block/vde/vde?/ro /sys/block/vde/ro; ls /run/asl/mnt/*.json 2>/dev/null; true").split() == ["0"] * 4
    kept = done["zfs_snapshot"]
    assert (kept["held"], kept["with"]) == (True, "libzfs_core")
    assert vm.run(f"zfs destroy {kept['name']}", check=False).returncode != 0, "held"
    assert document(vm, f"asl-admin verify latest --store {STORE}")["ok"] is True
    assert document(vm, f"asl-debug check --store {STORE}")["ok"] is True
    again = document(vm, f"asl-intake run {' '.join(SOURCES)} --store {STORE}")
    assert (again["changed"], again["digest"], again["bytes_new"], again["zfs_snapshot"]["created"]) == (False, done["digest"], 0, False)
    streams_come_back(vm)
    files_come_back(vm)
    detach(vm, guids)
    assert hashes(vm, *CRASHED) == before


def streams_come_back(vm: Machine) -> None:
    alias = vm.output("zpool list -H -o name | grep asl_src_")
    for number, name in ((4, "one"), (5, "head"), (7, "locked")):
        sh(vm, f"asl-admin cat latest --source {number} --store {STORE} | zfs receive -u rescuepool/{name}")
    guid = "zfs get -H -o value guid"
    assert vm.output(f"{guid} rescuepool/one@monday") == vm.output(f"{guid} {alias}/home@monday")
    sh(vm, "mkdir -p /m/a /m/b")
    for received, name in (("one@monday", "home@monday"), ("head@--head--", "home")):
        how = "ro" if "@" in name else "ro,zfsutil"
        sh(vm, f"mount -t zfs -o ro rescuepool/{received} /m/a; mount -t zfs -o {how} {alias}/{name} /m/b")
        sh(vm, "diff -r --no-dereference /m/a /m/b; umount /m/a /m/b")
    assert vm.output("zfs get -H -o value encryption,keystatus rescuepool/locked").split() == ["aes-256-gcm", "unavailable"]
    sh(vm, "echo 12345678 > /run/key; zfs load-key -L file:///run/key rescuepool/locked; mount -t zfs -o zfsutil rescuepool/locked /m/a")
    assert vm.output("cat /m/a/file; umount /m/a") == "secret"
    sh(vm, "for each in one head locked; do zfs destroy -r rescuepool/$each; done")


def files_come_back(vm: Machine) -> None:
    options = {"ext4": "noload", "xfs": "norecovery", "btrfs": "rescue=nologreplay"}
    for number, (kind, part) in enumerate(FILESYSTEMS.items(), 1):
        sh(vm, f"asl-admin restore latest --source {number} --to /r --store {STORE}")
        sh(vm, f"blockdev --setro {part}; mount -o ro,{options[kind]} {part} /m/b")
        sh(vm, f"diff -r --no-dereference /r /m/b; umount /m/b; blockdev --setrw {part}; rm -r /r")


def test_without_the_module_the_disks_of_the_pool(vm: Machine) -> None:
    """The device route: both disks of the crashed pool, restored bit for bit, and ZFS finds in them what it found before."""
    sh(vm, f"rmmod zfs spl; mv /usr/sbin/zpool /run/; {ROOM}; asl-admin init /v/store")
    said = document(vm, "asl-intake run zfs:tank/home@monday --store /v/store", rc=4)
    assert said["reason"] == "ZFS_UNAVAILABLE"
    assert said["members"] == ["device:/dev/vdb1", "device:/dev/vdc1"]
    assert vm.output("lsmod | grep -c '^zfs' || true") == "0"
    before = hashes(vm, "one", "two")
    document(vm, "asl-intake run device:/dev/vdb device:/dev/vdc --store /v/store")
    for number, name in ((1, "one"), (2, "two")):
        sh(vm, f"asl-admin restore latest --source {number} --file /v/{name} --store /v/store; cmp /v/{name} {BY_ID}-{name}")
    assert hashes(vm, "one", "two") == before
    sh(vm, "mv /run/zpool /usr/sbin/; modprobe zfs; losetup -rP /dev/loop6 /v/one; losetup -rP /dev/loop7 /v/two; udevadm settle")
    sh(vm, f"echo {HOSTID} > /sys/module/spl/parameters/spl_hostid")
    sh(vm, "zpool import -N -o readonly=on -o cachefile=none -d /dev/loop6p1 -d /dev/loop7p1 tank")
    assert "tank/home@monday" in vm.output("zfs list -H -o name -t snapshot -r tank").split()


def test_21_what_others_have_assembled(vm: Machine) -> None:
    """An array in the middle of a resync and a volume group on it, assembled before us: reported, taken as they are, not touched."""
    sh(vm, f"{ROOM}; modprobe -a raid1 dm-mod; truncate -s 96M /v/a /v/b; losetup /dev/loop6 /v/a; losetup /dev/loop7 /v/b")
    sh(vm, "echo 1 > /proc/sys/dev/raid/speed_limit_max; echo 1 > /proc/sys/dev/raid/speed_limit_min")
    sh(vm, "yes | mdadm --create /dev/md7 --level=1 --raid-devices=2 --metadata=1.2 --bitmap=none /dev/loop6 /dev/loop7")
    sh(vm, "vgcreate -q vg7 /dev/md7; lvcreate -q -y -n root -L 32M vg7; mkfs.ext4 -q /dev/vg7/root; udevadm settle; sync")
    found = {each["device"]: each for each in document(vm, "asl-intake survey")["disks"]}
    array = found["/dev/md7"]
    assert (array["assembly"]["level"], sorted(array["assembly"]["members"])) == ("raid1", ["/dev/loop6", "/dev/loop7"])
    assert any("being rebuilt (resync)" in each for each in array["unsafe"])
    [volume] = [each for each in found.values() if (each["assembly"] or {}).get("kind") == "lvm"]
    assert volume["sources"][0] == "fs:/dev/mapper/vg7-root"
    assert found["/dev/loop6"]["held_by"] == ["/dev/md7"]
    sh(vm, "asl-admin init /v/store")
    assert document(vm, "asl-intake run fs:/dev/loop6 --store /v/store", rc=3)["reason"] == "SOURCE_IN_USE"
    done = document(vm, "asl-intake run fs:/dev/mapper/vg7-root --store /v/store")
    assert done["sources"][0]["details"]["filesystem"] == "ext4"
    assert vm.output("cat /sys/block/md7/md/sync_action; vgs --noheadings -o name").split() == ["resync", "vg7"], "left as it was"
    text = vm.output("asl-intake survey")
    assert "raid1 array" in text and "UNSAFE  is being rebuilt" in text


def test_22_a_disk_with_bad_sectors(vm: Machine) -> None:
    """The sectors that do not answer are recorded as unread; the others, and the other disk, are read."""
    sh(vm, f"{ROOM}; modprobe dm-mod; asl-admin init /v/store; dd if=/dev/urandom of=/v/bad bs=1M count=8 status=none")
    sh(vm, "echo good > /v/good; truncate -s 4M /v/good; losetup /dev/loop6 /v/bad; losetup /dev/loop7 /v/good")
    table = "0 4096 linear /dev/loop6 0\\n4096 8 error\\n4104 12280 linear /dev/loop6 4104"
    sh(vm, f"printf '{table}\\n' | dmsetup create sick; udevadm settle")
    done = document(vm, "asl-intake run device:/dev/mapper/sick device:/dev/loop7 --store /v/store", rc=1)
    sick, good = done["sources"]
    assert (sick["bytes_unread"], good["bytes_unread"]) == (4096, 0)
    assert [loss["where"] for loss in done["losses"]] == ["/dev/mapper/sick: 4096 bytes at 2097152"]
    assert document(vm, "asl-debug check --store /v/store")["ok"] is True
    sh(vm, "asl-admin restore latest --source 2 --file /v/again --store /v/store; cmp /v/again /v/good")


def test_23_the_connection_dies_in_the_middle(vm: Machine) -> None:
    """The job goes on without it; asking again joins it and does not begin a second one."""
    sh(vm, f"{ROOM}; asl-admin init /v/store; systemctl stop asl-intake 2>/dev/null || true")
    ask = "asl-intake submit --json --store /v/store --set intake.bandwidth=1MiB fs:/dev/vde1"
    first = json.loads(vm.output(ask))
    again = json.loads(vm.output(ask))
    assert (first["job"], again["state"] in ("queued", "running")) == (again["job"], True)
    vm.reconnect()
    assert len(vm.output("ls /var/lib/asl/runtime/queue").split()) == 1
    done = document(vm, f"asl-intake wait {first['job']} --collect")
    assert (done["finished"], done["result"]["sources"][0]["view"]) == (True, "journal not replayed")
    assert len(document(vm, "asl-admin snapshots --store /v/store")["snapshots"]) == 1


def test_24_no_room(vm: Machine) -> None:
    """In RAM: said before anything begins. In the store: said when it happens, and what is there stays good."""
    sh(vm, "mkdir -p /var/lib/asl; mount -t tmpfs -o size=4M none /var/lib/asl; head -c 4M /dev/zero > /var/lib/asl/full || true")
    report = document(vm, "asl-intake preflight --check")
    assert (report["mode"], report["reason"]) == ("none", "NO_SCRATCH")
    sh(vm, "umount /var/lib/asl; mkdir -p /v; mount -t tmpfs -o size=24M none /v; asl-admin init /v/store")
    said = document(vm, "asl-intake run fs:/dev/vde1 fs:/dev/vde2 tree:/usr/bin --store /v/store", rc=4)
    assert said["reason"] == "NO_SPACE"
    sh(vm, "mount -o remount,size=200M /v")
    assert document(vm, "asl-debug check --store /v/store")["ok"] is True
    document(vm, "asl-intake run fs:/dev/vde1 --store /v/store")


def test_a_luks_container_is_opened_on_request(vm: Machine) -> None:
    sh(vm, f"{ROOM}; modprobe dm-crypt; asl-admin init /v/store; truncate -s 64M /v/disk; losetup /dev/loop6 /v/disk")
    sh(vm, "mkdir -p -m 700 /run/asl/keys /m; printf geheim > /run/k; chmod 600 /run/k")
    sh(vm, "cryptsetup -q luksFormat --pbkdf pbkdf2 --pbkdf-force-iterations 1000 /dev/loop6 /run/k")
    sh(vm, "cryptsetup open --key-file /run/k /dev/loop6 x; mkfs.ext4 -q /dev/mapper/x; mount /dev/mapper/x /m; echo inside > /m/file")
    sh(vm, "umount /m; cryptsetup close x")
    before = vm.output("sha256sum /v/disk")
    [disk] = document(vm, "asl-intake survey --device /dev/loop6")["disks"]
    assert disk["sources"] == ["device:/dev/loop6", "fs:luks:/dev/loop6"]
    ask = "asl-intake run fs:luks:/dev/loop6 --store /v/store"
    assert document(vm, ask, rc=4)["reason"] == "LUKS_KEY_MISSING"
    key = f"/run/asl/keys/{disk['volume']['uuid']}"
    sh(vm, f"cp /run/k {key}; chmod 644 {key}")
    assert document(vm, ask, rc=3)["reason"] == "LUKS_KEY_UNSAFE"
    sh(vm, f"chmod 600 {key}; printf falsch > {key}")
    assert document(vm, ask, rc=3)["reason"] == "LUKS_KEY_WRONG"
    sh(vm, f"cat /run/k > {key}")
    done = document(vm, ask)
    assert (done["sources"][0]["kind"], done["sources"][0]["details"]["luks"]) == ("fs", disk["volume"]["uuid"])
    assert vm.output("asl-admin cat latest file --store /v/store") == "inside"
    assert "geheim" not in json.dumps(done)
    assert vm.output("ls /dev/mapper; blockdev --getro /dev/loop6; sha256sum /v/disk") == f"control\n0\n{before}"
    assert "fs:luks:/dev/loop6" in vm.output("asl-intake survey --device /dev/loop6")


def test_swap_and_a_hibernated_system_are_reported(vm: Machine) -> None:
    sh(vm, f"{ROOM}; truncate -s 32M /v/swap; mkswap -q /v/swap")
    sh(vm, "printf 'S1SUSPEND\\0' | dd of=/v/swap bs=1 seek=4086 conv=notrunc status=none")
    text = vm.output("asl-intake survey --device /v/swap")
    assert "holds a hibernated system" in text
    assert "must not be written" in text
