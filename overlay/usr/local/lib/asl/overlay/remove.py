# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Take an overlay away again: everything that was laid, and the state that was made since. What others put there stays, and is named.

The engine goes last: as long as its folder is there, an interrupted removal can be run again, and where it is gone nothing is left.
"""

from __future__ import annotations

import os
import posixpath
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Optional

from asl import imported
from asl.errors import AslError, Refused
from asl.overlay import services
from asl.overlay.bundle import LAID_INDEX
from asl.overlay.compare import laid
from asl.overlay.contract import Contract, Entry
from asl.overlay.index import Index
from asl.overlay.lay import Guards, Request, carry_out, refuse_fixed_root, refuse_running_job
from asl.overlay.plan import Step
from asl.overlay.root import Root, look
from asl.sources.leftovers import leftovers, put_back


def remove(root: Root, fallback: Optional[Contract], request: Request, guards: Guards) -> dict[str, Any]:
    """Take away what is laid on ROOT. FALLBACK is the contract to go by where the laid one cannot be read any more.

    Raises Refused: NOT_LIVE_ROOT, INTAKE_RUNNING, MOUNTED, POOLS_IMPORTED; Unavailable: LAY_FAILED, NOT_LAID (and there is no fallback).
    """
    refuse_fixed_root(root, request, guards)
    contract, found = _laid_or(fallback, root)
    left = leftovers() if root.is_system else []
    _refuse_mounts(contract, root, {each.mount_point for each in left if each.mounted})
    if root.is_system and not request.force:
        _refuse_pools()
    removal = _Removal(root)
    for entry in contract.of("unit", "tool", "config", "library"):
        removal.file(entry)
    for entry in contract.of("state"):
        removal.state(entry, contract)
    for entry in reversed(contract.of("mount", "config")):
        removal.folder(entry.path)
    for entry in contract.entries:
        if entry.type == "tree":
            removal.tree(entry)
    for path in reversed(found.made if found else ()):
        removal.folder(path)
    # What a killed intake has set is on record in our state: put back before that goes.
    steps = [Step(each.action, each.mount_point, "state", partial(put_back, each)) for each in left] + removal.steps
    mounted = [path for path in removal.kept if os.path.ismount(root.at(path))]
    if steps:
        refuse_running_job("remove the tools", request, guards)
    if request.services and services.booted(root):
        stop = services.stop_steps(contract)
        steps = stop + steps + ([services.forget_step(contract)] if any(step.kind == "unit" for step in steps) else [])
    return {
        **carry_out(steps, root, request),
        "kept": removal.kept,
        "notes": [f"{path} stays: something is mounted there" for path in mounted],
    }


def _laid_or(fallback: Optional[Contract], root: Root) -> tuple[Contract, Optional[Index]]:
    try:
        return laid(root)
    except AslError:
        if fallback is None:
            raise
        return fallback, None


def _refuse_mounts(contract: Contract, root: Root, ours: set[str]) -> None:
    """Nothing below a mount is ever removed. State itself may lie on a mounted memory; what is mounted inside of it is in the way, but for
    OURS, which an intake has mounted and its next run would unmount."""
    for entry in contract.of("state"):
        for folder, names, _files in os.walk(root.at(entry.path)):
            for where in (os.path.join(folder, name) for name in names):
                if os.path.ismount(where) and os.path.realpath(where) not in ours:
                    what = f"cannot remove the overlay: something is mounted at {where}"
                    raise Refused(what, reason="MOUNTED", hint=f"umount {where}, then run it again")


def _refuse_pools() -> None:
    """What was set for a pool is written down in our state: without it nobody can put it back."""
    names = ", ".join(f"{each.name} ({each.guid})" for each in imported.records())
    if names:
        what = f"cannot remove the overlay: pools that it imported are still here: {names}"
        raise Refused(what, reason="POOLS_IMPORTED", hint="export them first: asl-admin pool export --all")


class _Removal:
    """The steps so far, and what they leave behind."""

    def __init__(self, root: Root) -> None:
        self.root = root
        self.steps: list[Step] = []
        self.kept: list[str] = []
        self._gone: set[str] = {LAID_INDEX}

    def file(self, entry: Entry) -> None:
        """Remove a file or a link; a directory in its place is not ours."""
        seen = look(self.root.at(entry.path))
        if entry.type == "file" and seen:
            if seen.type == "directory":
                self.kept.append(entry.path)
            else:
                self._add(entry.path, entry.kind, Path(self.root.at(entry.path)).unlink)

    def state(self, entry: Entry, contract: Contract) -> None:
        """Remove a state directory with all that tools left in it; one that is a link or a mount itself is only emptied."""
        where = self.root.at(entry.path)
        if any(posixpath.dirname(entry.path) == each.path for each in contract.of("state")) or look(where) is None:
            return
        if not os.path.islink(where) and not os.path.ismount(where):
            self._add(entry.path, entry.kind, partial(shutil.rmtree, where))
            return
        self.kept.append(entry.path)
        for name in sorted(os.listdir(where)):
            self._add(f"{entry.path}/{name}", entry.kind, partial(_remove_any, os.path.join(where, name)))

    def tree(self, entry: Entry) -> None:
        """Remove a directory in which every file is the overlay's own."""
        where = self.root.at(entry.path)
        if look(where):
            self._add(entry.path, entry.kind, partial(_remove_any, where))

    def folder(self, path: str) -> None:
        """Remove a directory if these steps leave it empty."""
        where = self.root.at(path)
        seen = look(where)
        if seen is None or seen.type != "directory" or path in self._gone:
            return
        if not os.path.ismount(where) and {f"{path}/{name}" for name in os.listdir(where)} <= self._gone:
            self._add(path, "folder", Path(where).rmdir)
        else:
            self.kept.append(path)

    def _add(self, path: str, kind: str, run: Callable[[], None]) -> None:
        self._gone.add(path)
        self.steps.append(Step(f"remove {path}", path, kind, run))


def _remove_any(path: str) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    else:
        os.unlink(path)
