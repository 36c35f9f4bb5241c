# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`fs:/dev/sda2`: the files of an unmounted filesystem on a device or in an image file, without a byte written to it.

The device is set read-only, then mounted `ro`: a clean filesystem mounts, a dirty one cannot replay its journal and fails. It
is then mounted with the option that leaves the journal alone, and the view says so: what only the journal had is not seen. A
journal that lies on another device is always left alone, for replaying it would write there.
"""

from __future__ import annotations

import os
import stat
import zlib
from collections.abc import Sequence
from typing import Any

from asl import system
from asl.errors import Refused, Unavailable, Usage
from asl.sources import btrfs, several
from asl.sources.device import check_device_path, identity
from asl.sources.guard import DEADLINE, Guard
from asl.sources.mounted import MountedTree

NOT_REPLAYED = "journal not replayed"
# A mount reads the whole journal and, on some filesystems, every group: on a sick disk that takes minutes.
MOUNT_DEADLINE = 900.0
COMMON = "ro,nodev,nosuid,noexec"
# What else each type needs. xfs refuses a clone while the original is in sight, unless told not to compare UUIDs. An ext4 may say of
# itself that the kernel shall panic when it finds damage, and the kernel does so for one that is mounted read-only too.
ALWAYS = {"xfs": "nouuid", "ext4": "errors=continue", "ext3": "errors=continue", "ext2": "errors=continue"}
# The option that leaves the journal alone (mount(8), ext4(5), xfs(5), btrfs(5), the kernel's filesystems documentation).
NO_REPLAY = {
    "ext3": "noload", "ext4": "noload", "xfs": "norecovery", "btrfs": "rescue=nologreplay", "f2fs": "norecovery", "reiserfs": "nolog",
    "bcachefs": "nochanges,norecovery", "ntfs-3g": "norecover",
}  # fmt: skip
LEAVES_JOURNAL = {option for options in NO_REPLAY.values() for option in options.split(",")} | {"nologreplay"}
# One name for blkid, several drivers.
DRIVERS = {"ntfs": ("ntfs3", "ntfs-3g"), "ext3": ("ext4", "ext3"), "ext2": ("ext4", "ext2")}
# What blkid finds that is no filesystem, and what to do about it.
NOT_MOUNTABLE = {
    "LVM2_member": "activate the volume group read-only and give the volume as fs:/dev/mapper/NAME",
    "linux_raid_member": "assemble the array with mdadm --readonly and give it as fs:/dev/mdN",
    "crypto_LUKS": "fs:luks:/dev/NAME opens it read-only, with a key file in /run/asl/keys",
    "BitLocker": "open it with cryptsetup bitlkOpen --readonly and give it as fs:/dev/mapper/NAME",
    "zfs_member": "import the pool read-only (asl-admin pool import) and give a dataset as zfs:pool/dataset",
    "swap": "there are no files in swap space; device: reads all of it",
}


class FilesystemSource(MountedTree):
    """The tree of a filesystem that this source mounts and unmounts itself."""

    def __init__(self, spec: str, path: str, exclude: Sequence[str] = ()) -> None:
        self.device = os.path.realpath(path)
        super().__init__(spec, f"{os.path.basename(self.device)}-{zlib.crc32(os.fsencode(self.device)):08x}", exclude)
        self._details: dict[str, Any] = {}
        self._journal_elsewhere = False

    def _check(self) -> None:
        """Raise Refused when something else has it mounted writable."""
        check_unused(self.device, self.mount_point)

    def details(self) -> dict[str, Any]:
        """Type, UUID and label of the filesystem, how it was mounted, and what is known of the device."""
        view = {} if self.view is None else {"view": self.view}
        return {**self._details, **view, **identity(self.device)}

    def _device(self, guard: Guard) -> str:
        """What is to be mounted, set read-only."""
        if stat.S_ISREG(os.stat(self.device).st_mode):
            return guard.attach(self.device)
        guard.protect(self.device)
        return self.device

    def _probe(self, device: str) -> dict[str, str]:
        """TYPE of the filesystem on DEVICE, and UUID and LABEL where it has them."""
        return probe(device, self.spec)

    def _mount(self, guard: Guard) -> None:
        device = self._device(guard)
        probed = self._probe(device)
        kind = probed["TYPE"]
        more = self._beside(kind, device, guard)
        os.makedirs(self.mount_point, mode=0o700, exist_ok=True)
        options = self._try(kind, device, more)
        told = {"filesystem": kind, "uuid": probed.get("UUID"), "label": probed.get("LABEL"), "options": options}
        self._details.update({key: value for key, value in told.items() if value})

    def _beside(self, kind: str, device: str, guard: Guard) -> list[str]:
        """Set read-only whatever else the kernel may open with DEVICE; returns the options that name it. Raises Refused, Unavailable."""
        self._journal_elsewhere = several.check(self.spec, kind, several.reader(device)) is not None
        own = btrfs.superblock(device) if kind == "btrfs" else None
        if kind == "btrfs" and own is None:
            raise Unavailable(f"{self.spec}: the superblock of its btrfs cannot be read", reason="MOUNT_FAILED")
        others = btrfs.others(own.fsid, device) if own else []
        for other in others:
            try:
                check_unused(other, self.mount_point)
            except Refused as error:
                what = f"{self.spec} would be put together with {other}, a btrfs of the same UUID, but {error.message}"
                raise Refused(what, reason=error.reason, hint=error.hint) from error
            guard.protect(other)
        return [f"device={other}" for other in others] if own and own.devices > 1 else []

    def _try(self, kind: str, device: str, more: Sequence[str]) -> str:
        """Mount it the best way that works; returns the options."""
        words = []
        for driver in DRIVERS.get(kind, (kind,)):
            plain = ",".join([COMMON, *more, *([ALWAYS[driver]] if driver in ALWAYS else [])])
            without = f"{plain},{NO_REPLAY.get(driver)}"
            attempts = [without] if self._journal_elsewhere else [plain, without] if driver in NO_REPLAY else [plain]
            for options in attempts:
                done = system.run(["mount", "-t", driver, "-o", options, device, self.mount_point], MOUNT_DEADLINE)
                if done.rc == 0 and not done.timed_out:
                    self._label(options)
                    return options
                words.append(f"{driver}: {done.words}")
        raise Unavailable(
            f"{self.spec} ({kind}) cannot be mounted: {'; '.join(dict.fromkeys(words))}", reason="MOUNT_FAILED",
            hint=f"device:{self.device} reads every byte without mounting",
        )  # fmt: skip

    def _label(self, options: str) -> None:
        """Say so when the journal was left alone: by OPTIONS, or by whoever has it mounted read-only already and gave it that option."""
        seen = [mount for mount in system.mounts() if mount.mount_point == self.mount_point]
        used = {*options.split(","), *(seen[-1].super_options if seen else ())}
        if used & LEAVES_JOURNAL:
            self.view = NOT_REPLAYED
            so = "has its journal on another device, which is left alone" if self._journal_elsewhere else "was not unmounted cleanly"
            self.notes.append(f"{self.spec} {so}: what only its journal holds is not seen")


def probe(device: str, spec: str) -> dict[str, str]:
    """What blkid finds on DEVICE; TYPE is a filesystem. Raises Unavailable or Usage, saying what to do."""
    done = system.run(["blkid", "-p", "-o", "export", device], DEADLINE)
    found = dict(line.split("=", 1) for line in done.stdout.decode("utf-8", "replace").splitlines() if "=" in line)
    kind = found.get("TYPE", "")
    if found.get("PTTYPE") and not kind:
        hint = "give one partition (asl-intake survey lists them), or read all of it as device:"
        raise Usage(f"{spec} holds a partition table, not a filesystem", reason="NOT_A_FILESYSTEM", hint=hint)
    if kind in NOT_MOUNTABLE:
        raise Usage(f"{spec} holds {kind}, not a filesystem", reason="NOT_A_FILESYSTEM", hint=NOT_MOUNTABLE[kind])
    if not kind:
        said = "" if done.rc in (0, 2) else f" ({done.words})"
        hint = "device: reads every byte without mounting"
        raise Unavailable(f"no filesystem is found on {spec}{said}", reason="NO_FILESYSTEM", hint=hint)
    return found


def check_unused(device: str, own_mount: str) -> None:
    """Raise Refused when DEVICE (or a loop device over this image) is mounted writable, or lies below another device."""
    devices = system.block_devices()
    same = [each for each in devices if device in (each.path, each.backing_file)]
    numbers, nodes = {each.devno for each in same}, {each.path for each in same}
    for mount in system.mounts():
        if mount.mount_point != own_mount and mount.writable and (mount.devno in numbers or os.path.realpath(mount.source) in nodes):
            hint = f"unmount it first: umount {mount.mount_point}"
            raise Refused(f"{device} is mounted read-write at {mount.mount_point}", reason="SOURCE_MOUNTED_RW", hint=hint)
    for each in same:
        if each.holders:
            holder = each.holders[0]
            hint = f"give what lies on it: fs:/dev/{holder}"
            raise Refused(f"{device} is in use by {', '.join(each.holders)}", reason="SOURCE_IN_USE", hint=hint)


def check_fs_path(spec: str, path: str) -> None:
    """Raise Usage unless PATH is a block device or an image file, Unavailable for anybody but root."""
    check_device_path(spec, path)
    if os.geteuid() != 0:
        raise Unavailable(f"{spec} can be mounted by root only", reason="PERMISSION", hint="run this as root")
