# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where we run: a live system or an installed one, how much memory and scratch space there is, what the clock says.

Everything here reads. ``root`` is the folder that stands for ``/``.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import Optional

from asl import paths, system
from asl.deadline import in_child

RAM_BACKED = ("overlay", "overlayfs", "aufs", "tmpfs", "ramfs", "rootfs", "squashfs", "erofs", "iso9660", "fuse.unionfs", "nfs", "nfs4")
EARLIEST = 1767225600  # 2026-01-01: this engine is younger, so a clock that shows less is wrong
SECONDS = 5.0  # for each question to a file system


@dataclass(frozen=True)
class Environment:
    """The machine we run on. ``live`` is about ``/`` alone: it does not stand on a disk that could be the one to rescue."""

    live: bool
    why: str
    system: str  # the os-release ID, or a more telling name where there is one
    container: Optional[str]
    hostname: str
    kernel: str
    machine: str
    resume: Optional[str]  # the swap device the kernel would resume from


@dataclass(frozen=True)
class Scratch:
    """The folder of mutable state. ``free`` is bytes, or None when the file system did not answer."""

    path: str
    writable: bool
    free: Optional[int]
    fstype: str
    why: Optional[str] = None


@dataclass(frozen=True)
class Views:
    """The mounts as we see them, and as the first process sees them.

    A hardened unit sees the whole machine read-only. What is read-only for it alone can be written by whoever does the intake.
    """

    own: tuple[system.Mount, ...]
    first: tuple[system.Mount, ...]

    def sealed_for_us_alone(self, path: str) -> bool:
        """Whether the folder, read-only to us, is writable to root outside of our own view."""
        outside, inside = system.mount_at(path, self.first), system.mount_at(path, self.own)
        if outside is None or inside is None or outside.devno != inside.devno or os.geteuid() != 0:
            return False
        return outside.writable and "rw" in outside.options


def views(root: str = "/") -> Views:
    """Both views. Where the first process hides its mounts, its view is ours."""
    own = tuple(system.mounts(root))
    return Views(own, tuple(system.mounts(root, process="1")) or own)


def root_is_live(root: str = "/") -> tuple[bool, str]:
    """Whether ``/`` is RAM-backed or a live medium (also: a container), and the sentence that says why. Reads mountinfo and a few marks."""
    mark = container(root)
    if mark is not None:
        return True, f"this is a container ({mark})"
    top = _root_mount(root)
    if top is None:
        return False, "the kernel shows no mount on /"
    if top.fstype in RAM_BACKED:
        return True, f"/ is {top.fstype}"
    return False, f"/ is {top.fstype} on {top.source}"


def container(root: str = "/") -> Optional[str]:
    """The kind of container we are in, or None. The marks are those of systemd's container interface, podman and docker.

    /.dockerenv lies on / itself and stays there when an image becomes the disk of a machine, so it counts only where / is no whole disk.
    """
    kind = system.read_text("/run/systemd/container", root)
    if kind:
        return kind
    if os.path.exists(system.under(root, "/run/.containerenv")):
        return "podman"
    for item in (system.read_bytes("/proc/1/environ", root) or b"").split(b"\0"):
        if item.startswith(b"container=") and len(item) > 10:
            return item[10:].decode("ascii", "replace")
    top = _root_mount(root)
    whole_disk = top is not None and top.root == "/" and top.source.startswith("/dev/")
    return "docker" if os.path.exists(system.under(root, "/.dockerenv")) and not whole_disk else None


def _root_mount(root: str) -> Optional[system.Mount]:
    return system.mount_at("/", system.mounts(root))


def observe(root: str = "/") -> Environment:
    """Everything about the environment that does not change while it runs."""
    live, why = root_is_live(root)
    command_line = (system.read_text("/proc/cmdline", root) or "").split()
    resume = next((word[7:] for word in command_line if word.startswith("resume=")), None)
    if "noresume" in command_line or system.read_text("/sys/power/resume", root) in (None, "0:0"):
        resume = None
    return Environment(
        live=live,
        why=why,
        system=system_name(root),
        container=container(root),
        hostname=system.read_text("/proc/sys/kernel/hostname", root) or "",
        kernel=system.read_text("/proc/sys/kernel/osrelease", root) or "",
        machine=os.uname().machine,
        resume=resume,
    )


def system_name(root: str = "/") -> str:
    """Which system this is, in one word: sysrescue, grml, debian-live, ubuntu-live, hetzner-rescue, archiso, else os-release's ID."""
    release = dict(line.partition("=")[::2] for line in (system.read_text("/etc/os-release", root) or "").splitlines())
    name = release.get("ID", "").strip("\"'") or "unknown"
    command_line = (system.read_text("/proc/cmdline", root) or "").split()
    marks = (
        ("grml", "/etc/grml_version"),
        ("hetzner-rescue", "/etc/hetzner-build"),
        ("hetzner-rescue", "/root/.oldroot/nfs"),
    )
    for word, mark in marks:
        if os.path.exists(system.under(root, mark)):
            return word
    if name != "sysrescue" and os.path.exists(system.under(root, "/run/archiso")):
        return "archiso"
    if "boot=casper" in command_line:
        return "ubuntu-live"
    if "boot=live" in command_line or os.path.exists(system.under(root, "/run/live")):
        return f"{name}-live"
    return name


def memory_available(root: str = "/") -> Optional[int]:
    """MemAvailable in bytes."""
    for line in (system.read_text("/proc/meminfo", root) or "").splitlines():
        words = line.split()
        if len(words) == 3 and words[0] == "MemAvailable:" and words[1].isdigit():
            return int(words[1]) * 1024
    return None


def scratch(views: Views, path: Optional[str] = None) -> Scratch:
    """Whether /var/lib/asl can be written, and how much fits. Where it does not exist yet, the nearest folder above it answers."""
    path = path or paths.state()
    mount = system.mount_at(path, views.own)
    fstype = mount.fstype if mount else ""
    answer = in_child(lambda: _nearest(path), SECONDS)
    if answer.error:
        return Scratch(path, False, None, fstype, answer.error)
    folder, sealed, allowed, free = answer.value
    if sealed and not views.sealed_for_us_alone(folder):
        return Scratch(path, False, free, fstype, f"the file system of {folder} is read-only")
    if not allowed and not sealed:
        return Scratch(path, False, free, fstype, f"no permission to write in {folder}")
    return Scratch(path, True, free, fstype)


def _nearest(path: str) -> tuple[str, bool, bool, int]:
    while not os.path.isdir(path) and path != "/":
        path = os.path.dirname(path)
    return (path, *look(path))


def look(path: str) -> tuple[bool, bool, int]:
    """Of a folder: is it read-only as we see it, may we write there, and how many bytes are free. May hang: run it in a child."""
    space = os.statvfs(path)
    return bool(space.f_flag & os.ST_RDONLY), os.access(path, os.W_OK | os.X_OK), space.f_bavail * space.f_frsize


def clock_is_plausible(now: Optional[float] = None) -> bool:
    """Whether the clock shows a time after this engine was made."""
    return (time.time() if now is None else now) >= EARLIEST
