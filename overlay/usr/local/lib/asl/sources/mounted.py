# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A tree that a source mounts for itself and takes down again; a run that was killed is cleaned up by the next one."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from types import TracebackType
from typing import Optional

from asl import paths, system
from asl.sources.guard import DEADLINE, Guard
from asl.sources.tree import TreeSource


class MountedTree(TreeSource, ABC):
    """Mounted at /run/asl/mnt/PLACE. PLACE must be the same for the next run of this source, and of no other one.

    A subclass says how to mount, and what must hold before anything is touched."""

    kind = "fs"

    def __init__(self, spec: str, place: str, exclude: Sequence[str] = ()) -> None:
        self.mount_point = os.path.realpath(paths.run("mnt", place))
        super().__init__(spec, self.mount_point, exclude)
        self._guard: Optional[Guard] = None

    def __enter__(self) -> MountedTree:
        """Protect and mount. Raises Refused, Unavailable."""
        self._check()
        self._guard = Guard(self.mount_point)
        try:
            self._unmount()
            self._guard.put_back_leftovers()
            self._mount(self._guard)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, _type: Optional[type[BaseException]], _error: Optional[BaseException], _traceback: Optional[TracebackType]) -> None:
        guard, self._guard = self._guard, None
        if guard is None:
            return
        self._close()
        if self._unmount():
            guard.release()
        else:
            guard.abandon()

    @abstractmethod
    def _check(self) -> None:
        """Nothing is touched yet. Raises Refused."""

    @abstractmethod
    def _mount(self, guard: Guard) -> None:
        """Mount it read-only, with GUARD over whatever it lies on. Raises Refused, Unavailable."""

    def _unmount(self) -> bool:
        """Unmount whatever is at the mount point; False when something still uses it."""
        while any(mount.mount_point == self.mount_point for mount in system.mounts()):
            if system.run(["umount", self.mount_point], DEADLINE).rc != 0:
                self.notes.append(f"{self.mount_point} could not be unmounted; the next run tries again")
                return False
        if os.path.isdir(self.mount_point):
            os.rmdir(self.mount_point)
        return True
