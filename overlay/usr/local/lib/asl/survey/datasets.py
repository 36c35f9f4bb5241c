# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pools that are imported, and what could be taken of them. Asks zpool and zfs, so only where the module is in already."""

from __future__ import annotations

from typing import Any, Optional

from asl.errors import Unavailable
from asl.survey.pools import Pool
from asl.zfs import ask


def datasets(pool: Pool, names: dict[str, str]) -> Optional[dict[str, Any]]:
    """POOL as it is imported: `name`, `read_only`, `datasets`, `error`; None where its GUID is not in NAMES, which leads to the names of
    imported pools. A dataset is `name`, `type`, `used`, `locked`, and `sources`: what `asl-intake run` takes, the best first."""
    name = names.get(pool.guid)
    if name is None:
        return None
    # A pool that is imported under another name goes on being called what its machine called it, where that is clear.
    called = name if name == pool.name else pool.guid if "DUPLICATE_NAME" in pool.hazards or pool.name in names.values() else pool.name
    try:
        read_only = ask.pool(name)["readonly"].value == "on"
        found = [dataset(each, called + each["name"][len(name) :], read_only) for each in ask.datasets(name)]
    except (Unavailable, KeyError) as error:
        return {"name": name, "read_only": None, "datasets": [], "error": str(error)}
    return {"name": name, "read_only": read_only, "datasets": found, "error": None}


def names() -> dict[str, str]:
    """GUID (decimal) → name of the pools that are imported; none where ZFS does not answer."""
    try:
        return {str(guid): name for name, guid in ask.pools().items()}
    except Unavailable:
        return {}


def dataset(found: dict[str, str], called: str, read_only: bool) -> dict[str, Any]:
    """One dataset as `survey --json` has it, CALLED so in its sources."""
    locked = found["keystatus"] == "unavailable"
    still = found["type"] == "snapshot" or read_only
    files = still and not locked and found["volsize"] == "-"
    takes = [*([f"fs:zfs:{called}"] if files else []), *([f"zfs:{called}"] if still else [])]
    return {"name": found["name"], "type": found["type"], "used": int(found["used"]), "locked": locked, "sources": takes}
