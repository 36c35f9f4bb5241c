# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Importing a pool: decide, say what would be done, do it, and hold what came of it against what was wanted.

Everything up to the command is the same in a check run. A command that gives no answer is not tried again.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Optional

from asl import imported, system
from asl.config import Config
from asl.pools import devices, machine, rules, zpool
from asl.pools.backend import Store
from asl.pools.codes import refused, unavailable
from asl.pools.request import Request, validate
from asl.pools.situation import Situation, look, stuck
from asl.preflight.zfs import capability
from asl.sources.guard import Guard
from asl.survey.liveness import Wait, moving

PLENTY = 1 << 30  # bytes: with less than that in the backend, the operator should know before the intake begins


def import_pool(request: Request, config: Config, *, root: str = "/", wait: Wait = time.sleep) -> dict[str, Any]:
    """Import a pool in its role; a backend is mounted at local.mount as well. See the package for what is returned.

    Raises Usage, Refused, Unavailable, Damaged (LABELS_CHANGED) with the reasons of codes.py.
    """
    validate(request)
    seen = look(request.guid, config, devices=request.devices, root=root)
    rules.refuse(request, seen, config)
    work = _Import(request, config, seen, root)
    if seen.state(request.guid) is None and moving([work.pool], wait=wait):
        raise refused("LIVE_WRITER", **work.names)
    work.plan()
    if request.check or not work.actions:
        return work.result()
    guard = devices.guard_of(request.guid)
    try:
        work.carry_out(guard)
    except BaseException:
        # What is imported after all, or may still come, keeps its devices read-only; else they are put back.
        if stuck(root) is None and work.state_now() is None:
            guard.put_back_leftovers()
            imported.forget(request.guid)
            machine.put_back(root)
        raise
    finally:
        guard.abandon()
    return work.result()


class _Import:
    """One import, from the plan to the proof."""

    def __init__(self, request: Request, config: Config, seen: Situation, root: str) -> None:
        assert seen.pool is not None  # rules.refuse has seen to it
        self.request, self.config, self.seen, self.root = request, config, seen, root
        self.pool: Mapping[str, Any] = seen.pool
        self.names = {"name": str(self.pool["name"]), "guid": request.guid}
        self.members = [each["path"] for each in self.pool["members"]]
        self.before = self.state = seen.state(request.guid)
        self.store = None if request.is_source else Store(request, config, self.imported_as)
        self.mounted_before = self.store.mounted_at() if self.store else None
        self.actions: list[str] = []
        self.commands: list[list[str]] = []
        self.notes: list[str] = [f"{self.names['name']}: {_NOTES[each]}" for each in self.pool["hazards"] if each in _NOTES]
        self.labels: dict[str, dict[str, str]] = {}

    @property
    def imported_as(self) -> str:
        if self.state is not None:
            return self.state.name
        return imported.temporary_name(self.request.guid) if self.request.is_source else self.names["name"]

    def plan(self) -> None:
        """Fill in actions and commands. Nothing to do: none."""
        if self.before is None:
            mask = machine.mask_command(self.root)
            if mask:
                self.actions.append("mask the units that would import or mount pools by themselves, until the next boot")
                self.commands.append(mask)
            if self.seen.zfs.status == "loadable":
                self.actions.append("load the ZFS module")
                self.commands.append(["modprobe", "zfs"])
            how = f"read-only as {self.imported_as}" if self.request.is_source else "writable"
            self.actions.append(f"import the pool {self.names['name']} ({self.request.guid}) {how}")
            self.commands.append(self._command())
        elif imported.read(self.request.guid) is None:  # the run that imported it was killed, or somebody did it by hand
            self.actions.append(f"write down that the pool {self.names['name']} ({self.request.guid}) is imported")
        if self.store is not None:
            actions, commands = self.store.plan()
            self.actions += actions
            self.commands += commands

    def carry_out(self, guard: Guard) -> None:
        """Do it, with the guard of the pool's devices held."""
        if self.state_now() is None:
            guard.put_back_leftovers()  # of an import that was killed
            self._make_way(guard)
            self._import()
            self._check()
        if imported.read(self.request.guid) is None:
            self._record()
        if self.store is not None:
            self.store.name = self.imported_as
            self.store.carry_out(self.names)

    def state_now(self) -> Optional[zpool.State]:
        """The pool as it is now; another process may have been first."""
        if capability(self.root).status != "loaded":
            return None
        self.state = next((each for each in zpool.states(self.root) if each.guid == self.request.guid), None)
        return self.state

    def _command(self) -> list[str]:
        return zpool.import_command(self.request, devices.names_for(self.members))

    def _make_way(self, guard: Guard) -> None:
        machine.mask_units(self.root)
        if self.seen.zfs.status == "loadable":
            machine.load_module()
        machine.inhibit_zvols(self.root)
        if self.request.is_source:
            for path in devices.to_protect(self.members, self.root):
                guard.protect(path)
            self.labels["before"] = devices.label_hashes(self.members)

    def _import(self) -> None:
        done = system.run(self._command(), self.request.timeout)
        if done.timed_out:
            left = f"; process {done.pid} hangs in the kernel, see /proc/{done.pid}/stack" if done.rc is None else ""
            raise unavailable("IMPORT_TIMEOUT", seconds=f"{self.request.timeout:.0f}", left=left, **self.names)
        if done.rc != 0:
            raise rules.after_failure(done.words, self.pool, self.names)

    def _check(self) -> None:
        """The pool must be what was asked for; what else it is, it is exported at once."""
        state = self.state_now()
        if state is None:  # zpool may end with 0 without having imported anything
            raise unavailable("IMPORT_FAILED", words="zpool said nothing, and the pool is not there", **self.names)
        wanted_root = imported.altroot(self.request.guid) if self.request.is_source else zpool.BACKEND_ROOT
        stray = [each.mount_point for each in self._mounts() if not each.mount_point.startswith(wanted_root + "/")]
        wrong = "is writable" if self.request.is_source and not state.read_only else None
        wrong = wrong or (f"its root is {state.altroot or '/'}" if state.altroot != wanted_root else None)
        wrong = wrong or (f"{stray[0]} was mounted" if stray else None)
        if wrong:
            self._undo(f"it {wrong}" if wrong.startswith("is ") else wrong)
        if rules.unhealthy(self.request, state):
            # What labels do not tell: a device that was taken offline, errors, a resilver that has not ended.
            zpool.take_out(state.name, self.request.timeout, f"ZFS calls its health {state.health}", self.names)
            raise refused("BACKEND_DEGRADED", **self.names)
        if self.request.is_source:
            self.labels["after"] = devices.label_hashes(self.members)
            changed = devices.changed(self.labels["before"], self.labels["after"])
            if changed:
                zpool.take_out(state.name, self.request.timeout, f"the labels of {', '.join(changed)} changed", self.names)
                raise devices.labels_changed(changed, self.names)

    def _undo(self, what: str) -> None:
        zpool.take_out(self.imported_as, self.request.timeout, what, self.names)
        raise unavailable("AFTER_CHECK", what=what, **self.names)

    def _mounts(self) -> list[system.Mount]:
        return [each for each in system.mounts(self.root) if each.fstype == "zfs" and each.source.partition("/")[0] == self.imported_as]

    def _record(self) -> None:
        state = self.state
        imported.save(
            imported.Import(
                guid=self.request.guid,
                name=self.names["name"],
                imported_as=self.imported_as,
                role=self.request.role,
                altroot=(state.altroot if state else None) or "/",
                members=tuple(self.members),
                labels=self.labels.get("before", {}),
            )
        )

    def result(self) -> dict[str, Any]:
        """What is said of it, in a check run what would be."""
        after = self._view(True, self.store.target if self.store else None)
        mounted = self.store.mounted_at() if self.store else None
        available = zpool.available(self.store.dataset) if self.store and mounted else None
        notes = list(self.notes)
        if self.state is not None and self.state.health != "ONLINE":
            notes.append(f"ZFS calls its health {self.state.health}: zpool status -v {self.state.name}")
        if available is not None and available < PLENTY:
            notes.append(f"only {available >> 20} MiB can be written into it")
        return {
            "changed": bool(self.actions),
            "check": self.request.check,
            **self.names,
            "role": self.request.role,
            "imported_as": self.imported_as,
            "read_only": self.request.is_source,
            "altroot": self.state.altroot if self.state else None,
            "health": self.state.health if self.state else None,
            "dataset": self.store.dataset if self.store else None,
            "mounted_at": mounted,
            "available": available,
            "actions": self.actions,
            "commands": self.commands,
            "notes": notes,
            "members": self.members,
            "labels": self.labels or None,
            "versions": {"module": self.seen.zfs.module, "tools": self.seen.zfs.tools},
            "diff": {"before": self._view(self.before is not None, self.mounted_before), "after": after},
        }

    def _view(self, there: bool, mounted_at: Optional[str]) -> dict[str, Any]:
        mode = "read-only" if self.request.is_source else "writable"
        return {"imported": mode if there else "no", "mounted_at": mounted_at}


_NOTES = {
    "DEGRADED": "devices are missing, but what is there is enough",
    "INCOMPLETE": "without the top-level vdev that was not seen; if that was its log, the last seconds of synchronous writes are missing",
    "MISSING_LOG": "without its log device the last seconds of synchronous writes are missing",
    "LABELS_PARTIAL": "a device has fewer than four good labels",
    "MEMBER_STALE": "a device was left behind by the others and holds an older state",
    "REMOVED_VDEVS": "vdevs were removed from it in its life",
}
