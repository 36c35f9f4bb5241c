# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What decide needs to know of a ZFS pool. The label reader fills these in; nothing here asks ZFS."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional


@dataclass(frozen=True)
class PoolFact:
    """A pool as its labels show it, and what the machine shows about its members.

    ``guid`` is a decimal string. ``imported`` is None, ``ro`` or ``rw``. A ``live_writer`` is one whose uberblock moved while we looked.
    ``mmp_refuses`` says that the multihost rule of this ZFS would refuse the import. Feature lists name what our ZFS does not know.
    """

    guid: str
    name: str
    state: str = "exported"  # active | exported | destroyed
    top_level: int = 1
    top_level_seen: int = 1
    timed_out: bool = False  # a member did not answer
    duplicate: bool = False  # two different configurations carry this GUID
    on_source: bool = False  # a member lies on a disk that also carries source data
    shares_backend_disk: bool = False
    degraded: bool = False
    live_writer: bool = False
    foreign: bool = False  # last used by a host with another hostid, and never exported: an import needs force
    multihost_active: bool = False
    mmp_refuses: bool = False
    unsupported_read: tuple[str, ...] = ()
    unsupported_write: tuple[str, ...] = ()
    imported: Optional[str] = None
    mounted_at: Optional[str] = None  # where the backend's dataset is mounted
    mountpoint_taken: bool = False  # local.mount is in use by something else

    @property
    def complete(self) -> bool:
        """Whether every top-level vdev was seen, and every member answered in time."""
        return self.top_level_seen >= self.top_level and not self.timed_out
