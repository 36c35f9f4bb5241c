# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A mount namespace of the rig's own, so that no mount is seen outside and none is left behind.

On a machine with hybrid cgroups (a cgroup2 mount at /sys/fs/cgroup/unified beside v1 controllers) crun refuses to start containers.
Inside the namespace /sys/fs/cgroup is then the plain cgroup2 tree; outside nothing changes. On a cgroup2 machine it stays as it is.
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

from .process import RigError, run

MARK = "ASL_RIG_NAMESPACE"  # the namespace a child of the rig inherits; a child that finds itself in it enters no second one
CLONE_NEWNS = 0x00020000


def here() -> str:
    return str(Path("/proc/self/ns/mnt").readlink())


def has(process: int) -> bool:
    """Whether PROCESS is alive; one that nobody has waited for yet is not, though /proc still lists it."""
    try:
        return bool(Path(f"/proc/{process}/ns/mnt").readlink())
    except OSError:
        return False


def enter(container_monitor: int = 0) -> None:
    """Enter the namespace in which CONTAINER_MONITOR (a process id) runs, or a fresh one when it is 0."""
    if os.geteuid() != 0:
        raise RigError("the rig mounts disks and starts containers: run it as root")
    if os.environ.get(MARK) == here():
        return
    folder = Path.cwd()
    libc = ctypes.CDLL(None, use_errno=True)
    if container_monitor:
        with Path(f"/proc/{container_monitor}/ns/mnt").open("rb") as handle:
            failed = libc.setns(handle.fileno(), CLONE_NEWNS)
    else:
        failed = libc.unshare(CLONE_NEWNS)
    if failed:
        raise RigError(f"no mount namespace of its own can be had: {os.strerror(ctypes.get_errno())}")
    if not container_monitor:
        run(["mount", "--make-rprivate", "/"])
        if hybrid_cgroups():
            run(["umount", "-R", "/sys/fs/cgroup"])
            run(["mount", "-t", "cgroup2", "none", "/sys/fs/cgroup"])
    os.chdir(folder)
    os.environ[MARK] = here()


def hybrid_cgroups() -> bool:
    """Whether version 1 controllers are mounted at /sys/fs/cgroup (there is no v1-only machine with a systemd of today)."""
    rows = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    return any(row[1].startswith("/sys/fs/cgroup/") and row[2] == "cgroup" for row in rows)
