# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who uses a device: mounts, swap, md, dm; and what sysfs knows of its health."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Optional

from asl import system

_KINDS = (("loop", "loop"), ("md", "md"), ("dm-", "dm"), ("sr", "rom"), ("zd", "zvol"), ("nbd", "nbd"))


class Use:
    """The machine's mounts, swaps and devices, looked at once."""

    def __init__(self, mounts: Sequence[system.Mount], devices: Sequence[system.BlockDevice], root: str = "/") -> None:
        self._mounts = mounts
        self._devices = devices
        self._root = root
        lines = (system.read_text("/proc/swaps", root) or "").splitlines()[1:]
        self._swaps = {os.path.realpath(system.unescape(line.split()[0])) for line in lines if line.split()}

    def device(self, path: str) -> Optional[system.BlockDevice]:
        """The block device of a node; None for an image file."""
        by_path = next((each for each in self._devices if each.path == path), None)
        return by_path or system.device_of(path, self._devices)

    def partition(self, disk: Optional[system.BlockDevice], start: int) -> Optional[system.BlockDevice]:
        """The kernel's partition that begins at this byte of the disk."""
        if disk is None:
            return None
        return next((each for each in self._devices if each.parent == disk.name and each.start == start), None)

    def of(self, device: Optional[system.BlockDevice], path: str) -> dict[str, Any]:
        """``mounted`` (mount points), ``held_by`` (device nodes) and ``unsafe`` (sentences)."""
        if device is None:
            return self._of_image(path)
        mounts = [each for each in self._mounts if each.devno == device.devno or os.path.realpath(each.source) == device.path]
        holders = [each for each in self._devices if each.name in device.holders]
        # The mount that shows all of it, where there is one: a container has single files of its host's disk mounted.
        points = sorted({each.mount_point for each in mounts})
        unsafe = [f"is mounted writable at {each}" for each in sorted({each.mount_point for each in mounts if each.writable})[:1]]
        unsafe += ["is in use as swap"] if device.path in self._swaps else []
        unsafe += [f"is held by {each.path} and may be written through it" for each in holders if not each.read_only]
        return {"mounted": points, "held_by": [each.path for each in holders], "unsafe": unsafe}

    def _of_image(self, path: str) -> dict[str, Any]:
        loops = [each for each in self._devices if each.backing_file == path]
        unsafe = [f"is attached writable as {each.path}" for each in loops if not each.read_only]
        return {"mounted": [], "held_by": [each.path for each in loops], "unsafe": unsafe}

    def kind(self, device: Optional[system.BlockDevice]) -> str:
        """disk, partition, loop, md, dm, rom, zvol, nbd or image."""
        if device is None:
            return "image"
        if device.parent is not None:
            return "partition"
        return next((kind for prefix, kind in _KINDS if device.name.startswith(prefix)), "disk")

    def health(self, device: Optional[system.BlockDevice]) -> Optional[dict[str, Any]]:
        """What SCSI and NVMe disks count in sysfs (``state``, ``io_errors``, ``io_timeouts``); None where nothing is counted."""
        if device is None:
            return None
        folder = f"/sys/block/{device.parent or device.name}/device"
        state = system.read_text(f"{folder}/state", self._root)
        counts = {name: self._count(f"{folder}/{file}") for name, file in (("io_errors", "ioerr_cnt"), ("io_timeouts", "iotmo_cnt"))}
        found = {name: value for name, value in (("state", state), *counts.items()) if value is not None}
        return found or None

    def _count(self, path: str) -> Optional[int]:
        try:
            return int(system.read_text(path, self._root) or "", 16)  # the kernel prints 0x2a
        except ValueError:
            return None
