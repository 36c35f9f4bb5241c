# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who already touches disks: writable mounts, swap, md, dm, imported pools, and services that would start to.

In a container /proc/swaps, /proc/mdstat and /sys/block show the host's devices, and files of the host are mounted in by ones and
twos: there only whole file systems that were mounted into the container count.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Optional

from asl import imported, system

LIVE_MEDIUM = (
    "/run/live",
    "/lib/live/mount",
    "/usr/lib/live/mount",
    "/live",
    "/run/archiso",
    "/run/initramfs/live",
    "/run/casper",
    "/cdrom",
    "/isodevice",
    "/run/finnix",
)
ZFS_UNITS = (
    "zfs-import-scan.service",
    "zfs-import-cache.service",
    "zfs-import.service",  # what systemd makes of /etc/init.d/zfs-import
    "zfs-mount.service",
    "zfs-share.service",
    "zfs-volume-wait.service",
    "zfs-zed.service",  # may put spares and disks into pools
)
DISK_DAEMONS = ("udisksd", "multipathd", "zed", "mdadm", "dmeventd", "smartd")
AUTOMOUNTERS = ("udisksd", "gvfs-udisks2-volume-monitor")


@dataclass(frozen=True)
class WritableMount:
    """A file system of a block device that may be written. ``device`` is its node, ``disks`` the disks at its bottom."""

    mount_point: str
    device: str
    fstype: str
    disks: tuple[str, ...]


@dataclass(frozen=True)
class Array:
    """A running md array."""

    name: str
    state: str  # active | auto-read-only | read-only | inactive
    members: tuple[str, ...]
    action: Optional[str]  # resync | recovery | reshape | check


@dataclass(frozen=True)
class Mapped:
    """A device-mapper device; ``kind`` is LVM, CRYPT, mpath … as its uuid begins."""

    name: str
    kind: str
    read_only: bool
    disks: tuple[str, ...]


@dataclass(frozen=True)
class Imported:
    """An imported ZFS pool; ``writable`` is None where the kernel does not show it. ``taken``: we imported it, to read it."""

    name: str
    guid: Optional[str]
    state: str
    writable: Optional[bool]
    mounted_at: tuple[str, ...]
    taken: bool = False


def writable_mounts(
    all_mounts: Sequence[system.Mount], devices: Sequence[system.BlockDevice], *, in_container: bool, spared: Iterable[str] = ()
) -> list[WritableMount]:
    """Mounts of block devices that the kernel may write, without the live medium and without the mount points in ``spared``.

    Every mount of a disk that holds the live medium is the medium too: a USB stick with a partition for persistence.
    """
    by_devno = {device.devno: device for device in devices}
    by_path = {device.path: device for device in devices}
    medium = {
        disk
        for mount in all_mounts
        if mount.mount_point.startswith(tuple(f"{each}/" for each in LIVE_MEDIUM)) or mount.mount_point in LIVE_MEDIUM
        for disk in _disks_of(by_devno.get(mount.devno) or by_path.get(mount.source), devices)
    }
    exempt = set(spared)
    found: dict[tuple[str, str], WritableMount] = {}
    for mount in all_mounts:
        # btrfs and bcachefs give anonymous device numbers; there the source names the device.
        device = by_devno.get(mount.devno) or by_path.get(_real(mount.source))
        if device is None or not mount.writable or mount.mount_point in exempt or (in_container and mount.root != "/"):
            continue
        disks = _disks_of(device, devices)
        if disks and medium.intersection(disks):
            continue
        found.setdefault((device.path, mount.mount_point), WritableMount(mount.mount_point, device.path, mount.fstype, disks))
    return [found[key] for key in sorted(found)]


def _disks_of(device: Optional[system.BlockDevice], devices: Sequence[system.BlockDevice]) -> tuple[str, ...]:
    return tuple(sorted(system.base_disks(device.name, devices))) if device else ()


def _real(source: str) -> str:
    return os.path.realpath(source) if source.startswith("/dev/") else source


def swaps(root: str = "/") -> list[str]:
    """Swap areas on disks, as /proc/swaps names them; compressed RAM (zram) is none."""
    lines = (system.read_text("/proc/swaps", root) or "").splitlines()[1:]
    names = [system.unescape(line.split()[0]) for line in lines if line.split()]
    return sorted(name for name in names if not os.path.basename(name).startswith("zram"))


def arrays(root: str = "/") -> list[Array]:
    """The arrays in /proc/mdstat."""
    found = []
    for block in re.split(r"\n(?=md)", "\n" + (system.read_text("/proc/mdstat", root) or "")):
        head = re.match(r"(md\S*) : (active|inactive)(?: \((auto-read-only|read-only)\))?(.*)", block)
        if head:
            members = re.findall(r"([^\s\[]+)\[\d+\]", head[4])
            action = re.search(r"(resync|recovery|reshape|check)\s*=\s*\d", block)
            found.append(Array(head[1], head[3] or head[2], tuple(sorted(members)), action[1] if action else None))
    return found


def mapped(devices: Sequence[system.BlockDevice], root: str = "/") -> list[Mapped]:
    """The device-mapper devices in sysfs."""
    found = []
    for device in devices:
        name = system.read_text(f"/sys/block/{device.name}/dm/name", root)
        if name is not None:
            uuid = system.read_text(f"/sys/block/{device.name}/dm/uuid", root) or ""
            found.append(Mapped(name, uuid.partition("-")[0] or "other", device.read_only, _disks_of(device, devices)))
    return found


def imported_pools(all_mounts: Sequence[system.Mount], root: str = "/") -> list[Imported]:
    """The pools in /proc/spl/kstat/zfs. A pool whose txgs advance has a sync thread, so it is imported writable."""
    found = []
    for name in system.listing("/proc/spl/kstat/zfs", root):
        folder = f"/proc/spl/kstat/zfs/{name}"
        if not os.path.isdir(system.under(root, folder)):
            continue
        mine = [each for each in all_mounts if each.fstype == "zfs" and each.source.partition("/")[0] == name]
        txgs = (system.read_text(f"{folder}/txgs", root) or "").splitlines()[2:]  # after the kstat's head and the column names
        writable = True if txgs or any(each.writable for each in mine) else None
        guid = (system.read_text(f"{folder}/guid", root) or "").strip() or None
        state = (system.read_text(f"{folder}/state", root) or "").strip()
        taken = any(record.role == imported.SOURCE for record in imported.find(name))
        found.append(Imported(name, guid, state, writable, tuple(sorted(each.mount_point for each in mine)), taken))
    return found


def zfs_units(root: str = "/") -> list[str]:
    """Units that import or mount pools by themselves and are enabled and not masked."""
    found: set[str] = set()
    for base in ("/etc/systemd/system", "/run/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"):
        for folder in system.listing(base, root):
            if folder.endswith((".wants", ".requires")):
                found.update(name for name in system.listing(f"{base}/{folder}", root) if name in ZFS_UNITS)
    return sorted(unit for unit in found if not masked(unit, root))


def masked(unit: str, root: str = "/") -> bool:
    """Whether a unit is masked, for good or until the next boot."""
    for base in ("/etc/systemd/system", "/run/systemd/system"):
        path = system.under(root, f"{base}/{unit}")
        if os.path.islink(path) and os.readlink(path) == "/dev/null":
            return True
    return False


def daemons(root: str = "/") -> list[str]:
    """Running programs that mount, assemble or repair disks by themselves."""
    names = {system.read_text(f"/proc/{pid}/comm", root) for pid in system.listing("/proc", root) if pid.isdigit()}
    # The kernel cuts a name to 15 characters.
    return sorted(name for name in {*DISK_DAEMONS, *AUTOMOUNTERS} if name[:15] in names)
