# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs that were killed have left below /run/asl/mnt: mounts, opened containers, devices that are set read-only.

The next run of the same source cleans up after it; where there will be none, since the overlay goes, this does.
"""

from __future__ import annotations

import json
import os
from typing import NamedTuple

from asl import paths, system
from asl.errors import Unavailable
from asl.sources.guard import DEADLINE, Guard

MAPPINGS = "/dev/mapper"


class Leftover(NamedTuple):
    """One place below /run/asl/mnt, and what is to be done there."""

    place: str
    mount_point: str
    mounted: bool
    devices: tuple[str, ...]

    @property
    def action(self) -> str:
        """For people, and for a check run."""
        parts = [f"unmount {self.mount_point}"] if self.mounted else []
        parts += [f"put back {', '.join(self.devices)}, which an intake had set read-only"] if self.devices else []
        return " and ".join(parts)


def leftovers() -> list[Leftover]:
    """All of them, by place; what a run at work holds is among them."""
    folder = os.path.realpath(paths.run("mnt"))
    mounted = {mount.mount_point for mount in system.mounts()}
    names = {name[: -len(".json")] if name.endswith(".json") else name for name in system.listing(folder) if not name.endswith(".lock")}
    found = []
    for name in sorted(names):
        point = os.path.join(folder, name)
        left = Leftover(name, point, point in mounted, _devices(f"{point}.json"))
        if left.action:
            found.append(left)
    return found


def _devices(record: str) -> tuple[str, ...]:
    try:
        left = json.loads(system.read_text(record) or "{}")
        return tuple(sorted([*left.get("devices", {}), *([left["loop"]] if left.get("loop") else [])]))
    except (ValueError, TypeError):
        return ()


def put_back(left: Leftover) -> None:
    """Do it. Raises Unavailable where something still uses it, or a run is at work there."""
    guard = Guard(left.mount_point)
    try:
        if left.mounted:
            system.run(["umount", left.mount_point], DEADLINE).check(f"{left.mount_point} cannot be unmounted")
        mapping = f"asl-{left.place}"
        if os.path.exists(os.path.join(MAPPINGS, mapping)):
            system.run(["cryptsetup", "close", mapping], DEADLINE).check(f"{mapping} cannot be closed")
        guard.put_back_leftovers()
    except (OSError, ValueError) as error:
        raise Unavailable(f"what was left at {left.mount_point} cannot be put back: {error}", reason="LEFTOVERS") from error
    finally:
        guard.abandon()
