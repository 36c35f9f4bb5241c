# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The store at local.mount or remote.mount: is something mounted there, is it an initialised store, can it be written?"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Optional

from asl import ground, system
from asl.deadline import in_child
from asl.preflight.environment import SECONDS, Views, look

MARKER = "meta/asl-store"


@dataclass(frozen=True)
class LocalStore:
    """``ready``: there is a store and it can be written. ``disks`` are the disks below it, ``free`` is bytes."""

    path: str
    mounted: bool  # a file system of its own is mounted there
    initialised: bool
    writable: bool
    fstype: str
    mount_point: str  # of the file system that holds it
    disks: tuple[str, ...] = ()
    shares_disk_with: tuple[str, ...] = ()  # other partitions of these disks
    free: Optional[int] = None
    error: Optional[str] = None

    @property
    def holds(self) -> bool:
        """Whether its file system is meant to be written: a store is there, or may be made there."""
        return self.mounted or self.initialised

    @property
    def ready(self) -> bool:
        """Whether an intake could write here now."""
        return self.initialised and self.writable and self.error is None


def local_store(path: str, views: Views, devices: Sequence[system.BlockDevice], root: str = "/") -> LocalStore:
    """Look at PATH, with a deadline: a hung network mount is a finding, not a hang."""
    answer = in_child(lambda: _look(path), SECONDS)
    there, initialised, sealed, allowed, free = answer.value or (False, False, False, False, None)
    path = os.path.realpath(path) if there else path
    mount = system.mount_at(path, views.own)
    below = _devices(mount, devices, root)
    disks = {disk for each in below for disk in system.base_disks(each.name, devices)}
    own = {name for each in below for name in (each.name, *each.slaves)}
    shared = [each.path for each in devices if each.parent in disks and each.name not in own]
    return LocalStore(
        path=path,
        mounted=bool(there and mount and mount.mount_point == path),
        initialised=initialised,
        writable=views.sealed_for_us_alone(path) if sealed else allowed,
        fstype=mount.fstype if mount else "",
        mount_point=mount.mount_point if mount else "",
        disks=tuple(sorted(disks)),
        shares_disk_with=tuple(shared) if any(each.parent for each in below) else (),
        free=free,
        error=answer.error,
    )


def _devices(mount: Optional[system.Mount], devices: Sequence[system.BlockDevice], root: str) -> list[system.BlockDevice]:
    if mount is None:
        return []
    named = {os.path.realpath(each) if each.startswith("/dev/") else each for each in ground.sources(mount, root)}
    return [each for each in devices if each.devno == mount.devno or each.path in named]


def _look(path: str) -> tuple[bool, bool, bool, bool, Optional[int]]:
    if not os.path.isdir(path):
        return False, False, False, False, None
    return (True, os.path.isfile(os.path.join(path, MARKER)), *look(path))
