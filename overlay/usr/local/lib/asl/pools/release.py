# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Letting go of a pool: never by force, and everything that was set for it is put back.

A source writes nothing when it is exported; a backend is, so a writable pool is exported only when it is an approved backend.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from typing import Any, Optional

from asl import imported, paths, system
from asl.config import Config
from asl.pools import devices, machine, zpool
from asl.pools.codes import refused, unavailable
from asl.pools.request import TIMEOUT, valid_guid
from asl.pools.situation import stuck
from asl.preflight.zfs import capability


def export_pools(
    guid: Optional[str], config: Config, *, approved: Sequence[str] = (), timeout: float = TIMEOUT, check: bool = False, root: str = "/"
) -> dict[str, Any]:
    """Export one pool, or with no GUID every pool that was imported by us. See the package for what is returned.

    Raises Refused (NOT_A_GUID, NOT_OURS, ZPOOL_HANGS), Unavailable (POOL_BUSY, EXPORT_TIMEOUT), Damaged (LABELS_CHANGED).
    """
    if guid is not None and not valid_guid(guid):
        raise refused("NOT_A_GUID", pool=guid)
    hanging = stuck(root)
    if hanging is not None:
        raise refused("ZPOOL_HANGS", command=hanging[0], pid=hanging[1])
    states = {each.guid: each for each in zpool.states(root)} if capability(root).status == "loaded" else {}
    wanted = [guid] if guid is not None else [each.guid for each in imported.records()]
    work = [_Export(each, states.get(each), (*approved, *config.local_approved), config, root) for each in wanted]
    for each in work:
        each.plan()
    if not check:
        for each in work:
            each.carry_out(timeout)
    return {
        "changed": any(each.actions for each in work),
        "check": check,
        "actions": [action for each in work for action in each.actions],
        "commands": [command for each in work for command in each.commands],
        "pools": [each.result() for each in work],
    }


class _Export:
    def __init__(self, guid: str, state: Optional[zpool.State], approved: Sequence[str], config: Config, root: str) -> None:
        self.guid, self.state, self.root = guid, state, root
        self.record = imported.read(guid)
        self.names = {"guid": guid, "name": self.record.name if self.record else state.name if state else ""}
        self.actions: list[str] = []
        self.commands: list[list[str]] = []
        self.unchanged: Optional[bool] = None
        if state is not None and not state.read_only and guid not in approved and not self._is_backend():
            raise refused("NOT_OURS", **self.names)
        self.mount_point = config.local_mount if self._mounted(config.local_mount) else None

    def _is_backend(self) -> bool:
        return self.record is not None and self.record.role == imported.BACKEND

    def _mounted(self, path: str) -> bool:
        mount = system.mount_at(path, system.mounts(self.root))
        name = self.state.name if self.state else None
        return mount is not None and mount.mount_point == path and mount.fstype == "zfs" and mount.source.partition("/")[0] == name

    def plan(self) -> None:
        """Fill in actions and commands. A pool that is gone already leaves only what has to be put back."""
        if self.state is None:
            if self.record is not None:
                self.actions.append(f"put back what was set for the pool {self.names['name']} ({self.guid}), which is gone")
            return
        if self.mount_point is not None:
            self.actions.append(f"unmount {self.mount_point}")
            self.commands.append(["umount", self.mount_point])
        self.actions.append(f"export the pool {self.names['name']} ({self.guid})")
        self.commands.append(zpool.export_command(self.state.name))

    def carry_out(self, timeout: float) -> None:
        """Do it, and put everything back."""
        if not self.actions:
            return
        guard = devices.guard_of(self.guid)
        try:
            for command in self.commands:
                self._run(command, timeout)
            guard.put_back_leftovers()
        finally:
            guard.abandon()
        after = devices.label_hashes(list(self.record.labels)) if self.record else {}
        changed = devices.changed(self.record.labels, after) if self.record else []
        self.unchanged = not changed if after else None
        self._forget()
        if changed:
            raise devices.labels_changed(changed, self.names)

    def _run(self, command: list[str], timeout: float) -> None:
        done = system.run(command, timeout)
        if done.timed_out:
            left = f"; process {done.pid} hangs in the kernel, see /proc/{done.pid}/stack" if done.rc is None else ""
            raise unavailable("EXPORT_TIMEOUT", seconds=f"{timeout:.0f}", left=left, **self.names)
        if done.rc != 0:
            raise unavailable("POOL_BUSY", words=done.words, **self.names)

    def _forget(self) -> None:
        imported.forget(self.guid)
        machine.put_back(self.root)
        with contextlib.suppress(OSError):  # what is not empty is not ours to remove
            os.rmdir(imported.altroot(self.guid))
            os.rmdir(paths.run("src"))

    def result(self) -> dict[str, Any]:
        """What is said of one pool. ``labels_unchanged`` is None where there is nothing to compare."""
        return {
            **self.names,
            "role": self.record.role if self.record else None,
            "exported": bool(self.state),
            "labels_unchanged": self.unchanged,
        }
