# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a survey says of a ZFS pool, and which words it uses for what is wrong with one."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Optional

from asl.survey.vdevs import Leaf

STATES = {0: "active", 1: "exported", 2: "destroyed", 3: "spare", 4: "cache"}

HAZARDS = {
    "DUPLICATE_NAME": "another pool has the same name; name it by its GUID",
    "DUPLICATE_GUID": "one of its devices is there twice, as after cloning a disk; detach one of the two",
    "INCOMPLETE": "a top-level vdev (its log device, it may be) is missing or has lost too many devices; it cannot be imported as it is",
    "REMOVED_VDEVS": "vdevs were removed from it in its life; whether any that was not seen is missing, its labels do not tell",
    "DEGRADED": "devices are missing, but what is there is enough",
    "MISSING_LOG": "its log device is missing; the last seconds of synchronous writes may be lost",
    "LABELS_PARTIAL": "a device has fewer than four good labels; it was partly overwritten, cut, or copied to another size",
    "MEMBER_STALE": "a device was left behind by the others; it holds an older state",
    "MULTIHOST": "multihost is on; recent versions of ZFS refuse to import it read-only",
    "FOREIGN_HOST": "it was last used by another host and never exported; an import needs force",
    "DESTROYED": "it was destroyed on purpose",
    "HELD_BY_OTHER": "a device is in use by something else on this machine",
}


@dataclass(frozen=True)
class Member:
    """A device of a pool. ``labels`` is how many of the four are good; ``held_by`` names what uses the device now."""

    path: str
    guid: str
    role: str
    labels: int
    top_level: Optional[int] = None
    txg: Optional[int] = None
    held_by: Optional[str] = None


@dataclass(frozen=True)
class Pool:
    """A pool as its labels show it. GUIDs are decimal strings, for they do not fit into the numbers of every JSON reader.

    ``txg`` and ``last_write`` (seconds since 1970) are those of the best uberblock. ``top_level_seen`` counts top-level vdevs of which
    any device was seen. ``missing`` are devices that were not seen, under the path the last host knew. ``hazards`` are keys of HAZARDS.
    """

    guid: str
    name: str
    state: str
    hostid: Optional[int]
    hostname: Optional[str]
    txg: Optional[int]
    last_write: Optional[int]
    multihost: bool
    top_level: int
    top_level_seen: int
    version: Optional[int] = None
    comment: Optional[str] = None
    members: tuple[Member, ...] = ()
    missing: tuple[Leaf, ...] = ()
    features_for_read: tuple[str, ...] = ()
    has_log: bool = False
    hazards: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        """As ``survey --json`` gives it."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}


@dataclass(frozen=True)
class Auxiliary:
    """A spare that is not in use, or a cache: its label does not say to which pool it belongs."""

    path: str
    guid: str
    role: str  # spare | cache
    labels: int
