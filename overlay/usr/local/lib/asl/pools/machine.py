# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is changed on this machine before a pool comes in, so that nothing but us touches it: units masked, zvols without nodes.

The masks last until the next boot: who installs or starts something later does not bring the pools up either. What the module's
parameter was is recorded, and put back when the last pool of ours is gone.
"""

from __future__ import annotations

import contextlib
import os

from asl import imported, paths, system
from asl.pools.codes import refused
from asl.preflight import touching

# Without device nodes of zvols, udev has nothing to hand to LVM, mdadm and blkid: they would find, and write to, what guests keep there.
INHIBIT = "/sys/module/zfs/parameters/zvol_inhibit_dev"
_RECORD = "zvol_inhibit_dev"
DEADLINE = 60.0


def mask_command(root: str = "/") -> list[str]:
    """What masks the units that would import or mount by themselves; empty where systemd does not run or all are masked."""
    units = [unit for unit in touching.ZFS_UNITS if not touching.masked(unit, root)]
    booted = os.path.isdir(system.under(root, "/run/systemd/system"))
    return ["systemctl", "mask", "--runtime", *units] if booted and units else []


def mask_units(root: str = "/") -> None:
    """Mask them. Raises Refused (UNITS_NOT_MASKED) when one that is enabled is still free to start."""
    command = mask_command(root)
    words = ""
    if command:
        done = system.run(command, DEADLINE)
        words = "" if done.rc == 0 else f" ({done.words})"
    left = touching.zfs_units(root)
    if left:
        raise refused("UNITS_NOT_MASKED", units=", ".join(left) + words)


def load_module() -> None:
    """Load ZFS. Raises Unavailable when it does not come."""
    system.run(["modprobe", "zfs"], DEADLINE).check(
        "the ZFS module cannot be loaded", hint="dmesg says why; Secure Boot refuses unsigned ones"
    )


def inhibit_zvols(root: str = "/") -> None:
    """Let no zvol get a device node. Recorded once; a module without the parameter (there is none such since 0.8) is left as it is."""
    before = system.read_text(INHIBIT, root)
    if before is None:
        return
    place = paths.run("pools", _RECORD)
    if not os.path.exists(place):
        os.makedirs(os.path.dirname(place), mode=0o700, exist_ok=True)
        system.replace_file(place, before.encode("ascii"), 0o600)
    _write(system.under(root, INHIBIT), "1")


def put_back(root: str = "/") -> None:
    """Put the parameter back when no pool of ours is left."""
    place = paths.run("pools", _RECORD)
    before = system.read_text(place)
    if before is None or imported.records():
        return
    with contextlib.suppress(OSError):
        _write(system.under(root, INHIBIT), before)
    os.unlink(place)


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write(text)
