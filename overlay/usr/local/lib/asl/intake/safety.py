# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What may not be read into what: a store never lies on a disk that is read as a source."""

from __future__ import annotations

import os
import stat

from asl.errors import Refused


def refuse_store_on_source(spec: str, store: str) -> None:
    """Raise Refused when the store's file system lies on the device that SPEC (device:… or fs:…) reads, or on a part of it."""
    scheme, _, path = spec.partition(":")
    if scheme not in ("device", "fs") or "://" in store:
        return
    try:
        found = os.stat(path)
        home = os.stat(store).st_dev
    except OSError:
        return  # the source says itself what is wrong with it, and so does the store
    if stat.S_ISBLK(found.st_mode) and _disk(found.st_rdev) & _disk(home):
        raise Refused(
            f"{spec}: the store at {store} lies on that very disk",
            reason="STORE_ON_SOURCE",
            hint="name a store on another disk: reading a crashed disk into itself would write to it",
        )


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
