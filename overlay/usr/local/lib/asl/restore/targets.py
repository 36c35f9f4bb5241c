# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Opening what a disk is restored to, and refusing what must not be overwritten."""

from __future__ import annotations

import fcntl
import os
import stat
import struct
from contextlib import suppress
from typing import Any, Optional, Union

from asl import system
from asl.errors import Refused, Unavailable, Usage
from asl.restore import sinks
from asl.sources.base import why

BLKGETSIZE64 = 0x80081272
Sink = Union[sinks.NewFile, sinks.OldFile, sinks.Device]
# Where everything that lies on a disk leaves a trace: tables, labels and superblocks stand in the first and last MiB.
_EDGE = 4 << 20


def open_file(path: str, overwrite: bool) -> tuple[int, Sink]:
    """The file PATH, made anew, or with OVERWRITE as it is. Raises Usage, Refused, Unavailable."""
    flags = os.O_RDWR | os.O_CLOEXEC
    try:
        fd = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o600)
        return fd, sinks.NewFile(fd)
    except FileExistsError as error:
        try:
            status = os.stat(path)
        except OSError as gone:
            hint = "choose another name"
            raise Usage(f"{path} is a link that leads nowhere: {why(gone)}", reason="DESTINATION_KIND", hint=hint) from gone
        if not stat.S_ISREG(status.st_mode):
            hint = f"--device {path} writes to a block device" if stat.S_ISBLK(status.st_mode) else "choose another name"
            raise Usage(f"{path} is no regular file", reason="DESTINATION_KIND", hint=hint) from error
        if not overwrite:
            hint = "choose another name, or --overwrite to go on with what is there"
            raise Refused(f"{path} exists already ({status.st_size} bytes)", reason="EXISTS", hint=hint) from error
    except OSError as error:
        raise Unavailable(f"{path} cannot be made: {why(error)}", reason="WRITE_FAILED") from error
    fd = os.open(path, flags)
    return fd, sinks.OldFile(fd)


def open_device(
    path: str, size: int, *, overwrite: bool = False, serial: Optional[str] = None, sure: bool = False
) -> tuple[int, Sink]:
    """The device, claimed for us alone (open(2): O_EXCL on a block device fails when it is mounted or part of something).

    Raises Refused for one that is in use or too small, and for one that holds data unless OVERWRITE is set and SERIAL names it. SURE:
    whoever asks knows that nothing is going to be written that differs."""
    try:
        status = os.stat(path)
    except OSError as error:
        hint = "asl-intake survey shows the disks that are there"
        raise Usage(f"{path}: {why(error)}", reason="DESTINATION_NOT_FOUND", hint=hint) from error
    if not stat.S_ISBLK(status.st_mode):
        raise Usage(f"{path} is no block device", reason="DESTINATION_KIND", hint=f"--file {path} writes to a file")
    named = _named(path)
    _refuse_mounted(path, named)
    try:
        fd = os.open(path, os.O_RDWR | os.O_EXCL | os.O_CLOEXEC)
    except OSError as error:
        hint = "unmount it, and stop what lies on it (LVM, RAID, swap)"
        raise Refused(f"{named} cannot be had for writing: {why(error)}", reason="DESTINATION_IN_USE", hint=hint) from error
    try:
        _refuse_data(fd, path, named, size, overwrite=overwrite or sure, serial=serial_of(path) if sure else serial)
    except BaseException:
        os.close(fd)
        raise
    return fd, sinks.Device(fd)


def serial_of(path: str) -> str:
    """What the device is named by where it is to be overwritten: its serial number, else its WWN, its image, or its size in bytes."""
    device = system.device_of(path, system.block_devices())
    if device is None:
        return ""
    return str(device.serial or device.wwn or device.backing_file or device.size)


def _refuse_data(fd: int, path: str, named: str, size: int, **wishes: Any) -> None:
    has = struct.unpack("Q", fcntl.ioctl(fd, BLKGETSIZE64, bytes(8)))[0]
    if has < size:
        raise Refused(f"{named} has {has} bytes; {size} are to be restored", reason="TOO_SMALL", hint="choose a larger device")
    if _blank(fd, has):
        return
    if not wishes["overwrite"]:
        hint = f"--overwrite --serial {serial_of(path)} destroys what is on it; check model and serial number first"
        raise Refused(f"{named} holds data and would be overwritten", reason="EXISTS", hint=hint)
    if wishes["serial"] != serial_of(path):
        said = "it was not named" if wishes["serial"] is None else f"another one was named: {wishes['serial']}"
        hint = f"--serial {serial_of(path)}, when you are sure that it is this disk"
        raise Refused(f"{named} holds data, and {said}", reason="SERIAL_NEEDED", hint=hint)


def _blank(fd: int, size: int) -> bool:
    """True when both ends of the device are zeros, or nothing but 0xFF, as on an erased flash."""
    for at in (0, max(0, size - _EDGE)):
        data = os.pread(fd, _EDGE, at)
        if data.count(0) != len(data) and data.count(0xFF) != len(data):
            return False
    return True


def _named(path: str) -> str:
    """PATH with model, serial number and size, so that nobody overwrites the wrong disk."""
    device = system.device_of(path, system.block_devices())
    if device is None:
        return path
    what = [text for text in (device.model, device.serial, device.backing_file) if text]
    return f"{path} ({', '.join([*what, f'{device.size} bytes'])})"


def _refuse_mounted(path: str, named: str) -> None:
    """Raise Refused when the device or a partition of it is mounted: O_EXCL on a whole disk does not see its partitions' file systems
    on every kernel."""
    devices = system.block_devices()
    device = system.device_of(path, devices)
    if device is None:
        return
    numbers = {each.devno for each in devices if device.name in (each.name, each.parent)}
    nodes = {each.path for each in devices if each.devno in numbers}
    for mount in system.mounts():
        source = mount.source
        with suppress(OSError):
            source = os.path.realpath(source)
        if mount.devno in numbers or source in nodes:
            raise Refused(f"{named} is mounted at {mount.mount_point}", reason="DESTINATION_MOUNTED", hint=f"umount {mount.mount_point}")
