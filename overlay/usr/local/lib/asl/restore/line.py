# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a restore still has to make, in the order of the walk: while the walk goes on, usual files are made in batches, in threads.

What cannot be made so, and what has to come behind (a hard link behind its file, the attributes of a directory behind all that is in
it), stands in the same line and is done when it is its turn. So the result tells everything in the order of the walk.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import NamedTuple, Optional, Union

from asl.formats.tree import Entry
from asl.restore import batches
from asl.restore.chunks import Memories
from asl.restore.content import BATCH
from asl.restore.threads import stop, workers
from asl.store.contents import Payloads

# Things in the line.
LONGEST = 4096


class _Batch:
    """Files that are made by one call, their directories and bytes; `made` is there once they are on their way."""

    __slots__ = ("directories", "entries", "made", "size")

    def __init__(self) -> None:
        self.directories: list[int] = []
        self.entries: list[Entry] = []
        self.size = 0
        self.made: Optional[Future[bytes]] = None


class _File(NamedTuple):
    """The file with this NUMBER in the batch, and what is to be done once it is known whether it was made."""

    batch: _Batch
    number: int
    done: Callable[[bool], None]


class Line:
    """For one thread. Everything that is put in is done in this order, in that thread; only batches are made in those of POOL."""

    def __init__(self, store: Payloads, pool: Executor) -> None:
        self._store, self._pool, self._memories = store, pool, Memories()
        self._things: deque[Union[_File, Callable[[], None]]] = deque()
        self._batch = _Batch()
        self._running: deque[_Batch] = deque()
        self._most = 2 * workers() + 1

    def file(self, dir_fd: int, entry: Entry, done: Callable[[bool], None]) -> None:
        """Make the usual file ENTRY in the directory DIR_FD, which must stay open until DONE was called."""
        batch = self._batch
        if batch.entries and (batch.size + entry.size > BATCH or len(batch.entries) == batches.MOST):
            self._submit()
            batch = self._batch
        self._things.append(_File(batch, len(batch.entries), done))
        batch.directories.append(dir_fd)
        batch.entries.append(entry)
        batch.size += entry.size

    def then(self, action: Callable[[], None]) -> None:
        """Call ACTION when all that came before is done: at once where nothing waits."""
        if not self._things:
            action()
            return
        self._things.append(action)
        if len(self._things) > LONGEST:
            self.next()

    def _submit(self) -> None:
        batch, self._batch = self._batch, _Batch()
        batch.made = self._pool.submit(batches.make, self._store, self._memories, batch.directories, batch.entries)
        self._running.append(batch)
        while len(self._running) > self._most:
            self.next()

    def next(self) -> None:
        """Be done with what waits longest, if anything does. Raises what it raises."""
        if not self._things:
            return
        thing = self._things[0]
        if isinstance(thing, _File) and thing.batch.made is None:
            self._submit()
        self._things.popleft()
        if not isinstance(thing, _File):
            thing()
            return
        made = thing.batch.made.result() if thing.batch.made is not None else b""
        if self._running and self._running[0] is thing.batch:
            self._running.popleft()
        thing.done(bool(made[thing.number]))

    def drain(self) -> None:
        """Be done with everything."""
        while self._things:
            self.next()

    def stop(self) -> None:
        """Forget what waits; when this returns, nobody is making anything."""
        self._things.clear()
        stop(batch.made for batch in self._running if batch.made is not None)
