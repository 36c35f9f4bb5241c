# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The dataset of the backend: made only when asked for, and mounted at local.mount. Nothing else of the pool is mounted."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Optional

from asl import system
from asl.config import Config
from asl.pools import zpool
from asl.pools.codes import unavailable
from asl.pools.request import Request


class Store:
    """The dataset of one backend pool. ``name`` is what the pool is called while it is imported."""

    def __init__(self, request: Request, config: Config, name: str) -> None:
        self._request = request
        self._dataset = config.local_dataset
        self.name = name
        self.target = config.local_mount

    @property
    def dataset(self) -> str:
        """Its full name."""
        return f"{self.name}/{self._dataset}"

    def mounted_at(self) -> Optional[str]:
        """local.mount when the dataset is what is seen there, else None."""
        mount = system.mount_at(self.target, system.mounts())
        ours = mount is not None and mount.mount_point == self.target and mount.fstype == "zfs" and mount.source == self.dataset
        return self.target if ours else None

    def plan(self) -> tuple[list[str], list[list[str]]]:
        """What is to do and the commands; whether the dataset has to be made is only known when the pool is imported."""
        if self.mounted_at():
            return [], []
        made = " (made first where there is none)" if self._request.init else ""
        return [f"mount {self.dataset} at {self.target}{made}"], [zpool.mount_command(self.dataset, self.target)]

    def carry_out(self, names: Mapping[str, str]) -> None:
        """Mount it; a dataset that is not there is made only when that was asked for, else the pool is exported again."""
        if self.mounted_at():
            return
        mountpoint = zpool.dataset_mountpoint(self.dataset)
        if mountpoint is None and not self._request.init:
            zpool.take_out(self.name, self._request.timeout, f"it has no dataset {self.dataset}", names)
            raise unavailable("NO_DATASET", dataset=self.dataset, **names)
        if mountpoint is None:
            done = system.run(zpool.create_command(self.dataset, self.target), self._request.timeout)
            if done.rc != 0:
                raise unavailable("DATASET_FAILED", dataset=self.dataset, words=done.words)
        os.makedirs(self.target, exist_ok=True)
        done = system.run(zpool.mount_command(self.dataset, self.target, legacy=mountpoint == "legacy"), self._request.timeout)
        if done.rc != 0 or not self.mounted_at():
            raise unavailable("MOUNT_FAILED", dataset=self.dataset, path=self.target, words=done.words)
