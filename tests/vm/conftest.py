# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One machine for the whole suite, booted once; every test begins with memory and disks as they were right after that."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator

import pytest
from rig.places import CHECKOUT

from vm.machine import Machine

DISKS = {"one": "256M", "two": "256M", "three": "256M"}
BY_ID = "/dev/disk/by-id/virtio"
HOSTID = 0x0BADCAFE
CRASH = "crash"
WRITER = "nohup sh -c 'while :; do cat /usr/bin/python3 > /tank/file; sync; done' > /dev/null 2>&1 &"
MAKE = f"""
set -e
modprobe zfs
echo {HOSTID} > /sys/module/spl/parameters/spl_hostid; zgenhostid -f {HOSTID:08x}; hostname crashed-host
zpool create -f rescuepool {BY_ID}-three; zpool export rescuepool
zpool create -f tank mirror {BY_ID}-one {BY_ID}-two
zfs create -o mountpoint=/ -o canmount=noauto tank/root; zfs create -o mountpoint=/etc -o canmount=noauto tank/etc
zfs create -V 32M tank/guest; udevadm settle; vgcreate -q guestvg /dev/zvol/tank/guest; vgchange -q -an guestvg
zpool sync tank
"""


@pytest.fixture(scope="session")
def booted() -> Iterator[Machine]:
    """With ASL_VM=NAME it is the machine of that name, left running and used again by the next run, which saves booting it."""
    named = os.environ.get("ASL_VM")
    # Another checkout may run its own at the same time.
    machine = Machine(named or f"suite-{hashlib.sha256(str(CHECKOUT).encode()).hexdigest()[:8]}")
    try:
        if not (named and machine.alive()):
            machine.up(DISKS)
            machine.lay_tools()
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
    sh(booted, "modprobe zfs; for d in vdb vdc vdd; do blockdev --rereadpt /dev/$d; done; udevadm settle")
    booted.save(CRASH)
    return booted


@pytest.fixture
def crashed(crash: Machine) -> Machine:
    """Right after that: ``tank``, on the disks one and two, of another host, and ``rescuepool`` on three, exported."""
    if not crash.alive():
        crash.revive()
    crash.reset(CRASH)
    if os.environ.get("ASL_VM"):  # saved with the tools of some earlier run
        prepare(crash)
    return crash
