# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`device:/dev/sda`: a disk, a partition or an image file, every byte of it. Only ever opened for reading.

A block device is read in passes (sources.passes); so is an image whose ddrescue mapfile says what of it was never read. Any other
image file is read from front to back.
"""

from __future__ import annotations

import fcntl
import os
import stat
import struct
from types import TracebackType
from typing import Any, Optional

from asl import system
from asl.errors import Unavailable, Usage
from asl.sources.base import Content, Pieces, Source, why
from asl.sources.files import state_of
from asl.sources.mapfile import RescueMap, read_map
from asl.sources.media import Media
from asl.sources.passes import Passes
from asl.sources.patient import PatientReader
from asl.sources.reader import SECTOR, Reader
from asl.survey import smart

# linux/fs.h
BLKSSZGET = 0x1268
_INT = struct.Struct("i")
HEALTH_SECONDS = 30.0


def sector_size(fd: int) -> int:
    """The logical sector size of a block device in bytes; 512 for anything else."""
    try:
        size: int = _INT.unpack(fcntl.ioctl(fd, BLKSSZGET, bytes(_INT.size)))[0]
    except OSError:
        return SECTOR
    return size


def identity(path: str) -> dict[str, Any]:
    """What sysfs says of a block device: name, model, serial, wwn, and for a partition its disk and start in bytes."""
    device = system.device_of(path, system.block_devices())
    if device is None:
        return {}
    told = {
        "device": device.path, "disk": device.parent, "partition": device.number, "start": device.start if device.number else None,
        "model": device.model, "serial": device.serial, "wwn": device.wwn, "image": device.backing_file,
    }  # fmt: skip
    return {key: value for key, value in told.items() if value is not None}


class DeviceSource(Source):
    """A block device or an image file as one run of bytes."""

    kind = "device"

    def __init__(self, spec: str, path: str) -> None:
        super().__init__(spec)
        self.path = path
        self.media = Media()
        self.told: dict[str, Any] = {}
        """What reading it showed: added to details()."""
        self._fd = -1
        self._readers: list[Reader] = []
        self._size: Optional[int] = None

    def __enter__(self) -> DeviceSource:
        """Open it. Raises Unavailable for a device that cannot be opened or has no medium."""
        try:
            self._fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
            self._size = os.lseek(self._fd, 0, os.SEEK_END)
        except OSError as error:
            self._close()
            raise Unavailable(f"{self.spec} cannot be opened: {why(error)}", reason="SOURCE_UNREADABLE") from error
        if self._size == 0 and stat.S_ISBLK(os.fstat(self._fd).st_mode):
            self._close()
            raise Unavailable(f"{self.spec} has no medium: its size is 0", reason="NO_MEDIUM")
        return self

    def __exit__(self, _type: Optional[type[BaseException]], _error: Optional[BaseException], _traceback: Optional[TracebackType]) -> None:
        self._close()

    def _close(self) -> None:
        while self._readers:  # whoever reads may have stopped half way
            self._readers.pop().close()
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1

    def details(self) -> dict[str, Any]:
        """Size and logical sector size in bytes, and what is known of the disk."""
        return {"size": self._size, "sector_size": self.sector, **identity(self.path), **self.told}

    @property
    def size(self) -> int:
        """Its size in bytes, once it is open."""
        return self._size or 0

    @property
    def sector(self) -> int:
        """Its logical sector size in bytes, once it is open."""
        return sector_size(self._fd)

    @property
    def is_image(self) -> bool:
        """True for an image file, False for a block device."""
        return not stat.S_ISBLK(os.fstat(self._fd).st_mode)

    @property
    def in_passes(self) -> bool:
        """True where content() is not the way: it has to be read in passes."""
        return not self.is_image or self.media.map is not None

    def key(self) -> dict[str, Any]:
        """What tells this disk from others, also where it has another name after the next boot. Where it has no name that is its own
        everywhere, it is a disk of this machine."""
        told = identity(self.path)
        names: dict[str, Any] = {name: told[name] for name in ("serial", "wwn", "model", "image", "partition", "start") if name in told}
        if not {"serial", "wwn"} & set(names):
            names["machine"] = system.machine_id()
            names["mapped"] = system.read_text(f"/sys/class/block/{os.path.basename(os.path.realpath(self.path))}/dm/uuid") or ""
            if "image" not in names:
                names["path"] = os.path.realpath(self.path)
        if self.is_image:
            status = os.fstat(self._fd)
            names.update(inode=status.st_ino, changed=status.st_mtime_ns)
        return {**names, "size": self.size}

    def partition_starts(self) -> list[int]:
        """Where its partitions begin, in bytes, as the kernel knows them; a partition has none."""
        devices = system.block_devices()
        device = system.device_of(self.path, devices)
        return [each.start for each in devices if device is not None and each.parent == device.name]

    def health(self) -> Optional[dict[str, Any]]:
        """What the disk says of its own health (survey.smart); None for an image, or where smartctl is not installed."""
        return None if self.is_image else smart.health(self.path, HEALTH_SECONDS)

    def passes(self, known: RescueMap) -> Passes:
        """The passes over it. Close them."""
        domain = read_map(self.media.domain_map, self.size) if self.media.domain_map else None
        return Passes(known, self.patient(), self.sector, self.media, domain)

    def patient(self) -> PatientReader:
        """A reader of it whose reads have a deadline. Close it."""
        return PatientReader(self._fd, self.media.read_deadline)

    def reader(self, *, patient: bool = False) -> Reader:
        """A careful reader of it, whose reads have a deadline when it is PATIENT; what it cannot read is a loss. It is closed with the
        source, if not before."""
        self._readers.append(Reader(self._fd, self._unread, sector=self.sector, patient=self.patient() if patient else None))
        return self._readers[-1]

    def _unread(self, at: int, length: int, reason: str) -> None:
        self.lose("unread", f"{self.path}: {length} bytes at {at}", reason)

    def estimate(self) -> Optional[int]:
        """The size; for a sparse image what is allocated of it."""
        status = os.stat(self.path)
        if stat.S_ISREG(status.st_mode):
            return min(status.st_size, status.st_blocks * 512)
        return self._size

    def content(self) -> Content:
        """All of the device."""
        if self._size is None:
            raise Usage(f"{self.spec} has not been opened", reason="NOT_OPEN")
        return _Whole(self, self._fd, self._size)


class _Whole:
    def __init__(self, source: DeviceSource, fd: int, size: int) -> None:
        self.size: Optional[int] = size
        self._source = source
        self._fd = fd
        self._bytes = size

    def pieces(self) -> Pieces:
        """Every byte once. A whole image file that changes meanwhile is a loss, as nothing of it is of one moment."""
        before = os.fstat(self._fd)
        reader = self._source.reader()
        try:
            yield from reader.whole(self._bytes)
        finally:
            reader.close()
        if stat.S_ISREG(before.st_mode) and state_of(os.fstat(self._fd)) != state_of(before):
            self._source.lose("changed", self._source.path, "it changed while it was read")


def check_device_path(spec: str, path: str) -> None:
    """Raise Usage unless PATH is a block device or a regular file."""
    try:
        status = os.stat(path)
    except OSError as error:
        raise Usage(f"{spec}: {why(error)}", reason="SOURCE_NOT_FOUND", hint="asl-intake survey shows the disks that are there") from error
    if not (stat.S_ISBLK(status.st_mode) or stat.S_ISREG(status.st_mode)):
        hint = f"stream:{path} reads what comes out of it"
        if stat.S_ISDIR(status.st_mode):
            hint = f"tree:{path} reads what is below a directory"
        raise Usage(f"{spec} is neither a block device nor an image file", reason="SOURCE_KIND", hint=hint)
