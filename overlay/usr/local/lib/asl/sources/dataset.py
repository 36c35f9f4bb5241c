# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which dataset a specification means: `pool/dataset`, `pool/dataset@snapshot`; the pool by its name, its name before it was
imported under another one, or its GUID.

A pool of a crashed machine is imported under a name made from its GUID, so that two pools called rpool do not meet. A person goes
on calling it as the machine did.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Optional

from asl import imported
from asl.errors import Refused, Unavailable, Usage
from asl.zfs import ask

# zfs(8): names of components; a GUID may stand for the name of the pool, which never begins with a digit.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _.:-]*(/[A-Za-z0-9 _.:-]+)*(@[A-Za-z0-9 _.:-]+)?")
LOOK = 10.0  # seconds for each device, only where the pool is not to be found and the person has to be told where it lies
_TOLD = ("type", "guid", "origin", "encryption", "encryptionroot", "keyformat")
NOT_REPLAYED = "intent log not replayed"


@dataclass(frozen=True)
class Dataset:
    """A dataset or snapshot of an imported pool. `name` is how ZFS calls it now; properties as asl.zfs.ask gives them."""

    name: str
    pool: ask.Properties
    properties: ask.Properties

    @property
    def is_snapshot(self) -> bool:
        """A snapshot, and not the head of a dataset."""
        return "@" in self.name

    @property
    def pool_read_only(self) -> bool:
        """Whether nothing can be written to its pool."""
        return self.of_pool("readonly") == "on"

    @property
    def encrypted(self) -> bool:
        """Whether its blocks are encrypted on disk."""
        return self.get("encryption", "off") != "off"

    @property
    def locked(self) -> bool:
        """Encrypted, and its key is not loaded."""
        return self.get("keystatus") == "unavailable"

    def get(self, name: str, default: str = "-") -> str:
        """The value of one of its properties."""
        return self.properties[name].value if name in self.properties else default

    def of_pool(self, name: str) -> str:
        """The value of a property of its pool."""
        return self.pool[name].value if name in self.pool else "-"

    def _value(self, name: str) -> str:
        """The value of a property as it was set: the mountpoint without the altroot of this import."""
        value, altroot = self.get(name), self.of_pool("altroot")
        return value[len(altroot) :] or "/" if name == "mountpoint" and altroot != "-" and value.startswith(altroot) else value

    def details(self) -> dict[str, Any]:
        """What a receipt says of it: what `zfs receive` and `zfs set` need to make it again as it was."""
        numbers = {key: int(self.get(key)) for key in ("creation", "referenced", "used", "volsize") if self.get(key).isdigit()}
        words = {key: self.get(key) for key in _TOLD if self.get(key) not in ("-", "off", "none")}
        own = sorted(f"{key}={self._value(key)}" for key, each in self.properties.items() if each.source in ("local", "received"))
        return {"dataset": self.name, "pool_guid": self.of_pool("guid"), **words, **numbers, "properties": own}


def check_name(spec: str, name: str) -> None:
    """Raise Usage unless NAME can be that of a dataset or a snapshot."""
    if "#" in name:
        raise Usage(f"{spec}: a bookmark holds no data", reason="BAD_SOURCE", hint="name a snapshot, or the dataset itself")
    if not _NAME.fullmatch(name):
        hint = "give pool/dataset@snapshot, or pool/dataset on a pool that is imported read-only"
        raise Usage(f"{spec}: {name!r} is no name of a dataset", reason="BAD_SOURCE", hint=hint)


def find(spec: str, name: str) -> Dataset:
    """The dataset NAME, for SPEC.

    Raises Unavailable (ZFS_UNAVAILABLE, POOL_NOT_IMPORTED, SOURCE_NOT_FOUND) and Refused (AMBIGUOUS_POOL)."""
    wanted, slash, rest = name.partition("/")
    wanted, at, snapshot = wanted.partition("@")
    if not ask.loaded():
        raise _missing(spec, wanted, f"{spec} cannot be read: the ZFS kernel module is not loaded", "ZFS_UNAVAILABLE")
    pool = _pool(spec, wanted)
    full = f"{pool}{slash}{rest}{at}{snapshot}"
    try:
        return Dataset(full, ask.pool(pool), ask.dataset(full))
    except Unavailable as error:
        if error.reason != "COMMAND_FAILED":
            raise
        hint = "asl-intake survey lists the datasets of imported pools"
        raise Unavailable(f"{spec} cannot be read: {error.message}", reason="SOURCE_NOT_FOUND", hint=hint) from error


def _pool(spec: str, wanted: str) -> str:
    """The name under which the pool WANTED is imported."""
    there = ask.pools()
    if wanted in there:
        return wanted
    by_guid = {str(guid): name for name, guid in there.items()}
    if wanted in by_guid:
        return by_guid[wanted]
    # Those we imported are on record; for those that a person did, the labels have to be read.
    guids = [each.guid for each in imported.find(wanted)] or [each["guid"] for each in _surveyed(wanted)]
    found = [guid for guid in guids if guid in by_guid]
    if len(found) > 1:
        hint = "name it by its GUID: " + " or ".join(f"zfs:{guid}" for guid in found)
        raise Refused(f"{spec}: {len(found)} imported pools were called {wanted}", reason="AMBIGUOUS_POOL", hint=hint)
    if not found:
        raise _missing(spec, wanted, f"{spec} cannot be read: no pool {wanted} is imported", "POOL_NOT_IMPORTED")
    return by_guid[found[0]]


def _surveyed(wanted: str) -> list[dict[str, Any]]:
    """The pools on the disks of this machine that are called WANTED, or have that GUID; a walk over all disks."""
    from asl.survey import survey

    pools: list[dict[str, Any]] = survey(seconds=LOOK)["pools"]
    return [each for each in pools if wanted in (each["name"], each["guid"])]


def _missing(spec: str, wanted: str, message: str, reason: str) -> Unavailable:
    """The error that says how to get there: by an import of the pool, or without ZFS by its devices."""
    pools = _surveyed(wanted)
    if not pools:
        return Unavailable(message, reason=reason, hint="asl-intake survey shows the pools on the disks that are there", members=[])
    members = [f"device:{member['path']}" for each in pools for member in each["members"]]
    guid = pools[0]["guid"]
    hint = f"asl-admin pool import {guid} --approve {guid} makes it readable; without ZFS take its devices: {' '.join(members)}"
    return Unavailable(message, reason=reason, hint=hint, members=members)


def need_still(spec: str, found: Dataset, otherwise: str) -> Optional[str]:
    """The view of FOUND: None for a snapshot. Raises Refused for a head that may change while it is read."""
    if found.is_snapshot:
        return None
    if found.pool_read_only:
        return NOT_REPLAYED
    raise Refused(
        f"{spec} is the head of a dataset, and its pool is imported writable: it could change while it is read", reason="POOL_WRITABLE",
        hint=otherwise,
    )  # fmt: skip
