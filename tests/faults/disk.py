# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A disk below asl.backends.posix that loses what was not synced: the promises of POSIX, and not a bit more.

Stands in for the module `os` in there. Every call goes to a real directory; beside it the disk keeps what a loss of power would
leave: the bytes of a file as of its last fsync(2), the names in a directory as of the directory's last fsync(2). At the chosen
operation Crash is raised, in the middle of it, and nothing the dying process does afterwards has an effect. Then either
  revive()       the process was killed: all it did is to be seen, and none of it more durable than before, or
  power_fail()   the power went: of what was not synced each name and each file is kept, dropped or torn by itself.
"""

from __future__ import annotations

import os
import random
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional

from faults.crash import Crash


@dataclass
class Folder:
    """DURABLE names → inodes, and what happened since: (name, inode or None where it was taken away)."""

    durable: dict[str, int] = field(default_factory=dict)
    since: list[tuple[str, Optional[int]]] = field(default_factory=list)


class Disk:
    """Takes the place of `os`. CRASH_AT counts operations that change something, from 1; 0 = never."""

    def __init__(self, crash_at: int = 0) -> None:
        self.crash_at = crash_at
        self.operations = 0
        self.dead = False
        self._folders: dict[str, Folder] = {}
        self._inodes: dict[str, int] = {}  # path → number of what is there now
        self._durable: dict[int, bytes] = {}  # file → bytes that are on the disk
        self._gone: dict[int, bytes] = {}  # file without a name → its last bytes
        self._is_folder: dict[int, str] = {}  # number of a folder → its path
        self._fds: dict[int, str] = {}
        self._count = 0

    def mount(self, root: str) -> None:
        """ROOT exists and is on the disk: what is made below it is what this is about."""
        self._folders[root] = Folder()

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def _step(self) -> None:
        if self.dead:
            raise Crash
        if threading.current_thread() is threading.main_thread():
            self.operations += 1
            if self.operations == self.crash_at:
                self.dead = True
                raise Crash

    def _new(self, path: str, *, folder: bool) -> None:
        self._count += 1
        self._inodes[path] = self._count
        if folder:
            self._folders[path] = Folder()
            self._is_folder[self._count] = path
        else:
            self._durable[self._count] = b""
        self._named(path, self._count)

    def _named(self, path: str, number: Optional[int]) -> None:
        above, name = os.path.split(path)
        if above in self._folders:
            self._folders[above].since.append((name, number))

    # The calls of posix.py that change something. Signatures are those of `os`.

    def open(self, path: str, flags: int, mode: int = 0o777) -> int:
        new = bool(flags & os.O_CREAT) and not os.path.lexists(path)
        if new:
            self._step()
        fd = os.open(path, flags, mode)
        if new:
            self._new(path, folder=False)
        self._fds[fd] = path
        return fd

    def close(self, fd: int) -> None:
        self._fds.pop(fd, None)
        os.close(fd)

    def write(self, fd: int, data: memoryview) -> int:
        if self.dead:
            raise Crash
        return os.write(fd, data)

    def ftruncate(self, fd: int, length: int) -> None:
        self._step()
        os.ftruncate(fd, length)

    def fsync(self, fd: int) -> None:
        self._step()
        path = self._fds[fd]
        if path in self._folders:
            folder = self._folders[path]
            folder.durable = _after(folder)
            folder.since = []
        elif path in self._inodes:
            self._durable[self._inodes[path]] = Path(path).read_bytes()

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        missing = []
        at = path
        while not os.path.isdir(at):
            missing.append(at)
            at = os.path.dirname(at)
        for each in reversed(missing):
            self._step()
            os.mkdir(each)
            self._new(each, folder=True)

    def link(self, source: str, target: str) -> None:
        self._step()
        os.link(source, target)
        self._inodes[target] = self._inodes[source]
        self._named(target, self._inodes[source])

    def rename(self, source: str, target: str) -> None:
        self._step()
        self._forget(target)
        os.rename(source, target)
        number = self._inodes[target] = self._inodes.pop(source)
        self._named(target, number)
        self._named(source, None)

    def unlink(self, path: str) -> None:
        self._step()
        self._forget(path)
        os.unlink(path)
        self._named(path, None)

    def _forget(self, path: str) -> None:
        number = self._inodes.pop(path, None)
        if number is not None and number not in self._inodes.values():
            self._gone[number] = Path(path).read_bytes()

    # After a crash.

    def revive(self, crash_at: int = 0) -> None:
        """Another process takes over."""
        self.dead, self.operations, self.crash_at = False, 0, crash_at

    def power_fail(self, root: str, into: str, rng: random.Random) -> None:
        """Make at INTO what is found under ROOT after the power came back. A torn file keeps its length or is cut short."""
        current = {number: path for path, number in self._inodes.items()}
        self._rebuild(root, into, rng, current, {})

    def _rebuild(self, folder: str, into: str, rng: random.Random, current: dict[int, str], made: dict[int, str]) -> None:
        os.makedirs(into)
        found = self._folders[folder]
        for name, number in _after(found, rng).items():
            target = os.path.join(into, name)
            if number in self._is_folder:
                self._rebuild(self._is_folder[number], target, rng, current, made)
            elif number in made:
                os.link(made[number], target)
            else:
                now = Path(current[number]).read_bytes() if number in current else self._gone[number]
                Path(target).write_bytes(_torn(self._durable[number], now, rng))
                made[number] = target


def _after(folder: Folder, rng: Optional[random.Random] = None) -> dict[str, int]:
    names = dict(folder.durable)
    for name, number in folder.since:
        if rng is not None and rng.random() < 0.5:
            continue
        if number is None:
            names.pop(name, None)
        else:
            names[name] = number
    return names


def _torn(durable: bytes, now: bytes, rng: random.Random) -> bytes:
    if durable == now:
        return now
    if not now.startswith(durable):  # it was cut
        return rng.choice([durable, now])
    tail = now[len(durable) :]
    cut = rng.randrange(len(tail) + 1)
    rubbish = rng.randbytes(len(tail))
    return durable + rng.choice([b"", tail, tail[:cut], bytes(len(tail)), bytes(cut) + tail[cut:], rubbish])
