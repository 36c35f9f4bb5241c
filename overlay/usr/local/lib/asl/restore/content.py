# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writing a run of bytes, and the restore of a disk or a stream into a file or onto a device."""

from __future__ import annotations

import fcntl
import os
import stat
import struct
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Optional, Union

from asl import system
from asl.errors import Refused, Unavailable, Usage
from asl.formats import artifact
from asl.restore import ranges, sinks
from asl.restore.ranges import DATA, HOLE, LOST, Range
from asl.restore.result import RestoreResult, fatal
from asl.sources.base import READ_SIZE, why
from asl.store.contents import Payloads

BLKGETSIZE64 = 0x80081272
NOT_READ = "it could not be read when the snapshot was made"
Lose = Callable[[str, int, int, str], None]
Sink = Union[sinks.NewFile, sinks.OldFile, sinks.Device]


def pour(store: Payloads, wanted: Iterable[Range], sink: Sink, lose: Lose, step: Callable[[int], None]) -> int:
    """Write WANTED into SINK; how many bytes it covers. LOSE(what, offset, length, why) for each range that is not there.

    What the sink holds already is left alone; ranges that are lost become zeros. STEP(bytes) is called as it goes on."""
    at = 0
    for each in _joined(wanted):
        if each.kind == DATA:
            _data(store, each, at, sink, lose)
        else:
            sink.zero(at, each.length)
            if each.kind != HOLE:
                lose("damaged" if each.kind == LOST else "unread", at, each.length, each.reason or NOT_READ)
        at += each.length
        step(each.length)
    sink.finish(at)
    return at


def _data(store: Payloads, each: Range, at: int, sink: Sink, lose: Lose) -> None:
    there = sink.holds(at, each.length)
    if len(there) == each.length and artifact.digest(there) == each.digest:
        return
    try:
        data = ranges.chunk(store, each)
    except ranges.DAMAGE as error:
        sink.zero(at, each.length)
        lose("damaged", at, each.length, str(error))
        return
    sink.write(at, data)


def _joined(wanted: Iterable[Range]) -> Iterator[Range]:
    """WANTED with neighbouring ranges joined that are not there for the same reason: one loss each."""
    last: Optional[Range] = None
    for each in wanted:
        if last is not None and each.kind != DATA and (each.kind, each.reason) == (last.kind, last.reason):
            last = last._replace(length=last.length + each.length)
            continue
        if last is not None:
            yield last
        last = each
    if last is not None:
        yield last


def is_held(wanted: Iterable[Range], fd: int) -> bool:
    """True when the file FD holds exactly this content already, byte for byte by the digests."""
    file, at = sinks.OldFile(fd), 0
    for each in wanted:
        if each.kind == LOST:
            return False
        if each.kind == DATA:
            there = file.holds(at, each.length)
            if len(there) != each.length or artifact.digest(there) != each.digest:
                return False
        elif not _reads_as_zeros(file, at, each.length):
            return False
        at += each.length
    return at == os.fstat(fd).st_size


def _reads_as_zeros(file: sinks.OldFile, at: int, length: int) -> bool:
    end = at + length
    while at < end:
        there = file.holds(at, min(READ_SIZE, end - at))
        if not there or there.count(0) != len(there):
            return False
        at += len(there)
    return True


def restore_content(
    store: Payloads, digest: bytes, path: str, *, size: int, device: bool = False, overwrite: bool = False,
    progress: Optional[Callable[[RestoreResult], None]] = None,
) -> RestoreResult:  # fmt: skip
    """Write the recipe DIGEST, SIZE bytes, to the file PATH or with DEVICE onto the block device PATH.

    Raises Refused for what is there already unless OVERWRITE, and always for a device that is in use or too small. With
    OVERWRITE what is right already is not written again: a restore that was stopped goes on."""
    result = RestoreResult(path, progress=progress)
    fd, sink = _open_device(path, size, overwrite) if device else _open_file(path, overwrite)

    def lose(what: str, at: int, length: int, reason: str) -> None:
        result.lose(what, f"{path}: {length} bytes at {at}", reason)

    def step(length: int) -> None:
        result.bytes += length
        result.step()

    try:
        pour(store, ranges.recipe_ranges(store, digest, size), sink, lose, step)
        os.fsync(fd)
    except OSError as error:
        raise fatal(error, path) or Unavailable(f"{path} cannot be written: {why(error)}", reason="WRITE_FAILED") from error
    finally:
        os.close(fd)
    result.files = 1
    return result


def _open_file(path: str, overwrite: bool) -> tuple[int, Sink]:
    flags = os.O_RDWR | os.O_CLOEXEC
    try:
        fd = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o600)
        return fd, sinks.NewFile(fd)
    except FileExistsError as error:
        status = os.stat(path)
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


def _open_device(path: str, size: int, overwrite: bool) -> tuple[int, Sink]:
    """The device, claimed for us alone (open(2): O_EXCL on a block device fails when it is mounted or part of something)."""
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
    has = struct.unpack("Q", fcntl.ioctl(fd, BLKGETSIZE64, bytes(8)))[0]
    refused = None
    if has < size:
        refused = Refused(f"{named} has {has} bytes; {size} are to be restored", reason="TOO_SMALL", hint="choose a larger device")
    elif not overwrite:
        hint = "--overwrite destroys what is on it; check model and serial number first"
        refused = Refused(f"{named} would be overwritten", reason="EXISTS", hint=hint)
    if refused is not None:
        os.close(fd)
        raise refused
    return fd, sinks.Device(fd)


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
