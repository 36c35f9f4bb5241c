# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command lines of zpool, zfs and mount, and what they answer. Argument lists only; the environment is system.run's: PATH and LC_ALL.

Nothing here is decided: a caller has made sure that the tool is a real one, and that the module is loaded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Optional

from asl import system
from asl.imported import KSTAT, altroot, temporary_name
from asl.pools.codes import unavailable
from asl.pools.request import Request

QUESTION = 60.0  # seconds for a command that only asks
BACKEND_ROOT = "/mnt/asl"
MOUNT_OPTIONS = "zfsutil,nodev,nosuid,noexec"
LEGACY_OPTIONS = "nodev,nosuid,noexec"  # mount(8) takes a dataset with mountpoint=legacy without zfsutil only

# Of a new dataset for a store. docs/zfs.md has the reason for each.
PROPERTIES = ("recordsize=1M", "compression=lz4", "atime=off", "xattr=sa", "logbias=throughput", "canmount=noauto")


@dataclass(frozen=True)
class State:
    """A pool that is imported, as ZFS says it."""

    name: str
    guid: str
    read_only: bool
    altroot: Optional[str]
    health: str

    @property
    def mode(self) -> str:
        """For people."""
        return "read-only" if self.read_only else "writable"


def import_command(request: Request, devices: Sequence[str]) -> list[str]:
    """The one import of a pool in its role; -f, -m and -T only where the operator gave their option."""
    members = [word for device in devices for word in ("-d", device)]
    gates = [*(["-f"] if request.force_foreign else []), *(["-m"] if request.allow_missing_log else [])]
    if not request.is_source:
        return ["zpool", "import", "-N", "-o", "cachefile=none", "-R", BACKEND_ROOT, *gates, *members, request.guid]
    rewind = ["-T", str(request.txg)] if request.txg is not None else []
    return [
        *("zpool", "import", "-N", "-o", "readonly=on", "-o", "cachefile=none", "-R", altroot(request.guid)),
        *(*gates, *rewind, *members, "-t", request.guid, temporary_name(request.guid)),
    ]


def export_command(name: str) -> list[str]:
    """Never with -f."""
    return ["zpool", "export", name]


def take_out(name: str, timeout: float, what: str, names: Mapping[str, str]) -> None:
    """Export a pool that must not stay, because of WHAT (a clause: "it is degraded"). Raises Unavailable (EXPORT_FAILED) where it stays
    all the same: whoever asks next finds it imported."""
    done = system.run(export_command(name), timeout)
    if done.rc != 0:
        words = f"no answer within {timeout:.0f} seconds" if done.timed_out else done.words
        raise unavailable("EXPORT_FAILED", what=what, words=words, pool=name, **names)


def create_command(dataset: str, mount_point: str) -> list[str]:
    """A new dataset for a store."""
    return ["zfs", "create", *(word for each in (*PROPERTIES, f"mountpoint={mount_point}") for word in ("-o", each)), dataset]


def mount_command(dataset: str, mount_point: str, *, legacy: bool = False) -> list[str]:
    """`zfs mount` takes no folder; mount(8) does."""
    return ["mount", "-t", "zfs", "-o", LEGACY_OPTIONS if legacy else MOUNT_OPTIONS, dataset, mount_point]


def states(root: str = "/") -> list[State]:
    """All pools that are imported now. Runs zpool only when the kernel has pools. Raises Unavailable."""
    if not any(name for name in system.listing(KSTAT, root) if system.listing(f"{KSTAT}/{name}", root)):
        return []
    asked = ["zpool", "get", "-Hp", "-o", "name,property,value", "guid,readonly,altroot,health"]
    done = system.run(asked, QUESTION).check("the imported pools cannot be listed")
    pools: dict[str, dict[str, str]] = {}
    for line in done.stdout.decode("utf-8", "surrogateescape").splitlines():
        words = line.split("\t")
        if len(words) == 3:
            pools.setdefault(words[0], {})[words[1]] = words[2]
    return [
        State(name, found.get("guid", ""), found.get("readonly") == "on", _value(found.get("altroot")), found.get("health", ""))
        for name, found in sorted(pools.items())
    ]


def _value(text: Optional[str]) -> Optional[str]:
    return None if text in (None, "-", "") else text


def dataset_mountpoint(dataset: str) -> Optional[str]:
    """The property mountpoint of a dataset, None when there is no such dataset. Raises Unavailable for any other failure."""
    done = system.run(["zfs", "get", "-Hp", "-o", "value", "mountpoint", dataset], QUESTION)
    if done.rc == 1 and b"does not exist" in done.stderr:
        return None
    return done.check(f"the dataset {dataset} cannot be looked at").stdout.decode("utf-8", "surrogateescape").strip()


def available(dataset: str) -> Optional[int]:
    """How many bytes can still be written into a dataset."""
    done = system.run(["zfs", "get", "-Hp", "-o", "value", "available", dataset], QUESTION)
    text = done.stdout.decode("ascii", "replace").strip()
    return int(text) if done.rc == 0 and text.isdigit() else None


# What zpool says when an import fails → the code of ours that says it better. Texts of OpenZFS 2.1 to 2.4; the first that fits holds.
SAID = (
    ("imported by another system", "MMP_ACTIVE"),
    ("is imported on", "MMP_ACTIVE"),  # 2.3.6 to 2.3.8
    ("multihost claim", "MMP_ACTIVE"),  # from 2.3.9
    ("hostid is not set", "MMP_ACTIVE"),
    ("previously in use from another system", "FOREIGN_HOST"),
    ("last accessed by", "FOREIGN_HOST"),
    ("a pool with that name", "NAME_TAKEN"),
    ("pool already exists", "NAME_TAKEN"),
    ("unsupported feature", "FEATURES_UNSUPPORTED"),
    ("feature(s) not supported", "FEATURES_UNSUPPORTED"),
)


def meaning(words: str) -> str:
    """The reason code for what zpool said of an import that failed."""
    return next((code for text, code in SAID if text in words), "IMPORT_FAILED")
