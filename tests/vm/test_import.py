# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pools in and out of the live system, with real OpenZFS: what comes in, what is refused, and that no byte of a source changes.

The numbers in the names of the tests are those of the scenarios in docs/zfs.md. A crash is made once, by pulling the plug while a pool is
written to; every test begins right after the boot that followed.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from vm.conftest import BY_ID, HOSTID, WRITER, sh
from vm.machine import Machine


def asl(vm: Machine, line: str, *, rc: int = 0) -> dict[str, Any]:
    """The document of `asl-admin pool LINE`, which must end with this status."""
    done = vm.run(f"asl-admin pool {line} --json", check=False)
    assert done.returncode == rc, (line, done.stdout[-2000:], done.stderr[-2000:])
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def refused(vm: Machine, line: str, *, rc: int = 3) -> str:
    """The reason for which it is refused, and that nothing is imported afterwards."""
    said = asl(vm, line, rc=rc)
    assert said["hint"], "the way out"
    assert imported(vm) == []
    return str(said["reason"])


def pools(vm: Machine) -> dict[str, dict[str, Any]]:
    """The pools of a survey, by name."""
    return {each["name"]: each for each in json.loads(vm.output("asl-intake survey --json"))["pools"]}


def imported(vm: Machine) -> list[str]:
    return vm.output("zpool list -H -o name").split()


def hashes(vm: Machine, *paths: str) -> str:
    return vm.output(f"sha256sum {' '.join(paths)}")


def disks(vm: Machine) -> str:
    return hashes(vm, *(f"{BY_ID}-{name}" for name in ("one", "two", "three")))


def set_hostid(vm: Machine, number: int) -> None:
    file = f"zgenhostid -f {number:08x}" if number else "rm -f /etc/hostid"
    vm.run(f"echo {number} > /sys/module/spl/parameters/spl_hostid; {file}")


def loops(vm: Machine, make: str, *names: str, active: bool = False) -> dict[str, str]:
    """Pools on loop devices of 64 MiB, by name. MAKE has them as $NAME; an ``active`` pool stays as a power cut would leave it, all others
    MAKE exports itself."""
    attach = [f"truncate -s 64M {name}; {name}=$(losetup -f --show /v/{name})" for name in names]
    lines = ["mkdir -p /v; mountpoint -q /v || mount -t tmpfs none /v; cd /v", *attach, make]
    if active:
        images = " ".join(names)
        lines += [f"mkdir -p kept; cp --sparse=always {images} kept/; zpool list -Ho name | xargs -r -n 1 zpool destroy -f"]
        lines += [f"losetup -d ${name}; mv kept/{name} {name}; losetup ${name} {name}" for name in names]
    lines += [f"udevadm settle; echo {' '.join('$' + name for name in names)}"]
    return dict(zip(names, sh(vm, "\n".join(lines)).splitlines()[-1].split()))


@pytest.fixture
def vm(crashed: Machine) -> Machine:
    """Right after the crash."""
    return crashed


def test_01_14_15_a_crashed_pool_of_a_foreign_host(vm: Machine) -> None:
    before = disks(vm)
    guid = pools(vm)["tank"]["guid"]
    assert refused(vm, f"import {guid}") == "NOT_APPROVED"
    assert refused(vm, f"import {guid} --approve {guid}") == "FOREIGN_HOST"
    assert refused(vm, "import tank --approve tank") == "NOT_A_GUID"
    etc, mounts = vm.output("ls -laR /etc | sha256sum"), vm.output("cat /proc/self/mountinfo")
    predicted = asl(vm, f"import {guid} --approve {guid} --force-foreign --check")
    assert imported(vm) == []
    done = asl(vm, f"import {guid} --approve {guid} --force-foreign")
    assert (done["changed"], done["actions"], done["commands"]) == (True, predicted["actions"], predicted["commands"])
    assert done["labels"]["before"] == done["labels"]["after"]
    alias = f"asl_src_{int(guid):x}"
    assert vm.output(f"zpool get -Hpo value guid,readonly,altroot {alias}").split() == [guid, "on", f"/run/asl/src/{guid}"]
    # Datasets with mountpoint / and /etc land nowhere, and no guest's volume group shows up.
    assert (vm.output("ls -laR /etc | sha256sum"), vm.output("cat /proc/self/mountinfo")) == (etc, mounts)
    assert vm.output("udevadm settle; ls -d /dev/zvol /dev/zd* 2>/dev/null; vgs --noheadings -o name; true") == ""
    assert vm.output("cat /sys/block/vd[bc]/ro /sys/block/vd[bc]/vd[bc]1/ro /sys/block/vdd/ro").split() == ["1", "1", "1", "1", "0"]
    again = asl(vm, f"import {guid} --approve {guid} --force-foreign")
    assert (again["changed"], again["actions"]) == (False, [])
    report = json.loads(vm.output("asl-intake preflight --check --json"))
    assert not {"SOURCE_IMPORTED_RW", "POOL_IMPORTED"} & {each["code"] for each in report["findings"]}
    out = asl(vm, "export --all")
    assert [(each["guid"], each["labels_unchanged"]) for each in out["pools"]] == [(guid, True)]
    assert asl(vm, "export --all")["changed"] is False
    assert vm.output("cat /sys/block/vd[bc]/ro /sys/module/zfs/parameters/zvol_inhibit_dev").split() == ["0", "0", "0"]
    assert disks(vm) == before
    # The original host would find it as after any crash: no force is needed.
    set_hostid(vm, HOSTID)
    vm.run("zpool import -N tank")
    assert imported(vm) == ["tank"]


def test_03_a_live_writer(vm: Machine) -> None:
    """The kernel itself plays the other machine: the tool sees everything but that the pool is imported here."""
    set_hostid(vm, HOSTID)
    sh(vm, f"zpool import tank\n{WRITER}")
    guid = pools(vm)["tank"]["guid"]
    alone = "unshare -m sh -c 'mount -t tmpfs none /proc/spl/kstat/zfs; exec \"$@\"' sh"
    said = vm.run(f"{alone} asl-admin pool import {guid} --approve {guid} --force-foreign --json", check=False)
    assert (said.returncode, json.loads(said.stdout)["reason"]) == (3, "LIVE_WRITER")
    report = json.loads(vm.output(f"{alone} asl-intake preflight --check --json"))
    assert "POOL_WRITTEN" in {each["code"] for each in report["findings"]}
    backend = f"--set local.approved={guid} --set local.pool=tank"
    report = json.loads(vm.output(f"{alone} asl-intake preflight --check --json {backend}"))
    assert (report["mode"], report["reason"], report["rule"]) == ("none", "LIVE_WRITER", "B4")
    # And without the disguise: imported writable already, which is left alone.
    assert asl(vm, f"import {guid} --approve {guid}", rc=3)["reason"] == "WRONG_MODE"
    assert asl(vm, f"export {guid}", rc=3)["reason"] == "NOT_OURS"
    assert imported(vm) == ["tank"]


def test_02_04_multihost(vm: Machine) -> None:
    """What is predicted of 2.3.9 is what it does; none of the ways out writes a byte."""
    set_hostid(vm, 77)
    made = loops(vm, "zpool create -o multihost=on watched $w; zpool sync watched; zpool export watched", "w")
    guid = pools(vm)["watched"]["guid"]
    before = hashes(vm, made["w"])
    set_hostid(vm, 0)
    assert refused(vm, f"import {guid} --approve {guid}") == "HOSTID_NOT_SET"
    assert vm.output("cat /sys/module/spl/parameters/spl_hostid; ls /etc/hostid 2>/dev/null || true") == "0", "no hostid was invented"
    set_hostid(vm, 78)
    assert refused(vm, f"import {guid} --approve {guid}") == "MMP_RULE"
    itself = vm.run(f"zpool import -N -o readonly=on -o cachefile=none -R /x -d {made['w']} -t {guid} asl_w", check=False)
    assert (itself.returncode, imported(vm)) == (1, []), "so does ZFS"
    assert "claim" in itself.stderr
    txg = pools(vm)["watched"]["txg"]
    assert asl(vm, f"import {guid} --approve {guid} --txg {txg}")["read_only"] is True
    asl(vm, "export --all")
    set_hostid(vm, 77)
    assert asl(vm, f"import {guid} --approve {guid}")["read_only"] is True
    assert asl(vm, "export --all")["pools"][0]["labels_unchanged"] is True
    assert hashes(vm, made["w"]) == before


def test_05_06_one_name_twice_and_one_guid_twice(vm: Machine) -> None:
    make = (
        "zpool create rpool $a; zpool export rpool; zpool create rpool $b; zpool export rpool; dd if=$b of=$c bs=1M conv=fsync status=none"
    )
    made = loops(vm, make, "a", "b", "c")
    before = hashes(vm, *made.values())
    found = json.loads(vm.output("asl-admin pool list --json"))["pools"]
    first, second = ({each["guid"]: each for each in found if each["name"] == "rpool"}).values()
    single, twice = (first, second) if "DUPLICATE_GUID" in second["hazards"] else (second, first)
    assert twice["as_source"]["reason"] == "DUPLICATE_GUID"
    assert "DUPLICATE_NAME" in single["hazards"]
    assert refused(vm, f"import {twice['guid']} --approve {twice['guid']}") == "DUPLICATE_GUID"
    chosen = asl(vm, f"import {twice['guid']} --approve {twice['guid']} --device {made['c']}")
    assert chosen["members"] == [made["c"]]
    asl(vm, f"import {single['guid']} --approve {single['guid']}")
    assert sorted(imported(vm)) == sorted(f"asl_src_{int(each['guid']):x}" for each in (single, twice))
    asl(vm, "export --all")
    assert hashes(vm, *made.values()) == before


def test_08_a_disk_that_hardly_answers(vm: Machine) -> None:
    """Labels can still be read in time, the import cannot: it is reported, with its process, and not tried again."""
    made = loops(vm, "zpool create slow $s; for n in 1 2 3; do zpool sync slow; done; zpool export slow", "s")
    guid = pools(vm)["slow"]["guid"]
    sh(vm, f'modprobe dm-delay; echo "0 $(blockdev --getsz {made["s"]}) delay {made["s"]} 0 400" | dmsetup create slow; udevadm settle')
    said = asl(vm, f"import {guid} --approve {guid} --device /dev/mapper/slow --timeout 1", rc=4)
    assert said["reason"] == "IMPORT_TIMEOUT"
    assert "nothing was tried again" in said["hint"]


def test_09_10_a_missing_log_and_a_missing_special_vdev(vm: Machine) -> None:
    make = "zpool create sync $a log $l; cp /bin/ls /sync/; zpool export sync; zpool create -f bias $b special $p; zpool export bias"
    made = loops(vm, make, "a", "l", "b", "p")
    sh(vm, f"losetup -d {made['l']} {made['p']}; rm /v/l /v/p")
    found = pools(vm)
    log, special = found["sync"]["guid"], found["bias"]["guid"]
    before = hashes(vm, made["a"], made["b"])
    assert refused(vm, f"import {log} --approve {log}") == "TOP_LEVEL_MISSING"
    assert refused(vm, f"import {special} --approve {special}") == "TOP_LEVEL_MISSING"
    assert refused(vm, f"import {special} --approve {special} --allow-missing-log", rc=4) == "IMPORT_FAILED", "that was no log: ZFS knows"
    done = asl(vm, f"import {log} --approve {log} --allow-missing-log")
    assert any("synchronous writes" in note for note in done["notes"])
    asl(vm, "export --all")
    assert hashes(vm, made["a"], made["b"]) == before


def test_11_17_degraded_and_in_the_middle_of_a_resilver(vm: Machine) -> None:
    """A source may be degraded, and a resilver is not taken up; a backend may not."""
    make = (
        "zpool create worn mirror $a $b; dd if=/dev/urandom of=/worn/f bs=1M count=12 status=none; zpool sync worn;"
        "zpool offline worn $b;"
        "echo 1 > /sys/module/zfs/parameters/zfs_scan_suspend_progress; zpool replace worn $b $c; zpool sync worn"
    )
    made = loops(vm, make, "a", "b", "c", active=True)
    guid = pools(vm)["worn"]["guid"]
    before = hashes(vm, *made.values())
    done = asl(vm, f"import {guid} --approve {guid}")
    assert (done["read_only"], done["health"]) == (True, "DEGRADED")
    assert any("DEGRADED" in note for note in done["notes"])
    sh(vm, f"mkdir -p /m; mount -t zfs -o zfsutil,ro {done['imported_as']} /m; cat /m/f > /dev/null; umount /m")
    asl(vm, "export --all")
    assert hashes(vm, *made.values()) == before
    # Its labels name every device, and none is missing: only ZFS knows that one was offline.
    assert refused(vm, f"import {guid} --approve {guid} --role backend") == "BACKEND_DEGRADED"


def test_destroyed_and_without_a_hostid(vm: Machine) -> None:
    """The gate of ZFS is none: a pool that carries no hostid it would import writable without -f. Ours asks for approval."""
    set_hostid(vm, 0)
    made = loops(vm, "zpool create nobody $n; zpool sync nobody", "n", active=True)
    more = loops(vm, "zpool create gone $g; zpool destroy gone", "g")
    found = pools(vm)
    nobody, gone = found["nobody"]["guid"], found["gone"]["guid"]
    assert "FOREIGN_HOST" not in found["nobody"]["hazards"]
    before = hashes(vm, *made.values(), *more.values())
    assert refused(vm, f"import {nobody}") == "NOT_APPROVED"
    assert refused(vm, f"import {gone} --approve {gone}") == "POOL_DESTROYED"
    asl(vm, f"import {nobody} --approve {nobody}")
    asl(vm, "export --all")
    assert hashes(vm, *made.values(), *more.values()) == before


def test_16_a_backend_on_a_disk_of_the_crashed_machine(vm: Machine) -> None:
    table = "printf 'label: gpt\\n,80MiB\\n,\\n' | sfdisk -q /v/disk"
    sh(vm, f"mkdir -p /v; mount -t tmpfs none /v; truncate -s 200M /v/disk; {table}; losetup -P /dev/loop7 /v/disk; udevadm settle")
    sh(vm, "mkfs.ext4 -q /dev/loop7p1; zpool create -f mine /dev/loop7p2; zpool export mine")
    guid = pools(vm)["mine"]["guid"]
    assert refused(vm, f"import {guid} --approve {guid} --role backend") == "BACKEND_ON_SOURCE"
    report = json.loads(vm.output(f"asl-intake preflight --check --json --set local.approved={guid} --set local.pool=mine"))
    assert (report["rule"], report["reason"]) == ("12", "BACKEND_ON_SOURCE")
    done = asl(vm, f"import {guid} --approve {guid}")
    assert done["read_only"] is True, "as a source it is as good as any"


def test_18_what_only_has_the_name_of_zfs(vm: Machine) -> None:
    guid = pools(vm)["tank"]["guid"]
    vm.run(
        "mv /usr/sbin/zpool /usr/sbin/zpool.real; printf '#!/bin/sh\\ntouch /run/was-run\\n' > /usr/sbin/zpool; chmod +x /usr/sbin/zpool"
    )
    said = asl(vm, f"import {guid} --approve {guid} --force-foreign", rc=3)
    assert said["reason"] == "ZFS_UNUSABLE_STUB"
    vm.run("asl-intake preflight --check; asl-admin pool list; asl-admin pool export --all")
    assert vm.run("test -e /run/was-run", check=False).returncode == 1, "it was never run"


def test_19_units_that_would_import_by_themselves(vm: Machine) -> None:
    units = "zfs-import-scan.service zfs-mount.service zfs-share.service"
    sh(vm, f"systemctl unmask -q {units}; systemctl enable -q {units}")
    report = json.loads(vm.output("asl-intake preflight --check --json"))
    named = [each["text"].split()[0] for each in report["findings"] if each["code"] == "ZFS_UNITS"]
    assert named == sorted(units.split())
    guid = pools(vm)["tank"]["guid"]
    before = disks(vm)
    done = asl(vm, f"import {guid} --approve {guid} --force-foreign")
    assert done["commands"][0][:3] == ["systemctl", "mask", "--runtime"]
    asl(vm, "export --all")
    for unit in units.split():
        assert vm.run(f"systemctl start {unit}", check=False).returncode != 0
    assert imported(vm) == []
    assert disks(vm) == before
    report = json.loads(vm.output("asl-intake preflight --check --json"))
    assert "ZFS_UNITS" not in {each["code"] for each in report["findings"]}


def test_a_backend_from_import_to_export(vm: Machine) -> None:
    guid = pools(vm)["rescuepool"]["guid"]
    asked = f"--set local.approved={guid} --set mode=local"
    assert refused(vm, f"import {guid} --role backend") == "NOT_APPROVED"
    report = json.loads(vm.output(f"asl-intake preflight --json {asked}"))
    assert (report["mode"], report["reason"], report["backend"]) == ("local", "LOCAL_ELIGIBLE", guid)
    assert refused(vm, f"import {guid} --role backend {asked}", rc=4) == "NO_DATASET"
    predicted = asl(vm, f"import {guid} --role backend {asked} --init --check")
    done = asl(vm, f"import {guid} --role backend {asked} --init")
    assert (done["actions"], done["mounted_at"], done["dataset"]) == (predicted["actions"], "/mnt/asl/local", "rescuepool/asl")
    options = vm.output("findmnt -no OPTIONS /mnt/asl/local").split(",")
    assert {"nodev", "nosuid", "noexec", "noatime", "rw"} <= set(options)
    got = vm.output("zfs get -Ho value recordsize,compression,xattr,atime,canmount,logbias rescuepool/asl").split()
    assert got in (["1M", "lz4", xattr, "off", "noauto", "throughput"] for xattr in ("sa", "on")), "on means sa, from 2.3"
    again = asl(vm, f"import {guid} --role backend {asked} --init")
    assert (again["changed"], again["store_id"]) == (False, done["store_id"])
    report = json.loads(vm.output(f"asl-intake preflight --json {asked}"))
    assert (report["reason"], report["backend"]) == ("LOCAL_READY", None)
    vm.run("asl-intake run tree:/etc/systemd --store /mnt/asl/local && asl-debug check --store /mnt/asl/local")
    asl(vm, f"export --all {asked} --check")
    assert imported(vm) == ["rescuepool"]
    asl(vm, f"export --all {asked}")
    assert imported(vm) == []
    assert vm.output("ls /mnt/asl/local") == ""
    back = asl(vm, f"import {guid} --role backend {asked}")
    assert back["store_id"] == done["store_id"]
    # A store that is in use is not pulled away.
    vm.run("(cd /mnt/asl/local; exec sleep 600) > /dev/null 2>&1 &")
    assert asl(vm, f"export --all {asked}", rc=4)["reason"] == "POOL_BUSY"
