# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a mounted file system lies on, where its device number does not say it.

stat(2) and /proc/self/mountinfo name the block device of ext4 or xfs, and of FUSE on one (fuseblk). The number of btrfs, bcachefs,
overlay and other FUSE file systems stands for no device: there only their source and their options lead on. ZFS is not among
them: its source is a dataset, and its pool has to be asked.
"""

from __future__ import annotations

import os

from asl import system

_BTRFS = "/sys/fs/btrfs"


def sources(mount: system.Mount, root: str = "/") -> list[str]:
    """The device nodes, files and folders below MOUNT by name; none where it lies on nothing of this machine, or does not say."""
    if mount.fstype == "zfs":
        return []
    if mount.fstype == "overlay":  # only the upper folder is written
        return [option.partition("=")[2] for option in mount.super_options if option.startswith("upperdir=")]
    parts = mount.source.split(":")  # bcachefs names all its devices; SERVER:/EXPORT is none of them
    named = [each for each in parts if each.startswith("/")] if all(each.startswith("/") for each in parts) else []
    return [*named, *_siblings(named, root)] if mount.fstype == "btrfs" else named


def _siblings(named: list[str], root: str) -> list[str]:
    """The other devices of a btrfs; the mount names one of them."""
    names = {os.path.basename(os.path.realpath(each)) for each in named}
    for filesystem in system.listing(_BTRFS, root):
        devices = system.listing(f"{_BTRFS}/{filesystem}/devices", root)
        if names & set(devices):
            return [f"/dev/{each}" for each in devices if each not in names]
    return []
