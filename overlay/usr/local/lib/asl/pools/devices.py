# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The block devices below a source pool: set read-only while it is imported, and their labels held as evidence that nobody wrote."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping, Sequence

from asl import imported, system
from asl.errors import AslError, Damaged
from asl.pools.codes import told
from asl.sources.guard import Guard
from asl.survey.direct import digests_of, label_digests

BY_ID = "/dev/disk/by-id"


def guard_of(guid: str) -> Guard:
    """The guard of a pool: one process at a time works on it. Raises Unavailable (SOURCE_BUSY)."""
    return Guard(imported.record_path(guid) + "-devices", f"another import or export of the pool {guid} is running")


def to_protect(members: Sequence[str], root: str = "/") -> list[str]:
    """The members, then the disks below them. A disk of which something else is mounted writable is left out: the members suffice."""
    known = system.block_devices(root)
    mounted = {each.devno for each in system.mounts(root) if each.writable}
    leaves = [path for path in members if _is_block(path)]
    disks: list[str] = []
    for path in leaves:
        device = next((each for each in known if each.path == path), None)
        for name in sorted(system.base_disks(device.name, known)) if device else ():
            used = any(each.devno in mounted for each in known if name in (each.name, each.parent))
            if f"/dev/{name}" not in (*leaves, *disks) and not used:
                disks.append(f"/dev/{name}")
    return leaves + disks


def names_for(members: Sequence[str]) -> list[str]:
    """What `zpool import -d` is given for each member: its link in /dev/disk/by-id where it has one, which says which disk is meant."""
    links: dict[str, str] = {}
    for name in system.listing(BY_ID):
        links.setdefault(os.path.realpath(f"{BY_ID}/{name}"), f"{BY_ID}/{name}")
    return [links.get(path, path) for path in members]


def label_hashes(members: Sequence[str]) -> dict[str, str]:
    """SHA-256 over the four labels of each member that can be read."""
    return digests_of(label_digests(members))


def changed(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """The devices whose labels are not what they were; one that cannot be read any more has not changed."""
    return sorted(path for path, digest in before.items() if path in after and after[path] != digest)


def labels_changed(devices: Sequence[str], names: Mapping[str, str]) -> AslError:
    """Somebody wrote to a source pool while it was ours."""
    text, hint = told("LABELS_CHANGED", devices=", ".join(devices), **names)
    return Damaged(text, reason="LABELS_CHANGED", hint=hint)


def _is_block(path: str) -> bool:
    try:
        return stat.S_ISBLK(os.stat(path).st_mode)
    except OSError:
        return False
