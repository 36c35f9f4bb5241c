# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A snapshot of the dataset that a store lies on, made when a snapshot of the store was sealed, and held.

Its name says which: DATASET@asl-<first 8 digits of the store's id>-<number of the snapshot>. The hold keeps zfs destroy from it,
until somebody says `zfs release asl NAME`. A store only grows, so such a snapshot costs next to nothing.
"""

from __future__ import annotations

from typing import Any, Optional

from asl import system
from asl.errors import AslError, Unavailable
from asl.zfs import ask, core

TAG = "asl"
DEADLINE = 120.0


def name_of(dataset: str, store_id: str, number: int) -> str:
    """The snapshot's full name."""
    return f"{dataset}@asl-{store_id[:8]}-{number}"


def keep(store: str, store_id: str, number: int) -> Optional[dict[str, Any]]:
    """Make and hold the snapshot for NUMBER of the store in the directory STORE; None where that does not lie on ZFS.

    Gives `name`, `held`, `created` (False when it was there), `with` (libzfs_core or zfs), `error`. Never raises: what was sealed
    stays sealed, whatever becomes of this."""
    dataset = ask.mounted_on(store)
    if dataset is None:
        return None
    name = name_of(dataset, store_id, number)
    told: dict[str, Any] = {"name": name, "held": False, "created": False, "with": "libzfs_core", "error": None}
    try:
        created = _with_core(name) if core.present() else None
        if created is None:
            told["with"] = "zfs"
            created = _with_tool(name)
        return {**told, "held": True, "created": created}
    except (AslError, OSError) as error:
        return {**told, "error": str(error)}


def _with_core(name: str) -> Optional[bool]:
    """Whether it was made now; None where libzfs_core cannot be used. Raises Unavailable."""
    done = system.run(core.command("keep", name, TAG), DEADLINE)
    if done.rc == core.UNUSABLE:
        return None
    return done.check(f"{name} could not be made and held").stdout.strip() == b"made"


def _with_tool(name: str) -> bool:
    """As _with_core, by the zfs command, which says that something is there by failing."""
    there = system.run(["zfs", "list", "-H", "-t", "snapshot", "-o", "name", name], DEADLINE).rc == 0
    if not there:
        system.run(["zfs", "snapshot", name], DEADLINE).check(f"{name} could not be made")
    held = system.run(["zfs", "hold", TAG, name], DEADLINE)
    if held.rc != 0 and TAG not in _holds(name):
        raise Unavailable(f"{name} could not be held: {held.words}", reason="COMMAND_FAILED")
    return not there


def _holds(name: str) -> list[str]:
    done = system.run(["zfs", "holds", "-H", name], DEADLINE)
    return [row[1] for row in (line.split("\t") for line in done.stdout.decode("utf-8", "replace").splitlines()) if len(row) > 1]
