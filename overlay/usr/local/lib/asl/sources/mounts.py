# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which mounts a walk stays out of."""

from __future__ import annotations

import os

from asl import system

# Filesystems that show the running kernel, not data anybody could want back. Opening some of their files has side effects.
PSEUDO = frozenset(
    {
        "autofs", "binfmt_misc", "bpf", "cgroup", "cgroup2", "configfs", "debugfs", "devpts", "devtmpfs", "efivarfs", "fusectl",
        "hugetlbfs", "mqueue", "nsfs", "proc", "pstore", "rpc_pipefs", "securityfs", "selinuxfs", "sysfs", "tracefs",
    }
)  # fmt: skip


def kind_of_device(device: int) -> str:
    """The filesystem type of what has st_dev DEVICE, "" where no mount has it (subvolumes of btrfs)."""
    number = f"{os.major(device)}:{os.minor(device)}"
    found = [mount.fstype for mount in system.mounts() if mount.devno == number]
    return found[-1] if found else ""
