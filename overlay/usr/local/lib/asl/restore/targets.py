# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Opening what a disk is restored to, and refusing what must not be overwritten."""

from __future__ import annotations

import fcntl
import os
import stat
import struct
from contextlib import suppress
from typing import Optional, Union

from asl import system
from asl.errors import Refused, Unavailable, Usage
from asl.restore import sinks
from asl.sources.base import why

BLKGETSIZE64 = 0x80081272
BLKROGET = 0x125E
Sink = Union[sinks.NewFile, sinks.OldFile, sinks.Device]
# Where everything that lies on a disk leaves a trace: tables, labels and superblocks stand in the first and last MiB.
_EDGE = 4 << 20


def create(path: str) -> tuple[int, Sink]:
    """The file PATH, made anew. Raises Refused where somebody was faster, Unavailable."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError as error:
        raise Refused(f"{path} has just been made by somebody else", reason="EXISTS", hint="choose another name") from error
    except OSError as error:
        raise Unavailable(f"{path} cannot be made: {why(error)}", reason="WRITE_FAILED") from error
    return fd, sinks.NewFile(fd)


def look(
    path: str, size: int, *, device: bool = False, overwrite: bool = False, serial: Optional[str] = None
) -> tuple[int, Optional[Refused]]:
    """(What is at PATH, opened to be read and nothing else; the refusal of everybody who would change it, None where these arguments
    consent to that).

    A device is claimed for us alone (open(2): O_EXCL on a block device fails when it is mounted or part of something). Raises Refused
    for what nobody can consent to: a device that is in use, too small, or write-protected; Usage, Unavailable."""
    fd, refused = _device(path, size, os.O_RDONLY, overwrite, serial) if device else _file(path, os.O_RDONLY, overwrite)
    if refused is None and not (_writable(fd) if device else os.access(path, os.W_OK)):
        os.close(fd)
        if device:
            hint = "choose another device, or take the protection away (blockdev --setrw)"
            raise Refused(f"{_named(path)} is write-protected", reason="DESTINATION_IN_USE", hint=hint)
        raise Unavailable(f"{path} cannot be written: permission denied, or a read-only file system", reason="WRITE_FAILED")
    return fd, refused


def change(path: str, size: int, *, device: bool = False, overwrite: bool = False, serial: Optional[str] = None) -> tuple[int, Sink]:
    """What is at PATH, opened for writing. Raises as look(), and the refusal itself."""
    fd, refused = _device(path, size, os.O_RDWR, overwrite, serial) if device else _file(path, os.O_RDWR, overwrite)
    if refused is not None:
        os.close(fd)
        raise refused
    return fd, sinks.Device(fd) if device else sinks.OldFile(fd)


def _file(path: str, flags: int, overwrite: bool) -> tuple[int, Optional[Refused]]:
    try:
        status = os.stat(path)
    except OSError as gone:
        hint = "choose another name"
        raise Usage(f"{path} is a link that leads nowhere: {why(gone)}", reason="DESTINATION_KIND", hint=hint) from gone
    if not stat.S_ISREG(status.st_mode):
        hint = f"--device {path} writes to a block device" if stat.S_ISBLK(status.st_mode) else "choose another name"
        raise Usage(f"{path} is no regular file", reason="DESTINATION_KIND", hint=hint)
    try:
        fd = os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise Unavailable(f"{path} cannot be opened: {why(error)}", reason="WRITE_FAILED") from error
    if overwrite:
        return fd, None
    hint = "choose another name, or --overwrite to go on with what is there"
    return fd, Refused(f"{path} exists already ({status.st_size} bytes)", reason="EXISTS", hint=hint)


def _device(path: str, size: int, flags: int, overwrite: bool, serial: Optional[str]) -> tuple[int, Optional[Refused]]:
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
        fd = os.open(path, flags | os.O_EXCL | os.O_CLOEXEC)
    except OSError as error:
        hint = "unmount it, and stop what lies on it (LVM, RAID, swap)"
        raise Refused(f"{named} cannot be had for writing: {why(error)}", reason="DESTINATION_IN_USE", hint=hint) from error
    try:
        return fd, _refusal(fd, path, size, overwrite=overwrite, serial=serial)
    except BaseException:
        os.close(fd)
        raise


def serial_of(path: str) -> str:
    """What the device is named by where it is to be overwritten: its serial number, else its WWN, its image, or its size in bytes."""
    device = system.device_of(path, system.block_devices())
    if device is None:
        return ""
    return str(device.serial or device.wwn or device.backing_file or device.size)


def _refusal(fd: int, path: str, size: int, *, overwrite: bool, serial: Optional[str]) -> Optional[Refused]:
    """Why the device must not be written to; None where it is blank, or where OVERWRITE is set and SERIAL names it. Raises Refused for
    one that is too small."""
    named = _named(path)
    has = struct.unpack("Q", fcntl.ioctl(fd, BLKGETSIZE64, bytes(8)))[0]
    if has < size:
        raise Refused(f"{named} has {has} bytes; {size} are to be restored", reason="TOO_SMALL", hint="choose a larger device")
    if _blank(fd, has):
        return None
    if not overwrite:
        hint = f"--overwrite --serial {serial_of(path)} destroys what is on it; check model and serial number first"
        return Refused(f"{named} holds data and would be overwritten", reason="EXISTS", hint=hint)
    if not serial or serial != serial_of(path):
        said = "it was not named" if serial is None else f"another one was named: {serial}"
        hint = f"--serial {serial_of(path)}, when you are sure that it is this disk"
        return Refused(f"{named} holds data, and {said}", reason="SERIAL_NEEDED", hint=hint)
    return None


def _writable(fd: int) -> bool:
    """False for a block device that is write-protected."""
    return not struct.unpack("i", fcntl.ioctl(fd, BLKROGET, bytes(4)))[0]


def _blank(fd: int, size: int) -> bool:
    """True when both ends of the device are zeros, or nothing but 0xFF, as on an erased flash. What cannot be read may be anything."""
    for at in (0, max(0, size - _EDGE)):
        try:
            data = os.pread(fd, _EDGE, at)
        except OSError:
            return False
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
