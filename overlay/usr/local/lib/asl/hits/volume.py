# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of one file system that lie where its disk could not be read.

Where every structure of a file system has a checksum (ext4 with metadata_csum, xfs version 5), it is shown with zeros for what is
missing: what is hit tells itself, and what lies in the same block does not suffer. Any other one is shown with ranges that fail, for
zeros would be taken for something; ext3 then with zeros too, for the names behind a block of a directory that fails.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Sequence
from typing import Any, Optional

from asl.errors import Refused, Unavailable
from asl.formats import tree
from asl.hits.extents import Chunks, OnlyReading, extents, holding
from asl.sources import btrfs, several
from asl.sources.base import shown
from asl.sources.fs import FilesystemSource
from asl.sources.guard import Guard
from asl.sources.visit import ENTER, Visit

# Ranges of a file that are listed; the others are counted.
RANGES = 100
UNREAD, NOT_LISTED = "unread", "not_listed"
Ranges = Sequence[tuple[int, int]]


def has_checksums(kind: str, superblock: bytes) -> bool:
    """Whether all structures of the file system of type KIND have checksums; SUPERBLOCK is its first 2048 bytes.

    ext4: u32 ro_compat at 100 of the superblock at 1024, 0x400 is metadata_csum. xfs: u16 (big-endian) version at 100, low 4 bits."""
    if len(superblock) < 2048:
        return False
    if kind == "ext4":
        return bool(struct.unpack_from("<I", superblock, 1024 + 100)[0] & 0x400)
    return kind == "xfs" and struct.unpack_from(">H", superblock, 100)[0] & 0xF == 5


def check_alone(spec: str, kind: str, read: several.Read, device: Optional[str] = None) -> bool:
    """Raise Refused (SEVERAL_DEVICES) where the kernel would open real disks with the file system SPEC of type KIND, or take one for it;
    Unavailable where its superblock cannot be read. True where it has a journal on another device, which has to be left alone.

    READ gives its bytes; DEVICE is the one that shows them, where there is one already. Before that is the time to ask: a device
    that appears is registered by its UUID at once (udev tells btrfs of it)."""
    if kind != "btrfs":
        return several.check(spec, kind, read) is not None
    try:
        own = btrfs.parse(read(btrfs.OFFSET, btrfs.SIZE))
    except OSError:
        own = None
    if own is None:
        raise Unavailable(f"{spec}: the superblock of its btrfs cannot be read", reason="MOUNT_FAILED")
    others = btrfs.others(own.fsid, device)
    if own.devices > 1:
        what = f"is a btrfs of {own.devices} devices, and mounting one makes the kernel open the others"
    elif others:
        what = f"is a btrfs, and {others[0]} here has the same UUID: the kernel would take the one for the other"
    elif btrfs.is_mounted(own.fsid):
        what = "is a btrfs, and one of the same UUID is mounted here: the kernel would take the one for the other"
    else:
        return False
    raise Refused(f"{spec} is not mounted: it {what}", reason="SEVERAL_DEVICES", hint="ask on a machine that has none of its disks")


class Volume(FilesystemSource):
    """The file system on DEVICE, of type KIND, which lacks MISSING: (start, end) in bytes, in order and apart. What it hits is in
    `files`."""

    def __init__(self, spec: str, device: str, kind: str, missing: Ranges, most: int) -> None:
        """MOST is the number of files that are listed; the others are counted."""
        super().__init__(spec, device)
        self._type = kind
        self._missing, self._most = missing, most
        self.files: dict[str, dict[str, Any]] = {}
        self.omitted = self.looked_at = self.bytes_hit = 0

    def _device(self, guard: Guard) -> str:
        """The device, which is read-only by itself: the flag would outlive it."""
        return self.device

    def _beside(self, kind: str, device: str, guard: Guard) -> list[str]:
        """Nothing else: a disk of the same name is a real one, which nobody asked to be touched."""
        self._journal_elsewhere = check_alone(self.spec, kind, several.reader(device), device)
        return []

    def _probe(self, device: str) -> dict[str, str]:
        """What the survey found: blkid gives up at the first sector it cannot read."""
        return {"TYPE": self._type}

    def find(self, tick: Callable[[int], None]) -> None:
        """Look at every file. Raises Refused, Unavailable where it cannot be mounted."""
        with self:
            chunks = self._chunks() if self._type == "btrfs" else None
            for visit in self.walk():
                kind = visit.entry.type
                if kind == tree.HARDLINK:
                    self._same(shown(visit.path), os.fsdecode(visit.entry.target))
                elif kind == tree.FILE and visit.entry.size:
                    self._file(visit, chunks)
                elif kind == tree.SYMLINK:
                    self._link(visit)
                elif visit.kind == ENTER and self._type == "ext4":
                    self._names_of(visit)
                self.looked_at += kind != tree.DIRECTORY
                tick(self.looked_at)

    def _link(self, visit: Visit) -> None:
        """The target of a long link has a block of its own, and no checksum."""
        try:
            size = os.lstat(self._inside(visit)).st_size
        except OSError:
            return  # it could be read a moment ago
        if size != len(visit.entry.target):
            self._entry(shown(visit.path), UNREAD, "where it leads to is lost")

    def _names_of(self, visit: Visit) -> None:
        """ext4 passes over a block of a directory that is damaged, and says nothing."""
        try:
            fd = os.open(self._inside(visit), os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                hit = holding(extents(fd, os.fstat(fd).st_size), self._missing)
            finally:
                os.close(fd)
        except OnlyReading:
            return  # its names are within its inode, which could be read
        except OSError as error:
            self.lose(NOT_LISTED, shown(visit.path), f"where it lies is not known: {error.strerror}")
            return
        if hit:
            self.lose(NOT_LISTED, shown(visit.path), f"{sum(end - start for start, end in hit)} bytes of its names could not be read")

    def _inside(self, visit: Visit) -> bytes:
        return os.path.join(os.fsencode(self.mount_point), visit.path)

    def _chunks(self) -> Optional[Ranges]:
        fd = os.open(self.mount_point, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            return Chunks(fd, self._missing).missing
        except (OSError, ValueError):
            return ()  # then every file is read
        finally:
            os.close(fd)

    def _file(self, visit: Visit, chunks: Optional[Ranges]) -> None:
        """Where the file lies; where nobody can tell, and on btrfs (which may have a second copy), what reading it gives."""
        hit = self._hit(visit, chunks)
        if hit is None or (hit and chunks is not None):
            for _piece in visit.pieces():
                pass
            return
        for start, end in hit:
            self._range(shown(visit.path), start, end - start, "")

    def _hit(self, visit: Visit, chunks: Optional[Ranges]) -> Optional[Ranges]:
        """(start, end) in the file of what lies where the disk could not be read; None where only reading tells."""
        if chunks is not None and not chunks:
            return None
        try:
            fd = visit.open()
            try:
                return holding(extents(fd, visit.entry.size), self._missing if chunks is None else chunks)
            finally:
                os.close(fd)
        except (OnlyReading, OSError):
            return None  # reading it says why

    def lose(self, what: str, where: str, why: str) -> None:
        """What could not be read is a hit: a range of a file, or a name."""
        if what == UNREAD:
            path, _colon, place = where.rpartition(": ")
            length, _at, start = place.partition(" bytes at ")
            self._range(path, int(start), int(length), why)
        else:
            self._entry(where, what, why)

    def _range(self, path: str, start: int, length: int, why: str) -> None:
        self.bytes_hit += length
        entry = self._entry(path, UNREAD, why)
        if entry is not None:
            entry["bytes"] += length
            if len(entry["ranges"]) < RANGES:
                entry["ranges"].append([start, length])
            else:
                entry["ranges_omitted"] += 1

    def _entry(self, path: str, what: str, why: str) -> Optional[dict[str, Any]]:
        found = self.files.get(path)
        if found is None and len(self.files) >= self._most:
            self.omitted += 1
        elif found is None:
            found = self.files[path] = {"path": path, "what": what, "why": why, "bytes": 0, "ranges": [], "ranges_omitted": 0}
        return found

    def _same(self, path: str, first: str) -> None:
        """PATH is another name of FIRST."""
        if first in self.files and self._entry(path, UNREAD, "") is not None:
            self.files[path] = {**self.files[first], "path": path}
