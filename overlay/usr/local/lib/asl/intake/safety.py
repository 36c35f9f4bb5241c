# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What may not be read into what: a store never lies on a disk that is read as a source."""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Sequence
from typing import Optional

from asl import ground, system
from asl.errors import Refused, Unavailable
from asl.zfs import ask

# File systems in files of file systems that are followed.
DEEP = 4


def refuse_store_on_source(spec: str, store: str) -> None:
    """Raise Refused when the store's file system lies on the device that SPEC (device:… or fs:…) reads, or on a part of it; or on the
    pool whose dataset it reads (zfs:… or fs:zfs:…)."""
    scheme, _colon, path = spec.partition(":")
    if scheme not in ("device", "fs", "zfs") or "://" in store:
        return
    dataset = ask.mounted_on(store)
    if scheme == "zfs" or path.startswith("zfs:"):
        _refuse_own_pool(spec, path.rpartition("zfs:")[2], store, dataset)
        return
    try:
        found = os.stat(path[len("luks:") :] if path.startswith("luks:") else path)
        below = _below(os.path.realpath(store), system.mounts())
    except OSError:
        return  # the source says itself what is wrong with it, and so does the store
    if stat.S_ISBLK(found.st_mode) and _disk(found.st_rdev) & below:
        raise Refused(
            f"{spec}: the store at {store} lies on that very disk",
            reason="STORE_ON_SOURCE",
            hint="name a store on another disk: reading a crashed disk into itself would write to it",
        )


def _refuse_own_pool(spec: str, name: str, store: str, dataset: Optional[str]) -> None:
    pool = re.split("[/@]", dataset or "")[0]
    if pool and re.split("[/@]", name)[0] == pool:
        hint = "name a store on another pool"
        raise Refused(f"{spec}: the store at {store} lies on that very pool", reason="STORE_ON_SOURCE", hint=hint)


def _below(path: str, mounts: Sequence[system.Mount], deep: int = DEEP) -> set[int]:
    """The device numbers of all that PATH lies on. Raises OSError where it is not there."""
    found = _disk(os.stat(path).st_dev)
    mount = system.mount_at(path, mounts)
    if mount is not None and mount.fstype == "zfs":
        # A dataset lies on no device that stat() would name, but on those of its pool.
        return _members(mount.source)
    further = ground.sources(mount) if mount is not None else []
    for number in found:
        image = system.read_text(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}/loop/backing_file")
        further += [image.rstrip("\n")] if image else []
    for each in further:
        with contextlib.suppress(OSError):  # an overlay may name a folder that only its maker sees
            status = os.stat(each)
            if stat.S_ISBLK(status.st_mode):
                found |= _disk(status.st_rdev)
            elif deep:
                found |= _below(os.path.realpath(each), mounts, deep - 1)
    return found


def _members(dataset: str) -> set[int]:
    """The devices below the pool of DATASET, and the disks these are partitions of. A pool that does not say is no reason to refuse."""
    try:
        nodes = ask.members(dataset.partition("/")[0])
    except Unavailable:
        return set()
    found: set[int] = set()
    for node in nodes:
        status = os.stat(node) if os.path.exists(node) else None
        if status is not None and stat.S_ISBLK(status.st_mode):
            found |= _disk(status.st_rdev)
    return found


def _disk(device: int) -> set[int]:
    """DEVICE, the disk it is a partition of, and what both rest upon (dm, md), as device numbers."""
    found, todo = set(), [device]
    while todo:
        number = todo.pop()
        if number in found:
            continue
        found.add(number)
        folder = os.path.realpath(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}")
        below = [os.path.dirname(folder)] if os.path.exists(os.path.join(folder, "partition")) else []
        slaves = os.path.join(folder, "slaves")
        if os.path.isdir(slaves):
            below += [os.path.join(slaves, name) for name in os.listdir(slaves)]
        for each in below:
            try:
                with open(os.path.join(each, "dev"), encoding="ascii") as file:
                    major, minor = file.read().strip().split(":")
            except OSError:
                continue
            todo.append(os.makedev(int(major), int(minor)))
    return found
