# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Many chunks held against their digests, with all cores: read and hashed outside of Python, a batch at a time.

What is fast here covers what is usual: a chunk in one piece in a plain block in a local file. A chunk that is not usual, or not right,
is read in the usual way (store.Reader), which says what is wrong.
"""

from __future__ import annotations

import mmap
import os
import queue
from array import array
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple, Optional

from asl import kernel
from asl.backends.posix import forget
from asl.errors import AslError, Damaged
from asl.formats import artifact, block
from asl.formats.segment import Extent
from asl.names import BlockID, Digest, reference_text
from asl.store.reader import Reader

# Chunks looked up and checked by one call, and the memory to read into: several chunks that lie together are one read.
BATCH, ROOM = 256, 4 * 1024 * 1024
_HEAD = artifact.UNTAGGED.size


class Wanted(NamedTuple):
    """A chunk that ought to be there: plain data of so many bytes."""

    digest: Digest
    length: int


Bad = Callable[[Wanted, AslError], None]


class BulkCheck:
    """Checks chunks as they are added; BAD is called, from the thread that adds, for each that is not right. Use as a context manager;
    everything is checked when it is left without an error."""

    def __init__(self, store: Reader, bad: Bad, jobs: int = 0) -> None:
        self._store, self._bad = store, bad
        jobs = jobs or len(os.sched_getaffinity(0))
        self._pool = ThreadPoolExecutor(jobs, "asl-check")
        self._limit = 2 * jobs
        self._memory: queue.SimpleQueue[memoryview] = queue.SimpleQueue()
        for _job in range(jobs):
            self._memory.put(memoryview(mmap.mmap(-1, ROOM)))
        self._batch: list[Wanted] = []
        self._running: deque[Future[list[Wanted]]] = deque()

    def __enter__(self) -> BulkCheck:
        return self

    def __exit__(self, kind: Optional[type[BaseException]], *_more: object) -> None:
        try:
            if kind is None:
                self._start()
                while self._running:
                    self._settle()
        finally:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def add(self, wanted: Wanted) -> None:
        """Check WANTED, now or later."""
        self._batch.append(wanted)
        if len(self._batch) >= BATCH:
            self._start()

    def _start(self) -> None:
        batch, self._batch = self._batch, []
        if batch:
            self._running.append(self._pool.submit(self._check, batch))
        while len(self._running) > self._limit:
            self._settle()

    def _settle(self) -> None:
        for wanted in self._running.popleft().result():
            try:
                read_one(self._store, wanted)
            except AslError as error:
                self._bad(wanted, error)

    def _check(self, batch: Sequence[Wanted]) -> list[Wanted]:
        """Those of BATCH that have to be looked at closely."""
        left: list[Wanted] = []
        by_block: dict[BlockID, list[tuple[Extent, Wanted]]] = {}
        hidden = self._store.state.tombstones
        for wanted, location in zip(batch, self._store.index.locations(b"".join([each.digest for each in batch]))):
            if location is None or len(location) != 1 or not _usual(location[0], wanted) or hidden:
                left.append(wanted)
            else:
                by_block.setdefault(location[0].block, []).append((location[0], wanted))
        for block_id, chunks in by_block.items():
            left += self._check_block(block_id, sorted(chunks))
        return [wanted for wanted in left if not self._read(wanted)]

    def _read(self, wanted: Wanted) -> bool:
        """True when the chunk can be read in the usual way: what was not usual is not always wrong."""
        try:
            read_one(self._store, wanted)
        except AslError:
            return False
        return True

    def _check_block(self, block_id: BlockID, chunks: Sequence[tuple[Extent, Wanted]]) -> list[Wanted]:
        path = self._store.plain_file(block_id)
        if path is None:
            return [wanted for _extent, wanted in chunks]
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return [wanted for _extent, wanted in chunks]
        spans: array[int] = array("Q")
        for extent, _wanted in chunks:
            start = block.HEADER.size + extent.offset
            spans.extend((start, start + extent.length))
        memory = self._memory.get()
        try:
            good = kernel.load().verify(fd, spans, b"".join([wanted.digest for _extent, wanted in chunks]), memory)
            forget(fd, spans[0], spans[-1] - spans[0])
        finally:
            self._memory.put(memory)
            os.close(fd)
        return [wanted for (_extent, wanted), right in zip(chunks, good) if not right]


def _usual(extent: Extent, wanted: Wanted) -> bool:
    # Nine bytes more than the payload: the encoding without a tag. With a tag, and the digest right, it would be thirteen.
    return extent.length == wanted.length + _HEAD and extent.length <= ROOM


def read_one(store: Reader, wanted: Wanted) -> None:
    """Read one chunk. Raises Damaged, NotFound when it is not right."""
    found = len(store.payload(wanted.digest))
    if found != wanted.length:
        raise Damaged(f"{reference_text(wanted.digest)} has {found} bytes where {wanted.length} belong", reason="WRONG_LENGTH")
