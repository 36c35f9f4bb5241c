# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One machine for the whole suite, booted once; every test begins with memory and disks as they were right after that."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from rig.places import CHECKOUT

from vm import live
from vm.machine import Machine

HERE = Path(__file__).resolve().parent
BEGUN = time.monotonic()  # a conftest that is named on the command line is read when pytest starts
NOT_CACHED = "the live VM is not in the cache: make test-vm"
TOO_LATE = "too little time is left (ASL_VM_MINUTES): make test-vm"
SKIPPED = """\
{count} tests of tests/vm were NOT run (real ZFS, real boots, power cuts): {why}
make test-vm builds the VM once, which takes a quarter of an hour; the tests take ten to fifteen minutes each time."""
# The crashed host of most tests, once it has crashed:
# one, two   the pool tank, a mirror, never exported, of a host with another hostid: datasets, a snapshot, an encrypted dataset, a volume
#            with a guest's volume group, mountpoints / and /etc
# three      the pool rescuepool, empty and exported: where the store will be
# four       an ext4, an xfs and a btrfs with dirty journals
DISKS = {"one": "256M", "two": "256M", "three": "256M", "four": "640M"}
BY_ID = "/dev/disk/by-id/virtio"
HOSTID = 0x0BADCAFE
CRASH = "crash"
# Not `sync`, which would end the log trees of btrfs as well.
WRITER = "nohup sh -c 'while :; do cat /usr/bin/python3 > /tank/file; zpool sync tank; done' > /dev/null 2>&1 &"
FILESYSTEMS = {"ext4": "/dev/vde1", "xfs": "/dev/vde2", "btrfs": "/dev/vde3"}
MAKE = f"""
set -e
modprobe zfs
echo {HOSTID} > /sys/module/spl/parameters/spl_hostid; zgenhostid -f {HOSTID:08x}; hostname crashed-host
zpool create -f rescuepool {BY_ID}-three; zpool export rescuepool
zpool create -f tank mirror {BY_ID}-one {BY_ID}-two
zfs create -o mountpoint=/ -o canmount=noauto tank/root; zfs create -o mountpoint=/etc -o canmount=noauto tank/etc
zfs create -V 32M tank/guest; udevadm settle; vgcreate -q guestvg /dev/zvol/tank/guest; vgchange -q -an guestvg
zfs create -o compression=lz4 tank/home; cp -r /usr/lib/python3/dist-packages/libzfs_core /usr/bin/python3 /tank/home/
truncate -s 4M /tank/home/holes; echo end >> /tank/home/holes; ln -s python3 /tank/home/link; zfs snapshot tank/home@monday
echo later > /tank/home/later
echo 12345678 > /run/key; zfs create -o encryption=on -o keyformat=passphrase -o keylocation=file:///run/key tank/secret
echo secret > /tank/secret/file; zfs snapshot tank/secret@s
zpool sync tank
printf 'label: gpt\\n,120MiB\\n,320MiB\\n,\\n' | sfdisk -q {BY_ID}-four; udevadm settle
modprobe -a xfs btrfs
for each in ext4:1 xfs:2 btrfs:3; do
  kind=${{each%:*}}; part=/dev/vde${{each#*:}}
  mkfs.$kind -q $part; mkdir -p /c/$kind
  if [ $kind = btrfs ]; then mount -o commit=300 $part /c/$kind; else mount $part /c/$kind; fi  # its log tree lives until the next commit
  cp -r /usr/lib/python3.*/json /usr/bin/gzip /c/$kind/; truncate -s 1M /c/$kind/sparse; echo tail >> /c/$kind/sparse
done
sync
python3 - <<'END'
import os
for kind in ("ext4", "xfs", "btrfs"):
    for number in range(20):
        with open(f"/c/{{kind}}/fsynced-{{number}}", "w") as file:
            file.write(kind * 1000)
            file.flush()
            os.fsync(file.fileno())
END
"""


def wanted() -> bool:
    """Where ASL_VM is 1, and where nothing has to be built for it; ASL_VM=0 leaves it out."""
    asked = os.environ.get("ASL_VM", "")
    return asked == "1" or (asked != "0" and live.cached())


def late() -> bool:
    """Whether so many minutes have gone by that no further test here may begin; an unattended run sets that, for it has an end."""
    return time.monotonic() - BEGUN > 60 * float(os.environ.get("ASL_VM_MINUTES") or "inf")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    if not wanted():
        pytest.skip(NOT_CACHED)
    if late():
        pytest.skip(TOO_LATE)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    skipped = [report for report in terminalreporter.stats.get("skipped", []) if report.nodeid.startswith("tests/vm/")]
    if skipped:
        terminalreporter.section("tests/vm was SKIPPED", sep="!", red=True, bold=True)
        terminalreporter.write_line(SKIPPED.format(count=len(skipped), why=NOT_CACHED if not wanted() else TOO_LATE))


def project(name: str) -> str:
    """A name for a machine that no other checkout has, which may run its own at the same time."""
    return f"{name}-{hashlib.sha256(str(CHECKOUT).encode()).hexdigest()[:8]}"


@pytest.fixture(scope="session")
def booted() -> Iterator[Machine]:
    """With ASL_VM_KEEP=NAME it is the machine of that name, left running and used again by the next run, which saves booting it."""
    named = os.environ.get("ASL_VM_KEEP")
    machine = Machine(named or project("suite"))
    try:
        if not (named and machine.alive()):
            machine.up(DISKS)
            prepare(machine)
            machine.save()
        yield machine
    finally:
        if not named:
            machine.down()


@pytest.fixture
def vm(booted: Machine) -> Machine:
    """The machine with empty disks, the tools of this checkout and no ZFS module loaded."""
    if not booted.alive():
        booted.revive()
    booted.reset()
    return booted


def sh(vm: Machine, text: str) -> str:
    """Run lines of shell, ending at the first that fails, and give what they print."""
    return vm.output(f"set -e\n{text}")


def prepare(machine: Machine) -> None:
    """The tools of this checkout. Emulated, the machine would spend most of the time compiling them anew for each call."""
    machine.lay_tools()
    machine.run("python3 -m compileall -q /usr/local/lib/asl")


@pytest.fixture(scope="session")
def crash(booted: Machine, tmp_path_factory: pytest.TempPathFactory) -> Machine:
    """The rescue system with the disks of a foreign host that crashed. What was on them when the plug was pulled is put onto those of the
    machine as it was before, which saves booting it again."""
    folder = tmp_path_factory.mktemp("disks")
    if not booted.alive():
        booted.revive()
    if booted.saved(CRASH):
        return booted
    booted.reset()
    booted.run(MAKE)
    booted.run(WRITER)
    sh(booted, "until test -s /tank/file; do zpool sync tank; done; zpool sync tank; zpool sync tank")
    booted.kill()
    images = {name: booted.raw(name, folder / name) for name in DISKS}
    booted.revive()
    booted.reset()
    # It is in the very state again in which it made the pools: without new entropy it would give their GUIDs to the next ones.
    reseed = "import fcntl, sys; d = open('/dev/random', 'wb'); d.write(sys.argv[1].encode()); d.flush(); fcntl.ioctl(d, 0x5207)"
    booted.run(f'python3 -c "{reseed}" {os.urandom(64).hex()}')
    for name, image in images.items():
        booted.pour(image, name)
        image.unlink()
    prepare(booted)
    sh(booted, "modprobe zfs; for d in vdb vdc vdd vde; do blockdev --rereadpt /dev/$d; done; udevadm settle")
    booted.save(CRASH)
    return booted


@pytest.fixture
def crashed(crash: Machine) -> Machine:
    """Right after that; see DISKS."""
    if not crash.alive():
        crash.revive()
    crash.reset(CRASH)
    if os.environ.get("ASL_VM_KEEP"):  # saved with the tools of some earlier run
        prepare(crash)
    return crash
