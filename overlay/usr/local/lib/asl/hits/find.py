# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which files lie where a disk could not be read: every file system on it is mounted read-only, and every file's place is asked for.

Only what the file systems keep for themselves is read, and the files of which they cannot tell where they lie (compressed ones, and
on FAT all). What of that cannot be read is a hit too: a directory whose names are lost, a file that cannot be opened.
"""

from __future__ import annotations

import contextlib
import os
import stat
import time
from collections.abc import Callable, Iterator
from typing import Any, Optional

from asl.deadline import in_child
from asl.errors import AslError, Unavailable, Usage
from asl.hits import view
from asl.hits.disk import Disk
from asl.hits.renamed import laid_over, renamed
from asl.hits.volume import Ranges, Volume, check_alone, has_checksums
from asl.sources import btrfs
from asl.sources.several import Read
from asl.survey.look import look

# Files that are listed; the others are counted.
LISTED = 10_000
# One day: a disk with very many files, in a store on a slow disk.
SECONDS = 86_400.0
Progress = Callable[[str, int], None]
# (where, bytes) that stand in place of those of the disk.
Over = Optional[tuple[int, bytes]]
# What the disks that there are have for a sector, in bytes.
SECTORS = (512, 1024, 2048, 4096)
_RESTORE = "name the file that asl-admin restore --file made of this snapshot, or leave --image out"


def _volumes(path: str, sector: int) -> list[dict[str, Any]]:
    """Every volume on the disk PATH: number (0 for the whole disk), start and size in bytes, and what lies there (survey.look)."""
    seen = look(path, sector)
    whole = {"number": 0, "start": 0, "size": seen["size"], "volume": seen["volume"]}
    found = seen["partitions"] if seen["table"] else [whole]
    return [{key: each[key] for key in ("number", "start", "size", "volume")} for each in found]


def sector_of(details: Any) -> int:
    """The sector size of a disk in bytes, out of the DETAILS of its source in a receipt; 512 where these do not tell."""
    found = details.get("sector_size") if isinstance(details, dict) else None
    return found if isinstance(found, int) and found in SECTORS else SECTORS[0]


def check_image(path: str, spec: str, size: int) -> None:
    """Raise Usage (WRONG_IMAGE) unless PATH is a file or a block device of SIZE bytes, as the disk SPEC has."""
    try:
        mode = os.stat(path).st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISBLK(mode)):
            raise Usage(f"{path} is neither a file nor a block device", reason="WRONG_IMAGE", hint=_RESTORE)
        with open(path, "rb", buffering=0) as file:
            there = file.seek(0, os.SEEK_END)
    except OSError as error:
        raise Usage(f"{path} cannot be opened: {error.strerror}", reason="WRONG_IMAGE", hint=_RESTORE) from error
    if there != size:
        what = f"{path} is not what {spec} was restored into: it has {there} bytes, and the snapshot {size}"
        raise Usage(what, reason="WRONG_IMAGE", hint=_RESTORE)


class Search:
    """One search. IMAGE: a file that DISK (called SPEC) was restored into, or None."""

    def __init__(self, disk: Disk, spec: str, image: Optional[str], progress: Optional[Progress]) -> None:
        self._disk, self._spec, self._image, self._progress = disk, spec, image, progress
        self._missing = disk.missing()
        self.volumes: list[dict[str, Any]] = []
        self.files: list[dict[str, Any]] = []
        self.omitted = 0

    def run(self, sector: int) -> dict[str, Any]:
        """Look into every volume of the disk, or say of it why not. SECTOR is its sector size in bytes."""
        if self._missing:
            view.alone()
            with self._shown(failing=False) as path:
                volumes = _volumes(path, sector)
            for each in volumes:
                self._look(each)
        total = sum(end - start for start, end in self._missing)
        return {"bytes_unread": total, "volumes": self.volumes, "files": self.files, "files_omitted": self.omitted}

    @contextlib.contextmanager
    def _shown(self, *, failing: bool, over: Over = None) -> Iterator[str]:
        """The disk as a file: what is missing FAILS, or is zeros. OVER: see _read."""
        if not self._image:
            with view.as_file(self._disk.size, self._read(failing=failing, over=over)) as path:
                yield path
        elif failing:
            raise Unavailable("in an image zeros could be taken for what is missing", reason="NO_FUSE", hint="run it without --image")
        else:
            yield self._image

    def _read(self, *, failing: bool, over: Over) -> Read:
        """What reads the disk, with bytes of OVER in place of its own."""
        read = self._disk.read if failing else self._disk.filled
        return laid_over(read, *over) if over else read

    def _renamed(self, start: int, kind: str) -> Over:
        """What gives the btrfs at START a UUID that no disk here has; None for anything else, and where it has to keep its own."""
        if kind != "btrfs" or self._image:
            return None
        at = start + btrfs.OFFSET
        block = renamed(self._disk.filled(at, btrfs.SIZE))
        return None if block is None else (at, block)

    def _look(self, found: dict[str, Any]) -> None:
        start, size, volume = found["start"], found["size"], found["volume"] or {}
        missing = [(max(a, start) - start, min(b, start + size) - start) for a, b in self._missing if a < start + size and b > start]
        told: dict[str, Any] = {
            "number": found["number"], "start": start, "size": size, "type": volume.get("type"), "label": volume.get("label"),
            "bytes_unread": sum(b - a for a, b in missing), "files": None, "files_hit": 0, "bytes_hit": 0, "view": None, "why": None,
        }  # fmt: skip
        self.volumes.append(told)
        if not missing:
            told["why"] = "all of it was read"
        elif volume.get("usage") != "filesystem":
            told["why"] = f"it holds {volume['type']}, no file system" if volume else "nothing is known to be on it"
        else:
            try:
                self._volume(told, missing)
            except AslError as error:
                told["why"] = str(error)

    def _volume(self, told: dict[str, Any], missing: Ranges) -> None:
        start, size, kind = told["start"], told["size"], told["type"]
        name = f"{self._spec}, partition {told['number']}" if told["number"] else self._spec
        over = self._renamed(start, kind)
        read = self._read(failing=False, over=over)
        check_alone(name, kind, lambda at, length: read(start + at, length))
        ways = [False] if has_checksums(kind, self._disk.filled(start, 2048)) else [True]
        if ways == [True] and kind in ("ext2", "ext3", "ext4"):
            ways = [True, False]  # reading a directory ends at what fails; behind zeros it goes on
        found: dict[str, dict[str, Any]] = {}
        omitted = 0
        for failing in ways:
            try:
                if self._progress:
                    self._progress(name, 0)
                with self._shown(failing=failing, over=over) as path, view.as_device(path, start, size) as device:
                    seen = Volume(name, device, kind, missing, LISTED)
                    seen.find(lambda count: self._progress(name, count) if self._progress else None)
            except AslError as error:
                if failing == ways[-1]:
                    raise
                told["why"] = f"it can be mounted with zeros for what is missing only, so there may be more: {error}"
                continue
            found = {**seen.files, **found}
            told.update(files=max(told["files"] or 0, seen.looked_at), bytes_hit=max(told["bytes_hit"], seen.bytes_hit), view=seen.view)
            omitted = max(omitted, seen.omitted)
        room = LISTED - len(self.files)
        self.files += [{"volume": told["number"], **each} for each in list(found.values())[:room]]
        self.omitted += omitted + max(0, len(found) - room)
        told["files_hit"] = len(found) + omitted


def _work(disk: Disk, spec: str, image: Optional[str], sector: int, progress: Optional[Progress]) -> dict[str, Any]:
    """In a process of its own, which mounts what nobody else shall see. Values for JSON; an error as its document."""
    try:
        return Search(disk, spec, image, progress).run(sector)
    except AslError as error:
        return {"failed": error.document()}


def find(disk: Disk, spec: str, *, image: Optional[str] = None, sector: int = 512, progress: Optional[Progress] = None) -> dict[str, Any]:
    """Which files of DISK (called SPEC) hold bytes that are missing: the document of `asl-admin hits --json`, without the snapshot.

    IMAGE: a file or disk that this disk was restored into, looked at instead of the snapshot itself. SECTOR: see sector_of. PROGRESS(what
    is looked at, how many files so far) is called in another process. Raises Unavailable; Usage where IMAGE is not of its size."""
    if image is not None:
        check_image(image, spec, disk.size)
    began = time.monotonic()
    outcome = in_child(lambda: _work(disk, spec, image, sector, progress), SECONDS)
    if outcome.error is not None:
        raise Unavailable(f"the files on {spec} cannot be named: {outcome.error}", reason="HITS_FAILED")
    found: dict[str, Any] = outcome.value
    if "failed" in found:
        told = found["failed"]
        raise Unavailable(f"the files on {spec} cannot be named: {told['error']}", reason=told["reason"], hint=told["hint"])
    return {**found, "seconds": round(time.monotonic() - began, 3)}
