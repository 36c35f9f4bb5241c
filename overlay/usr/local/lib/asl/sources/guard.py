# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Making sure that nothing writes to a block device while it is looked at, and putting it back afterwards.

Mounting with `-o ro` is not enough: ext4, xfs and btrfs replay a dirty journal all the same. The block device itself is set
read-only (BLKROSET), after which such a mount fails instead of writing. What was set is recorded first, under /run/asl, so
that the next run can put it back when this one is killed.
"""

from __future__ import annotations

import fcntl
import json
import os
import struct
from typing import Any, Optional

from asl import system
from asl.errors import Refused, Unavailable
from asl.sources.base import why

# linux/fs.h
BLKROSET, BLKROGET = 0x125D, 0x125E
_INT = struct.Struct("i")
DEADLINE = 60.0


def is_read_only(device: str) -> bool:
    """The read-only flag of a block device."""
    fd = os.open(device, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return bool(_INT.unpack(fcntl.ioctl(fd, BLKROGET, bytes(_INT.size)))[0])
    finally:
        os.close(fd)


def set_read_only(device: str, flag: bool) -> None:
    """Set or clear the read-only flag of a block device. Raises OSError."""
    fd = os.open(device, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.ioctl(fd, BLKROSET, _INT.pack(flag))
    finally:
        os.close(fd)


class Guard:
    """The devices of one source, read-only until `release()`. One process at a time holds the guard of a source.

    RECORD is a path without suffix: RECORD.lock is locked, RECORD.json says what has to be put back. BUSY says what another holder does."""

    def __init__(self, record: str, busy: str = "another run reads this source right now") -> None:
        self._record = record + ".json"
        os.makedirs(os.path.dirname(record), mode=0o700, exist_ok=True)
        self._lock = os.open(record + ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._lock)
            hint = "asl-intake status shows the jobs"
            raise Unavailable(busy, reason="SOURCE_BUSY", hint=hint) from error
        self._before: dict[str, bool] = {}
        self._loop: Optional[str] = None

    def put_back_leftovers(self) -> None:
        """Put back what a run that was killed has left."""
        text = system.read_text(self._record)
        if not text:
            return
        left: dict[str, Any] = json.loads(text)
        self._before, self._loop = left["devices"], left["loop"]
        self._put_back()

    @property
    def devices(self) -> list[str]:
        """What is set read-only."""
        return list(self._before)

    def protect(self, device: str) -> None:
        """Set DEVICE read-only. Raises Refused when the kernel does not do it."""
        self._before[device] = is_read_only(device)
        self._save()
        try:
            set_read_only(device, True)
            done = is_read_only(device)
        except OSError as error:
            raise Refused(f"{device} cannot be set read-only: {why(error)}", reason="READ_ONLY_FAILED") from error
        if not done:
            raise Refused(f"{device} stays writable although it was set read-only", reason="READ_ONLY_FAILED")

    def attach(self, image: str) -> str:
        """A read-only loop device for the file IMAGE."""
        done = system.run(["losetup", "--read-only", "--find", "--show", image], DEADLINE)
        self._loop = done.check(f"{image} cannot be made a loop device").stdout.decode().strip()
        self._save()
        if not is_read_only(self._loop):
            raise Refused(f"{self._loop} is writable although it was made read-only", reason="READ_ONLY_FAILED")
        return self._loop

    def _save(self) -> None:
        system.replace_file(self._record, json.dumps({"devices": self._before, "loop": self._loop}).encode(), 0o600)

    def _put_back(self) -> None:
        if self._loop is not None:
            system.run(["losetup", "--detach", self._loop], DEADLINE)
        for device, flag in self._before.items():
            if os.path.exists(device):
                set_read_only(device, flag)
        self._before, self._loop = {}, None
        if os.path.exists(self._record):
            os.unlink(self._record)

    def release(self) -> None:
        """Put everything back and let others in."""
        try:
            self._put_back()
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Let others in without putting back: something still uses the devices. The record stays for the next run."""
        os.close(self._lock)
