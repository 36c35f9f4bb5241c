# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Questions to the tools of ZFS. They are only put when the kernel module is in: every zfs and zpool command would load it."""

from __future__ import annotations

import os
from typing import NamedTuple, Optional

from asl import system

# A question goes to memory mostly; a pool on a sick disk may still need minutes for the first look at a dataset.
DEADLINE = 300.0
MODULE = "/sys/module/zfs"


class Property(NamedTuple):
    """A value as `zfs get -p` prints it, "-" for none, and where it comes from (local, received, default, inherited from …, -)."""

    value: str
    source: str


Properties = dict[str, Property]


def loaded(root: str = "/") -> bool:
    """Whether the kernel module of ZFS is in. Reads sysfs only."""
    return os.path.isdir(system.under(root, MODULE))


def pools() -> dict[str, int]:
    """The imported pools: name → GUID. None where the module is not loaded. Raises Unavailable."""
    if not loaded():
        return {}
    done = system.run(["zpool", "list", "-Hp", "-o", "name,guid"], DEADLINE).check("the imported pools cannot be listed")
    rows = [line.split("\t") for line in done.stdout.decode("utf-8", "replace").splitlines()]
    return {row[0]: int(row[1]) for row in rows if len(row) == 2}


def pool(name: str) -> Properties:
    """All properties of the imported pool NAME. Raises Unavailable."""
    return _properties(["zpool", "get", "-Hp", "-o", "property,value,source", "all", name], f"the pool {name} does not tell its properties")


def dataset(name: str) -> Properties:
    """All properties of a dataset or snapshot. Raises Unavailable."""
    return _properties(["zfs", "get", "-Hp", "-o", "property,value,source", "all", name], f"{name} does not tell its properties")


def _properties(argv: list[str], what: str) -> Properties:
    done = system.run(argv, DEADLINE).check(what)
    rows = [line.split("\t") for line in done.stdout.decode("utf-8", "surrogateescape").splitlines()]
    return {row[0]: Property("\t".join(row[1:-1]), row[-1]) for row in rows if len(row) >= 3}


def datasets(name: str) -> list[dict[str, str]]:
    """The dataset NAME and all below it, snapshots too: `name`, `type` (filesystem, volume, snapshot), `used` and `referenced` in
    bytes, `keystatus`, `volsize` ("-" for all but volumes and their snapshots). Raises Unavailable."""
    columns = ("name", "type", "used", "referenced", "keystatus", "volsize")
    argv = ["zfs", "list", "-Hp", "-r", "-t", "filesystem,volume,snapshot", "-o", ",".join(columns), "-s", "name", name]
    done = system.run(argv, DEADLINE).check(f"the datasets of {name} cannot be listed")
    rows = [line.split("\t") for line in done.stdout.decode("utf-8", "surrogateescape").splitlines()]
    return [dict(zip(columns, row)) for row in rows if len(row) == len(columns)]


def members(name: str) -> list[str]:
    """The device nodes and files that the imported pool NAME consists of. Raises Unavailable."""
    done = system.run(["zpool", "list", "-vHP", "-o", "name", name], DEADLINE).check(f"the devices of the pool {name} cannot be listed")
    words = [line.strip().split("\t")[0] for line in done.stdout.decode("utf-8", "surrogateescape").splitlines()]
    return [word for word in words if word.startswith("/")]


def mounted_on(path: str) -> Optional[str]:
    """The dataset that PATH lies on; None where it is no file system of ZFS."""
    mount = system.mount_at(os.path.realpath(path), system.mounts())
    return mount.source if mount is not None and mount.fstype == "zfs" else None
