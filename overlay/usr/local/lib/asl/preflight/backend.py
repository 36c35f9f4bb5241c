# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which pool could be the backend, and what speaks against it. Pure; decide.py makes the mode from it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Optional

from asl.config import Config
from asl.preflight.codes import finding
from asl.preflight.pools import PoolFact
from asl.preflight.zfs import Capability


class Backend(NamedTuple):
    """The pool that was chosen to look at, and the first cause against it. No blocker and a candidate: it is eligible."""

    candidate: Optional[PoolFact]
    blocker: Optional[str]
    ready: bool
    findings: tuple[dict[str, str], ...]

    @property
    def eligible(self) -> bool:
        """Whether it could be imported."""
        return self.candidate is not None and self.blocker is None


def choose(pools: Sequence[PoolFact], zfs: Capability, config: Config) -> Backend:
    """The backend among the pools: one approved by GUID (in the order of local.approved), else one by the name local.pool."""
    by_guid = {pool.guid: pool for pool in pools}
    approved = [by_guid[guid] for guid in config.local_approved if guid in by_guid]
    named = sorted((pool for pool in pools if pool.name == config.local_pool), key=lambda pool: pool.guid)
    considered = approved or named
    if not considered:
        return Backend(None, None, False, ())
    against = {pool.guid: _against(pool, named, zfs, config) for pool in considered}
    ready = next((pool for pool in approved if pool.imported == "rw" and pool.mounted_at == config.local_mount), None)
    if ready is not None:
        return Backend(ready, None, True, ())
    chosen = next((pool for pool in considered if against[pool.guid] is None), considered[0])
    blocker = against[chosen.guid]
    findings = []
    for pool in considered:  # APPROVAL_REQUIRED lists every candidate; the others say what is wrong with each
        code = against[pool.guid]
        if code is not None and (blocker is not None or pool is chosen):
            findings.append(_say(code, pool, named, zfs, config))
    return Backend(chosen, blocker, False, tuple({each["text"]: each for each in findings}.values()))


def judge(pool: PoolFact, pools: Sequence[PoolFact], zfs: Capability, config: Config) -> Optional[dict[str, str]]:
    """What speaks against importing this pool as the backend, as a finding; None when nothing does."""
    named = [each for each in pools if each.name == pool.name]
    code = _against(pool, named, zfs, config)
    return None if code is None else _say(code, pool, named, zfs, config)


def live_writers(pools: Sequence[PoolFact], chosen: Backend) -> list[dict[str, str]]:
    """B4: the backend itself, or a pool on its disks, is being written by somebody else."""
    guilty = [pool for pool in pools if pool.live_writer and (pool.shares_backend_disk or pool == chosen.candidate)]
    return [finding("LIVE_WRITER", name=pool.name, guid=pool.guid) for pool in guilty]


def written_elsewhere(pools: Sequence[PoolFact], chosen: Backend) -> list[PoolFact]:
    """The other pools that somebody else writes: no obstacle for an intake of something else, but they cannot be taken."""
    return [pool for pool in pools if pool.live_writer and not pool.shares_backend_disk and pool != chosen.candidate]


def _against(pool: PoolFact, named: Sequence[PoolFact], zfs: Capability, config: Config) -> Optional[str]:
    """The first cause against a pool, or None. What no approval could cure comes first."""
    approved = pool.guid in config.local_approved
    causes = (
        (pool.on_source, "BACKEND_ON_SOURCE"),
        (pool.duplicate, "DUPLICATE_GUID"),
        (not approved and len(named) > 1 and config.mode != "local", "AMBIGUOUS_NAME"),
        (not pool.complete, "BACKEND_INCOMPLETE"),
        (not zfs.usable, f"ZFS_UNUSABLE_{zfs.status.upper()}"),
        (not approved, "APPROVAL_REQUIRED"),
        (pool.state == "destroyed", "BACKEND_DESTROYED"),
        (bool(pool.unsupported_read or pool.unsupported_write), "BACKEND_FEATURES"),
        (pool.multihost_active, "MMP_ACTIVE"),
        (pool.mmp_refuses, "MMP_RULE"),
        (pool.foreign, "BACKEND_FOREIGN"),
        (pool.degraded, "BACKEND_DEGRADED"),
        (pool.mountpoint_taken, "MOUNTPOINT_TAKEN"),
    )
    return next((code for applies, code in causes if applies), None)


def _say(code: str, pool: PoolFact, named: Sequence[PoolFact], zfs: Capability, config: Config) -> dict[str, str]:
    fields: dict[str, Any] = {
        "name": pool.name,
        "guid": pool.guid,
        "guids": ", ".join(each.guid for each in named),
        "seen": pool.top_level_seen,
        "all": pool.top_level,
        "features": ", ".join(sorted({*pool.unsupported_read, *pool.unsupported_write})),
        "path": config.local_mount,
        "dataset": config.local_dataset,
        "tool": zfs.tool,
        "module": zfs.module,
        "tools": zfs.tools,
    }
    return finding(code, **fields)
