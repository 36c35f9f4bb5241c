# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`fs:zfs:pool/dataset@snapshot` and `fs:zfs:pool/dataset`: the files of a dataset, mounted read-only by hand.

`zfs mount` takes no directory, and its own mountpoint may be / or /etc; mount(8) with `zfsutil` puts it where we say. A dataset with
mountpoint=legacy, and any snapshot, is mounted without that word (mount.zfs(8)).
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Sequence
from typing import Any, Optional

from asl import system
from asl.errors import Unavailable, Usage
from asl.sources.dataset import Dataset, find, need_still
from asl.sources.fs import COMMON, MOUNT_DEADLINE
from asl.sources.guard import Guard
from asl.sources.mounted import MountedTree

# Where the snapshots of a dataset can be seen as directories (snapdir=visible): walking into it would mount them all.
CONTROL = ".zfs"


class ZfsFilesSource(MountedTree):
    """The tree of a dataset that this source mounts and unmounts itself. Datasets below it are sources of their own."""

    def __init__(self, spec: str, name: str, exclude: Sequence[str] = ()) -> None:
        self.name = name
        super().__init__(spec, f"zfs-{zlib.crc32(os.fsencode(name)):08x}", exclude)
        self.exclude = (*self.exclude, os.path.join(self.mount_point, CONTROL))
        self._found: Optional[Dataset] = None
        self._details: dict[str, Any] = {}

    def details(self) -> dict[str, Any]:
        """The dataset and its own properties, and how it was mounted."""
        view = {} if self.view is None else {"view": self.view}
        return {"filesystem": "zfs", **self._details, **view}

    def _check(self) -> None:
        """Find it. Raises for what is not there or may change, and for what has no files or none that can be seen."""
        found = self._found = find(self.spec, self.name)
        plain = self.spec[len("fs:") :]
        self.view = need_still(self.spec, found, f"name a snapshot: {self.spec}@NAME")
        if self.view is not None:
            self.notes.append(f"{self.spec}: synchronous writes of the last seconds that were in the intent log only are not seen")
        if found.get("volsize") != "-":
            hint = f"{plain} reads all of it"
            raise Usage(f"{self.spec} is a volume, which has no files of its own", reason="NOT_A_FILESYSTEM", hint=hint)
        if found.locked:
            hint = f"zfs load-key {found.get('encryptionroot')} opens it; {plain} takes it as it is, encrypted"
            raise Unavailable(f"{self.spec} is encrypted and its key is not loaded", reason="ZFS_KEY_UNAVAILABLE", hint=hint)

    def _mount(self, guard: Guard) -> None:
        """GUARD only keeps others out: nothing has to be set read-only where the pool is, or where it is a snapshot."""
        found = self._found
        if found is None:
            raise Usage(f"{self.spec} has not been opened", reason="NOT_OPEN")
        os.makedirs(self.mount_point, mode=0o700, exist_ok=True)
        by_hand = not found.is_snapshot and found.get("mountpoint") != "legacy"
        options = COMMON + (",zfsutil" if by_hand else "")
        done = system.run(["mount", "-t", "zfs", "-o", options, found.name, self.mount_point], MOUNT_DEADLINE)
        if done.rc != 0 or done.timed_out:
            hint = f"{self.spec[len('fs:') :]} takes the stream of it without mounting"
            raise Unavailable(f"{self.spec} cannot be mounted: {done.words}", reason="MOUNT_FAILED", hint=hint)
        self._details = {**found.details(), "options": options}
