# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A backend in memory that crashes when told to: what backends.base promises, and not a bit more.

Objects and names are volatile until barrier(); log and head are durable when append(), cut() and replace_head() return. At the
chosen operation Crash is raised and what follows has no effect. after_crash() is the backend a new process would find:
  each unsynced object   kept or dropped, each by itself (never torn: a name gives its whole object, or is not there)
  an append under way    kept, dropped, cut short, or of its full length with zeros or rubbish in it
  a cut or a new head    done or not done
The idea of crashing at every write below the store is that of SQLite's test6.c.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Optional

from asl.backends import layout
from asl.errors import Conflict, NotFound
from asl.formats import log
from asl.formats.artifact import Buffer
from asl.store import marker, recovery


class Crash(BaseException):
    """The machine stopped here. Not an Exception: no code may catch it and go on."""


class Volatile:
    """Implements backends.base.Adds. CRASH_AT is the number of the operation to stop in, counted from 1; 0 = never."""

    location = "memory"

    def __init__(self, durable: Optional[dict[str, bytes]] = None, crash_at: int = 0) -> None:
        self.durable = dict(durable or {})
        self.unsynced: dict[str, bytes] = {}
        self.operations = 0
        self.crash_at = crash_at
        self.dead = False
        self._under_way: list[tuple[str, bytes]] = []  # what the interrupted operation may leave, beside nothing

    @classmethod
    def empty_store(cls) -> Volatile:
        """A store as init_store makes it."""
        made = {layout.LOG: log.FIRST, layout.HEAD: recovery.encode_head(log.START), layout.MARKER: marker.encode("00" * 16)}
        return cls(made)

    def after_crash(self, rng: random.Random, crash_at: int = 0) -> Volatile:
        """What a process finds after the power came back."""
        found = dict(self.durable)
        found.update({name: data for name, data in self.unsynced.items() if rng.random() < 0.5})
        if self._under_way and rng.random() < 0.8:
            name, data = rng.choice(self._under_way)
            found[name] = data
        return Volatile(found, crash_at)

    def killed(self, crash_at: int = 0) -> Volatile:
        """What a process finds after the one before was killed: all of it, and none of it more durable than before."""
        found = Volatile(self.durable, crash_at)
        found.unsynced = dict(self.unsynced)
        return found

    def _step(self, *under_way: tuple[str, bytes]) -> None:
        if self.dead:
            raise Crash
        self.operations += 1
        if self.operations == self.crash_at:
            self.dead = True
            self._under_way = list(under_way)
            raise Crash

    def _find(self, name: str) -> bytes:
        data = self.unsynced.get(name, self.durable.get(name))
        if data is None:
            raise NotFound(f"memory: {name}: not there")
        return data

    def read(self, name: str, offset: int = 0, length: Optional[int] = None) -> bytes:
        return self._find(name)[offset : None if length is None else offset + length]

    def size(self, name: str) -> int:
        return len(self._find(name))

    def names(self, folder: str) -> Iterator[str]:
        return iter(sorted(name for name in {**self.durable, **self.unsynced} if name.startswith(f"{folder}/")))

    def path(self, name: str) -> Optional[str]:
        return None

    def stage(self) -> VolatileStaged:
        return VolatileStaged(self)

    def create(self, name: str, data: Buffer) -> None:
        self._step((name, bytes(data)))
        if name in self.durable or name in self.unsynced:
            raise Conflict(f"memory: {name} exists")
        self.unsynced[name] = bytes(data)

    def ensure(self, name: str) -> None:
        self._find(name)

    def barrier(self) -> None:
        self._step()
        self.durable.update(self.unsynced)
        self.unsynced.clear()

    @contextmanager
    def lock(self) -> Iterator[None]:
        yield

    def append(self, name: str, data: bytes, at: int) -> None:
        before = self._find(name)
        if len(before) != at:
            raise Conflict(f"memory: {name} does not end at {at}")
        half = len(data) // 2
        torn = [data, data[:half], data[:-1], bytes(len(data)), b"\xff" * len(data), bytes(half) + data[half:], data + bytes(99)]
        self._step(*((name, before + tail) for tail in torn))
        self.durable[name] = before + data

    def cut(self, name: str, at: int) -> None:
        kept = self._find(name)
        self.create(f"tmp/torn-{at}-{len(list(self.names('tmp')))}", kept[at:])
        self._step((name, kept[:at]))
        self.durable[name] = kept[:at]

    def set_aside(self, name: str) -> None:
        kept = self._find(name)
        self._step((name, kept))
        self.durable.pop(name, None)
        self.unsynced.pop(name, None)
        self.durable[f"tmp/torn-{name.replace('/', '-')}"] = kept

    def replace_head(self, data: bytes) -> None:
        self._step((layout.HEAD, data))
        self.durable[layout.HEAD] = data

    def sweep(self) -> int:
        return 0


class VolatileStaged:
    """Implements backends.base.Staged."""

    def __init__(self, backend: Volatile) -> None:
        self._backend = backend
        self._data = bytearray()

    def write(self, data: Buffer) -> None:
        self._data += data

    def publish(self, name: str) -> None:
        self._backend.create(name, self._data)

    def drop(self) -> None:
        self._data.clear()
