# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A store on a file system that came over the network: mounted by whoever runs this host, never by us, and tried before it is trusted."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from asl import system
from asl.errors import Unavailable
from asl.intake.safety import refuse_store_on_source

if TYPE_CHECKING:
    from asl.config import Config

# What may promise and not hold. Others are the kernel's own and lie on devices.
_NETWORK = ("nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "glusterfs", "afs", "virtiofs", "lustre", "vboxsf")


def check(config: Config, location: str, sources: Sequence[str]) -> None:
    """Raise unless a store may be written at LOCATION, for an intake of SOURCES: Refused (STORE_ON_SOURCE) where it lies on one of them,
    before anything is tried there; Unavailable (REMOTE_NOT_MOUNTED) where remote.mount names it and nothing is
    mounted there, so that what ought to leave this host does not end in its memory; Refused (PROBE_FAILED) where it lies on a network
    or FUSE file system that does not hold what a store relies on. Leaves nothing behind."""
    if "://" in location:
        return
    for spec in sources:
        refuse_store_on_source(spec, location)
    location = os.path.abspath(location)
    mount = system.mount_at(location, system.mounts())
    if config.remote_mount == location and (mount is None or mount.mount_point != location):
        raise Unavailable(
            f"{location}: remote.mount is set, but nothing is mounted there", reason="REMOTE_NOT_MOUNTED",
            hint=f"mount it, such as: mount -t nfs SERVER:/EXPORT {location}",
        )  # fmt: skip
    network = mount is not None and (mount.fstype in _NETWORK or mount.fstype.startswith("fuse"))
    if network and os.path.isdir(location):
        from asl.backends.probe import probe  # with threads, which few need

        probe(location)
