# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Could ZFS be used here? Answered without running any of it: `zpool` may load a module, hang, or compile a whole ZFS.

loaded      the kernel module is in, and the tool is a real program
loadable    the module lies ready for the running kernel
mismatch    module and tools are of different versions
stub        zpool is a script (hosters' rescue systems install ZFS on first use)
fuse        zpool is that of zfs-fuse, which does not know today's pools
tools_only  a real zpool, but no module for this kernel
absent      neither
"""

from __future__ import annotations

import glob
import os
import re
from dataclasses import dataclass
from typing import Optional

from asl import system

USABLE = ("loaded", "loadable")
_VERSION = re.compile(r"(\d+\.\d+\.\d+)")


@dataclass(frozen=True)
class Capability:
    """What was found. Versions are ``2.3.9``, or None where no file shows them."""

    status: str
    module: Optional[str] = None
    tools: Optional[str] = None
    tool: Optional[str] = None

    @property
    def usable(self) -> bool:
        """Whether an import could be tried."""
        return self.status in USABLE


def capability(root: str = "/", kernel: Optional[str] = None) -> Capability:
    """Look at /sys/module/zfs, the kernel's list of modules and the file that `zpool` is. Runs nothing."""
    kernel = kernel or system.read_text("/proc/sys/kernel/osrelease", root) or ""
    tool = system.find_tool("zpool", root)
    loaded = version(system.read_text("/sys/module/zfs/version", root))
    present = loaded is not None or os.path.isdir(system.under(root, "/sys/module/zfs"))
    loadable = present or _has_module(kernel, root)
    tools = _tools_version(root)
    if tool is None:
        return Capability("absent", loaded)
    head = _head(tool, root)
    if _is_fuse(tool, root):
        status = "fuse"
    elif head != b"\x7fELF":
        status = "stub"
    elif not loadable:
        status = "tools_only"
    elif loaded and tools and loaded != tools:
        status = "mismatch"
    else:
        status = "loaded" if present else "loadable"
    return Capability(status, loaded, tools, tool)


def version(text: Optional[str]) -> Optional[str]:
    """``2.3.9`` from ``2.3.9-1~bpo13+1``."""
    found = _VERSION.search(text or "")
    return found[1] if found else None


def _has_module(kernel: str, root: str) -> bool:
    for base in ("/lib/modules", "/usr/lib/modules"):
        for name in ("modules.dep", "modules.builtin"):
            text = system.read_text(f"{base}/{kernel}/{name}", root) or ""
            if re.search(r"(?:^|/)zfs\.ko(?:\.\w+)?(?::|$)", text, re.MULTILINE):
                return True
    return False


def _head(path: str, root: str) -> bytes:
    try:
        with open(system.under(root, path), "rb") as file:
            return file.read(4)
    except OSError:
        return b""


def _is_fuse(tool: str, root: str) -> bool:
    """zfs-fuse brings a daemon of that name and no libzfs."""
    if system.find_tool("zfs-fuse", root) is None:
        return False
    return not any(glob.glob(system.under(root, f"{folder}/libzfs.so.*")) for folder in ("/lib/*", "/usr/lib/*", "/usr/lib", "/lib"))


def _tools_version(root: str) -> Optional[str]:
    """The version of the installed tools, from the package data base (dpkg, pacman); None where there is none."""
    status = system.read_text("/var/lib/dpkg/status", root)
    if status:
        found = re.search(r"^Package: zfsutils-linux\n(?:(?!\n\n)[\s\S])*?^Version: (\S+)", status, re.MULTILINE)
        if found:
            return version(found[1])
    for name in system.listing("/var/lib/pacman/local", root):
        if name.startswith("zfs-utils-"):
            return version(name)
    return None
