# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pools that were imported by `asl-admin pool import`: what they are called now, and what has to be put back when they go.

One file for each in /run/asl/pools, GUID.json. A source pool is imported under a name of its own (asl_src_ and its GUID in hexadecimal),
so that its real name cannot clash; whoever is given the real name or the GUID finds it here. What is recorded here was true when
it was written: the kernel (/proc/spl/kstat/zfs) says whether the pool is still there.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Optional

from asl import paths, system

SOURCE, BACKEND = "source", "backend"
KSTAT = "/proc/spl/kstat/zfs"


@dataclass(frozen=True)
class Import:
    """A pool that was imported. ``guid`` is a decimal string, ``name`` the pool's own, ``imported_as`` what ZFS calls it now.

    ``labels`` is the SHA-256 over the four labels of each member (by path) from before the import. ``altroot`` is where its
    datasets would be mounted.
    """

    guid: str
    name: str
    imported_as: str
    role: str  # source | backend
    altroot: str
    members: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)


def temporary_name(guid: str) -> str:
    """What a source pool is called while it is imported."""
    return f"asl_src_{int(guid):x}"


def altroot(guid: str) -> str:
    """Below which folder the datasets of a source pool are mounted."""
    return paths.run("src", guid)


def record_path(guid: str) -> str:
    """The record of one pool, without suffix."""
    return paths.run("pools", guid)


def records() -> list[Import]:
    """All records, by GUID. A file that is none is passed over."""
    found = []
    for name in system.listing(paths.run("pools")):
        guid, dot, suffix = name.partition(".")
        record = read(guid) if dot and suffix == "json" and guid.isdigit() else None
        if record is not None:
            found.append(record)
    return found


def read(guid: str) -> Optional[Import]:
    """The record of one pool, or None."""
    try:
        document = json.loads(system.read_text(record_path(guid) + ".json") or "")
        return Import(**{**document, "members": tuple(document["members"])})
    except (ValueError, TypeError, KeyError):
        return None


def find(pool: str) -> list[Import]:
    """The records of the pools of this GUID, of this name, or imported under this name: more than one where two have one name."""
    return [each for each in records() if pool in (each.guid, each.name, each.imported_as)]


def save(record: Import) -> None:
    """Write a record down. Raises OSError."""
    os.makedirs(paths.run("pools"), mode=0o700, exist_ok=True)
    system.replace_file(record_path(record.guid) + ".json", json.dumps(asdict(record), indent=1, sort_keys=True).encode("ascii"), 0o600)


def forget(guid: str) -> None:
    """Remove a record; none is fine."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(record_path(guid) + ".json")


def is_imported(name: str, root: str = "/") -> bool:
    """Whether the kernel has a pool of this name now."""
    return os.path.isdir(system.under(root, f"{KSTAT}/{name}"))
