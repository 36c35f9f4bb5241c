# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Facts and configuration in, mode and reason out. Pure: no file, no clock, no environment.

Blocking conditions come first; any of them gives none, and the first gives the reason:

    B1 NOT_RESCUE_ENV   B2 SOURCE_MOUNTED_RW, SWAP_ON_DISK, SOURCE_IMPORTED_RW   B3 NO_SCRATCH   B4 LIVE_WRITER   B5 CONFIG_INVALID

E: an approved backend pool that could be imported. S: a store at local.mount that can be written. The endpoint counts as reached
only when name, connection, certificate and clock are all right; remote.mount in its place only when a store that can be written is
mounted there.

    rule  asl.conf  local backend                         ZFS     endpoint   mode     reason
     1    any       S                                     any     any        local    LOCAL_READY (with remote: as 7 and 8)
     2    local     E                                     usable  any        local    LOCAL_ELIGIBLE
     3    local     seen, not approved                    usable  any        none     APPROVAL_REQUIRED
     4    local     none                                  any     any        none     NO_BACKEND_POOL
     5    local     seen                                  not     any        none     ZFS_UNUSABLE_…
     6    local     incomplete                            any     any        none     BACKEND_INCOMPLETE
     7    remote    any                                   any     yes        remote   REMOTE_CONFIGURED
     8    remote    any                                   any     no         none     ENDPOINT_UNREACHABLE (never local instead)
     9    auto      E                                     usable  any        local    LOCAL_ELIGIBLE
    10    auto      seen, not approved                    usable  yes        remote   LOCAL_NOT_APPROVED
    11    auto      seen, not approved                    usable  no         none     APPROVAL_REQUIRED
    12    auto      on a disk with source data            any     yes / no   remote / none   BACKEND_ON_SOURCE
    13    auto      two of one name, none approved        any     yes / no   remote / none   AMBIGUOUS_NAME
    14    any       not E for another cause               any     yes / no   remote / none   that cause (local: none)
    15    auto      none                                  any     yes        remote   REMOTE_ONLY
    16    auto      none                                  any     no         none     NOTHING_AVAILABLE
    17    auto      as 11 to 16                           any     TLS, CA or clock wrong   none   ENDPOINT_TLS, ENDPOINT_CA, CLOCK_SKEW
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Optional

from asl.config import Config
from asl.preflight import backend
from asl.preflight.codes import SEVERITIES, finding
from asl.preflight.facts import Facts

ENOUGH_SCRATCH = 64 << 20  # 64 MiB: below that not even the records of one job are safe
COMFORTABLE_SCRATCH = 256 << 20
COMFORTABLE_MEMORY = 384 << 20  # an intake takes up to 256 MiB, and sshd has to live as well

Finding = dict[str, str]


@dataclass(frozen=True)
class Decision:
    """``mode`` is local, remote or none. ``rule`` is the row of the table above, or B1 to B5.

    ``backend`` is the GUID of the pool that has to be imported before there is a local store; None when there is nothing to import.
    """

    mode: str
    reason: str
    rule: str
    findings: tuple[Finding, ...]
    backend: Optional[str] = None


class _Choice(NamedTuple):
    mode: str
    reason: str
    rule: str


def decide(facts: Facts, config: Optional[Config], config_error: Optional[str] = None) -> Decision:
    """The decision for these facts. ``config`` is None when it is invalid; ``config_error`` then says why."""
    blocking, findings = _environment(facts)
    for each in (*_touching(facts, config), *_scratch(facts)):
        (blocking if each[1]["severity"] == "error" and each[0] else findings).append(each)
    network = _network(facts)
    if config is None:
        invalid = ("B5", finding("CONFIG_INVALID", detail=config_error or "the configuration cannot be used"))
        return _decision(None, [*blocking, invalid], [*findings, *network])
    pool = backend.choose(facts.pools, facts.zfs, config)
    blocking += [("B4", each) for each in backend.live_writers(facts.pools, pool)]
    findings += [("", finding("POOL_WRITTEN", name=each.name, guid=each.guid)) for each in backend.written_elsewhere(facts.pools, pool)]
    blocking.sort(key=lambda each: each[0])
    local = [("", each) for each in (*_store(facts, config, pool), *pool.findings)]
    return _decision(_choose(facts, config, pool), blocking, [*findings, *local, *network], pool)


def _decision(
    choice: Optional[_Choice],
    blocking: list[tuple[str, Finding]],
    findings: list[tuple[str, Finding]],
    pool: Optional[backend.Backend] = None,
) -> Decision:
    if blocking:
        rule, first = blocking[0]
        choice = _Choice("none", first["code"], rule)
    if choice is None:
        raise ValueError("a decision needs a configuration or a blocking condition")
    # Errors first, then warnings; within one severity the order in which they were found.
    ordered = sorted((each for _rule, each in [*blocking, *findings]), key=lambda each: -SEVERITIES.index(each["severity"]))
    candidate = pool.candidate.guid if choice.reason == "LOCAL_ELIGIBLE" and pool is not None and pool.candidate is not None else None
    return Decision(choice.mode, choice.reason, choice.rule, tuple(ordered), candidate)


def _choose(facts: Facts, config: Config, pool: backend.Backend) -> _Choice:
    """The table above, from the top. It is read once for each configured mode."""
    reachable = facts.endpoint.reachable
    if config.mode == "remote":
        return _Choice("remote", "REMOTE_CONFIGURED", "7") if reachable else _Choice("none", "ENDPOINT_UNREACHABLE", "8")
    if facts.store.ready or pool.ready:
        return _Choice("local", "LOCAL_READY", "1")
    unready = _unready_store(facts)
    if pool.eligible and unready is None:
        return _Choice("local", "LOCAL_ELIGIBLE", "2" if config.mode == "local" else "9")
    blocker = unready or pool.blocker
    return _local_only(blocker) if config.mode == "local" else _without_local(facts, blocker)


def _local_only(blocker: Optional[str]) -> _Choice:
    rules = {None: "4", "APPROVAL_REQUIRED": "3", "BACKEND_INCOMPLETE": "6"}
    rule = "5" if blocker and blocker.startswith("ZFS_UNUSABLE") else rules.get(blocker, "14")
    return _Choice("none", blocker or "NO_BACKEND_POOL", rule)


def _without_local(facts: Facts, blocker: Optional[str]) -> _Choice:
    """auto, and nothing local can be used: ``blocker`` says why, None when there is nothing."""
    reachable = facts.endpoint.reachable
    rules = {"APPROVAL_REQUIRED": "10" if reachable else "11", "BACKEND_ON_SOURCE": "12", "AMBIGUOUS_NAME": "13"}
    if reachable:
        reason = {None: "REMOTE_ONLY", "APPROVAL_REQUIRED": "LOCAL_NOT_APPROVED"}.get(blocker, blocker or "")
        return _Choice("remote", reason, rules.get(blocker, "14") if blocker else "15")
    if facts.endpoint.reason in ("ENDPOINT_TLS", "ENDPOINT_CA", "CLOCK_SKEW"):
        return _Choice("none", facts.endpoint.reason, "17")
    return _Choice("none", blocker or "NOTHING_AVAILABLE", rules.get(blocker, "14") if blocker else "16")


def _unready_store(facts: Facts) -> Optional[str]:
    """Why what is at local.mount cannot be used; None when nothing is there."""
    store = facts.store
    if store.error:
        return "STORE_NO_ANSWER"
    if store.initialised and not store.writable:
        return "STORE_READ_ONLY"
    return "STORE_NOT_INITIALISED" if store.mounted and not store.initialised else None


def _store(facts: Facts, config: Config, pool: backend.Backend) -> list[Finding]:
    store, found = facts.store, []
    unready = _unready_store(facts)
    if store.ready:
        found.append(finding("STORE_READY", path=store.path))
    elif unready is not None:
        found.append(finding(unready, path=store.path, why=store.error))
    else:
        found.append(finding("NO_STORE", path=config.local_mount))
        if pool.candidate is None and config.mode == "local":
            found.append(finding("NO_BACKEND_POOL", name=config.local_pool))
    shared = [each for each in (store, facts.remote_store) if each is not None and each.initialised and each.shares_disk_with]
    return found + [
        finding("STORE_SHARES_DISK", path=each.path, disks=", ".join(each.disks), others=", ".join(each.shares_disk_with))
        for each in shared
    ]


def _environment(facts: Facts) -> tuple[list[tuple[str, Finding]], list[tuple[str, Finding]]]:
    here = facts.environment
    blocking = [] if here.live else [("B1", finding("NOT_RESCUE_ENV", why=here.why))]
    found = []
    if here.container:
        found.append(finding("CONTAINER", kind=here.container))
    elif here.resume:
        found.append(finding("RESUME_CONFIGURED", device=here.resume))
    if not facts.clock_plausible:
        found.append(finding("CLOCK_IMPLAUSIBLE"))
    if facts.memory is not None and facts.memory < COMFORTABLE_MEMORY:
        found.append(finding("LOW_MEMORY", need=COMFORTABLE_MEMORY >> 20))
    return blocking, [("", each) for each in found]


def _touching(facts: Facts, config: Optional[Config]) -> list[tuple[str, Finding]]:
    """Who already touches disks; those of B2 carry the rule."""
    found = [
        ("B2", finding("SOURCE_MOUNTED_RW", device=each.device, fstype=each.fstype, mount_point=each.mount_point))
        for each in facts.writable_mounts
    ]
    found += [("B2", finding("SWAP_ON_DISK", name=name)) for name in facts.swaps]
    approved = config.local_approved if config else ()
    stores_at = {each.mount_point for each in (facts.store, facts.remote_store) if each is not None and each.holds}
    for pool in facts.imported:
        if pool.guid in approved or stores_at.intersection(pool.mounted_at) or (pool.taken and not pool.writable):
            continue
        code = "SOURCE_IMPORTED_RW" if pool.writable else "POOL_IMPORTED"
        found.append(("B2" if pool.writable else "", finding(code, name=pool.name)))
    for array in facts.arrays:
        members = ", ".join(array.members)
        if array.action and array.action != "check":
            found.append(("", finding("MD_SYNC", name=array.name, members=members, action=array.action)))
        elif array.state == "active":
            found.append(("", finding("MD_ACTIVE", name=array.name, members=members)))
        elif array.state != "inactive":
            found.append(("", finding("MD_READ_ONLY", name=array.name, members=members)))
    found += [
        ("", finding("DM_WRITABLE", kind=each.kind, name=each.name, disks=", ".join(each.disks) or "no disk"))
        for each in facts.mapped
        if not each.read_only
    ]
    found += [("", finding("ZFS_UNITS", unit=unit)) for unit in facts.zfs_units]
    return found + [("", finding("DISK_DAEMON", name=name)) for name in facts.daemons]


def _scratch(facts: Facts) -> list[tuple[str, Finding]]:
    room = facts.scratch
    if not room.writable:
        return [("B3", finding("NO_SCRATCH", path=room.path, why=room.why or "it cannot be written"))]
    if room.free is not None and room.free < ENOUGH_SCRATCH:
        return [("B3", finding("NO_SCRATCH", path=room.path, why=f"less than {ENOUGH_SCRATCH >> 20} MiB are free"))]
    if room.free is not None and room.free < COMFORTABLE_SCRATCH:
        return [("", finding("LOW_SCRATCH", path=room.path, need=COMFORTABLE_SCRATCH >> 20))]
    return []


def _network(facts: Facts) -> list[tuple[str, Finding]]:
    endpoint, found = facts.endpoint, []
    if not facts.interfaces:
        found.append(finding("NO_NETWORK"))
    good = "REMOTE_MOUNT_READY" if (endpoint.url or "").startswith("/") else "ENDPOINT_REACHABLE"
    found.append(finding(endpoint.reason or good, url=endpoint.url, detail=endpoint.detail))
    if facts.clock_drifts:
        found.append(finding("CLOCK_DRIFT", url=endpoint.url))
    return [("", each) for each in found]
