# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks with real labels, and a machine around them: a recorded tree of /proc and /sys, and a zpool that says what OpenZFS 2.3.9 said."""

from __future__ import annotations

import json
import os
import stat
import sys
from pathlib import Path
from typing import Any

import archive

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures" / "zfs" / "2.3.9"
FAKE = Path(__file__).resolve().with_name("zpool.py")
MIB = 1 << 20


def images(name: str, folder: Path, *, without: tuple[int, ...] = ()) -> list[str]:
    """The devices of a scenario as sparse files; those WITHOUT are not made."""
    folder.mkdir(parents=True, exist_ok=True)
    _, devices = archive.read(FIXTURES / f"{name}.json")
    found = []
    for number, device in enumerate(devices):
        if number not in without:
            path = folder / f"{name}-{device.name}"
            with path.open("wb") as file:
                file.truncate(device.size)
                for offset in (0, device.size - archive.HALF):
                    file.seek(offset)
                    file.write(device.fetch(offset, archive.HALF))
            found.append(str(path))
    return found


class Rescue:
    """A rescue system below ``root``: live, with ZFS 2.3.9 loaded, and a zpool that keeps its pools in a file."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "root"
        self.bin = folder / "bin"
        self.state = folder / "zpool.json"
        self.write("proc/self/mountinfo", "1 0 0:30 / / rw - overlay overlay rw,lowerdir=/l\n")
        self.write("proc/sys/kernel/osrelease", "6.12.0\n")
        self.write("proc/meminfo", "MemAvailable:    2000000 kB\n")
        self.write("sys/module/zfs/version", "2.3.9-1\n")
        self.write("sys/module/zfs/parameters/zvol_inhibit_dev", "0")
        self.write("usr/sbin/zpool", "\x7fELF").chmod(0o755)
        self.write("var/lib/dpkg/status", "Package: zfsutils-linux\nVersion: 2.3.9-1\n\n")
        self.bin.mkdir()
        for name in ("zpool", "zfs", "mount", "umount", "systemctl", "modprobe"):
            tool = self.bin / name
            tool.write_text(f'#!/bin/sh\nexec {sys.executable} -B {FAKE} {self.state} {self.root} {name} "$@"\n')
            tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
        self.tell({})

    def write(self, name: str, text: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def tell(self, plan: dict[str, Any]) -> None:
        """What the tools are to do: ``pools`` that are imported (name → properties), ``fail`` (command → words), ``writable`` …"""
        self.state.write_text(json.dumps({"pools": {}, "datasets": {}, "calls": [], **plan}))

    @property
    def now(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.state.read_text())
        return found

    @property
    def calls(self) -> list[list[str]]:
        """What was run, without questions."""
        return [each for each in self.now["calls"] if each[1:2] != ["get"]]

    def hostid(self, number: int) -> None:
        self.write("sys/module/spl/parameters/spl_hostid", f"{number}\n")


def flip(path: str, offset: int = 200 << 10) -> None:
    """Change one byte of the first label of a device."""
    handle = os.open(path, os.O_RDWR)
    try:
        byte = os.pread(handle, 1, offset)
        os.pwrite(handle, bytes([byte[0] ^ 1]), offset)
    finally:
        os.close(handle)
