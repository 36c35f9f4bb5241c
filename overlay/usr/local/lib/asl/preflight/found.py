# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pools of a survey, as decide wants them: beside what their labels say, what this machine says of their disks."""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Optional

from asl import system
from asl.config import Config
from asl.preflight.pools import PoolFact
from asl.preflight.touching import Imported, imported_pools
from asl.survey.liveness import Wait, moving
from asl.survey.zpools import hostid

_FEATURES = "/sys/module/zfs/features.pool"


def probe(surveyed: Mapping[str, Any], *, root: str = "/", wait: Wait = time.sleep) -> set[str]:
    """The GUIDs of the pools that another system is writing right now; waits when there are pools that could be (see liveness)."""
    ours = {each.guid for each in imported_pools(system.mounts(root), root)}
    return moving([pool for pool in surveyed["pools"] if pool["guid"] not in ours], wait=wait)


def pool_facts(surveyed: Mapping[str, Any], config: Optional[Config], *, root: str = "/", written: Collection[str] = ()) -> list[PoolFact]:
    """A fact for each of the ``pools`` of a survey (asl.survey.survey). Reads /proc and /sys only.

    ``written`` are the GUIDs of those that another system writes, as probe() found them.
    """
    usable = config or Config()
    devices, mounts = system.block_devices(root), system.mounts(root)
    imported = {each.guid: each for each in imported_pools(mounts, root) if each.guid}
    disks = {pool["guid"]: _disks(pool, devices) for pool in surveyed["pools"]}
    backends = [pool["guid"] for pool in surveyed["pools"] if pool["guid"] in usable.local_approved or pool["name"] == usable.local_pool]
    known = _known_features(root)
    silent = any(disk["error"] for disk in surveyed["disks"])
    hostless = hostid(root) == 0
    return [
        PoolFact(
            guid=pool["guid"],
            name=pool["name"],
            state=pool["state"],
            top_level=pool["top_level"],
            top_level_seen=_usable(pool),
            timed_out=silent and bool({"INCOMPLETE", "DEGRADED"}.intersection(pool["hazards"])),
            duplicate="DUPLICATE_GUID" in pool["hazards"],
            on_source=_on_source(pool, disks[pool["guid"]], surveyed["disks"], devices),
            shares_backend_disk=any(guid != pool["guid"] and disks[guid] & disks[pool["guid"]] for guid in backends),
            degraded=bool({"DEGRADED", "MISSING_LOG"}.intersection(pool["hazards"])),
            live_writer=pool["guid"] in written,
            foreign="FOREIGN_HOST" in pool["hazards"],
            mmp_refuses=pool["multihost"] and hostless,
            unsupported_read=tuple(sorted(set(pool["features_for_read"]) - known)) if known else (),
            **_mounting(pool, imported.get(pool["guid"]), mounts, usable),
        )
        for pool in surveyed["pools"]
    ]


def _usable(pool: Mapping[str, Any]) -> int:
    """How many top-level vdevs were seen; one that has lost too many of its devices does not count."""
    seen: int = pool["top_level_seen"]
    return min(seen, pool["top_level"] - 1) if "INCOMPLETE" in pool["hazards"] else seen


def _disks(pool: Mapping[str, Any], devices: Sequence[system.BlockDevice]) -> set[str]:
    """The names of the disks at the bottom of a pool's members."""
    paths = {member["path"] for member in pool["members"]}
    return {disk for device in devices if device.path in paths for disk in system.base_disks(device.name, devices)}


def _on_source(
    pool: Mapping[str, Any], disks: Collection[str], surveyed: Sequence[Mapping[str, Any]], devices: Sequence[system.BlockDevice]
) -> bool:
    """Whether a disk of the pool carries anything but the pool: that is what somebody may have come to rescue."""
    mine = {member["path"] for member in pool["members"]}
    for disk in surveyed:
        below = {name for device in devices if device.path == disk["device"] for name in system.base_disks(device.name, devices)}
        if not below.intersection(disks):
            continue
        volumes = [(disk["device"], disk["volume"]), *((part["device"], part["volume"]) for part in disk["partitions"])]
        if any(volume is not None and path not in mine for path, volume in volumes):
            return True
    return False


def _known_features(root: str) -> set[str]:
    """What the loaded module can read; empty where none is loaded."""
    names = system.listing(_FEATURES, root)
    found = (system.read_text(f"{_FEATURES}/{name}/guid", root) for name in names)
    return {guid.strip() for guid in found if guid}


def _mounting(pool: Mapping[str, Any], imported: Optional[Imported], mounts: Sequence[system.Mount], config: Config) -> dict[str, Any]:
    """How the pool is imported, where its dataset is mounted, and whether something else sits at local.mount."""
    dataset = f"{imported.name if imported else pool['name']}/{config.local_dataset}"
    mine = [each for each in mounts if imported and each.fstype == "zfs" and each.source == dataset]
    here = [each for each in mounts if each.mount_point == os.path.normpath(config.local_mount)]
    return {
        "imported": None if imported is None else "rw" if imported.writable else "ro",
        "mounted_at": mine[-1].mount_point if mine else None,
        "mountpoint_taken": bool(here) and not (mine and here[-1] == mine[-1]),
    }
