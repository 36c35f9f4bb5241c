# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything an import or an export is decided from, looked at anew each time: what a survey showed an hour ago decides nothing."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Optional

from asl import system
from asl.config import Config
from asl.pools import zpool
from asl.preflight import environment
from asl.preflight.found import pool_facts
from asl.preflight.pools import PoolFact
from asl.preflight.zfs import Capability, capability
from asl.survey import survey
from asl.survey.zpools import hostid

STUCK_SECONDS = 2.0  # longer than a bad disk takes for one read that it gives an answer to
_TOOLS = ("zpool", "zfs", "mount.zfs")


@dataclass(frozen=True)
class Situation:
    """``pool`` is the wanted one as the survey has it, None where it was not seen; ``facts`` are all pools as preflight judges them.

    ``silent`` are the devices that gave no answer, ``hanging`` is (command, pid) of a ZFS tool that is stuck in the kernel. ``memory`` is
    bytes, None where it is not known. ``states`` are the pools that are imported now.
    """

    live: bool
    why_live: str
    pool: Optional[Mapping[str, Any]]
    facts: tuple[PoolFact, ...]
    silent: tuple[str, ...]
    zfs: Capability
    hostid: int
    memory: Optional[int]
    hanging: Optional[tuple[str, int]]
    states: tuple[zpool.State, ...]

    def state(self, guid: str) -> Optional[zpool.State]:
        """The pool of this GUID, when it is imported."""
        return next((each for each in self.states if each.guid == guid), None)

    @property
    def fact(self) -> Optional[PoolFact]:
        """The wanted pool as preflight judges it."""
        return next((each for each in self.facts if self.pool is not None and each.guid == self.pool["guid"]), None)


def look(guid: str, config: Config, *, devices: Sequence[str] = (), root: str = "/") -> Situation:
    """Look at the machine. ``devices`` limits where the pool itself is looked for, not what is known of the others.

    Raises Unavailable (NO_DEVICE, and what zpool says when it cannot tell what is imported).
    """
    whole = survey(root=root)
    chosen = survey(devices, root=root) if devices else whole
    if devices:  # the copies that were not chosen do not count
        whole = {"disks": whole["disks"], "pools": [*(each for each in whole["pools"] if each["guid"] != guid), *_only(guid, chosen)]}
    return replace(_around(whole, chosen, config, root), pool=next(iter(_only(guid, chosen)), None))


def look_at_all(config: Config, *, devices: Sequence[str] = (), root: str = "/") -> list[Situation]:
    """A situation for each pool that is seen, all from one look. Raises as look()."""
    found = survey(devices, root=root)
    around = _around(found, found, config, root)
    return [replace(around, pool=pool) for pool in found["pools"]]


def _around(whole: Mapping[str, Any], chosen: Mapping[str, Any], config: Config, root: str) -> Situation:
    """Everything but the wanted pool."""
    live, why = environment.root_is_live(root)
    zfs = capability(root)
    hanging = stuck(root)
    return Situation(
        live=live,
        why_live=why,
        pool=None,
        facts=tuple(pool_facts(whole, config, root=root)),
        silent=tuple(disk["device"] for disk in chosen["disks"] if disk["error"]),
        zfs=zfs,
        hostid=hostid(root),
        memory=environment.memory_available(root),
        hanging=hanging,
        states=() if hanging or zfs.status != "loaded" else tuple(zpool.states(root)),
    )


def _only(guid: str, surveyed: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [each for each in surveyed["pools"] if each["guid"] == guid]


def stuck(root: str = "/") -> Optional[tuple[str, int]]:
    """(command, pid) of a zpool, zfs or mount.zfs in uninterruptible sleep; None when there is none.

    One that merely waits for a disk looks the same for a moment: only one that has not run at all between two looks is stuck.
    """
    before = _asleep(root)
    if not before:
        return None
    time.sleep(STUCK_SECONDS)
    return next((name for key, name in _asleep(root).items() if before.get(key) == name), None)


def _asleep(root: str) -> dict[tuple[str, str], tuple[str, int]]:
    """The ZFS tools in uninterruptible sleep: pid and how often each was switched to (proc(5), /proc/PID/status), and its name and pid."""
    found = {}
    for pid in filter(str.isdigit, system.listing("/proc", root)):
        name, _parenthesis, rest = (system.read_text(f"/proc/{pid}/stat", root) or "").partition("(")[2].rpartition(")")
        if name in _TOOLS and rest.split()[:1] == ["D"]:
            status = (system.read_text(f"/proc/{pid}/status", root) or "").splitlines()
            found[(pid, "".join(line for line in status if "ctxt_switches" in line))] = (name, int(pid))
    return found


def occupied(path: str) -> bool:
    """Whether a folder exists and holds anything. ZFS would mount over it and say nothing."""
    try:
        with os.scandir(path) as entries:
            return next(entries, None) is not None
    except OSError:
        return False
