# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Many chunks at once: neighbours in a block are read in one go, into memory that is used again, and their digests are computed in one
call, without the GIL."""

from __future__ import annotations

import mmap
import os
import queue
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Optional, Union

from asl import kernel
from asl.errors import AslError
from asl.formats import artifact, block
from asl.formats.segment import Extent
from asl.restore import ranges
from asl.restore.ranges import Range
from asl.store import Reader
from asl.store.contents import Payloads

Found = Union[memoryview, AslError]
Place = Optional[tuple[int, int]]
# Bytes that stand before the payload of an untagged artifact.
HEAD = artifact.UNTAGGED.size
# Memory for the chunks of one call. New memory would cost more than what is read into it: a page fault each 4 KiB.
ROOM = 4 * 1024 * 1024


class Memories:
    """Memory for calls of read() and place(), as much as is in use at the same time. Safe in any number of threads."""

    def __init__(self) -> None:
        self._free: queue.SimpleQueue[memoryview] = queue.SimpleQueue()

    @contextmanager
    def one(self) -> Iterator[memoryview]:
        """ROOM bytes."""
        try:
            memory = self._free.get_nowait()
        except queue.Empty:
            memory = memoryview(mmap.mmap(-1, ROOM))
        try:
            yield memory
        finally:
            self._free.put(memory)


def read(store: Payloads, wanted: Sequence[Range], memory: memoryview) -> list[Found]:
    """The bytes of each DATA range in WANTED, its digest checked, mostly in MEMORY; or what is wrong with it. Raises what concerns the
    store as a whole."""
    found: list[Optional[Found]] = [None] * len(wanted)
    numbers, spans = [], array("Q")
    for number, placed in enumerate(place(store, wanted, memory)):
        if placed is not None:
            numbers.append(number)
            spans.extend(placed)
    digests = kernel.load().digests(memory, spans)
    for index, number in enumerate(numbers):
        if digests[32 * index : 32 * index + 32] == wanted[number].digest:
            found[number] = memory[spans[2 * index] : spans[2 * index + 1]]
    return [_single(store, each) if data is None else data for each, data in zip(wanted, found)]


def _single(store: Payloads, wanted: Range) -> Found:
    try:
        return memoryview(ranges.chunk(store, wanted))
    except ranges.DAMAGE as error:
        return error


def place(store: Payloads, wanted: Sequence[Range], memory: memoryview) -> list[Place]:
    """Read DATA ranges into MEMORY: (start, end) of each, its digest not checked yet; None for one that has to be read by itself."""
    places: list[Place] = [None] * len(wanted)
    if not isinstance(store, Reader):
        return places
    at = 0
    for group in _neighbours(store, wanted):
        end = at + _fetch(store, group, memory[at : at + group.end - group.start])
        for number in group.numbers:
            start, at = at + HEAD, at + HEAD + wanted[number].length
            if at <= end:
                places[number] = (start, at)
        at = end
    return places


class _Group:
    """Ranges (by their numbers) whose artifacts lie one behind the other in a block, from START up to END."""

    __slots__ = ("block", "digest", "end", "numbers", "start")

    def __init__(self, number: int, extent: Extent, digest: bytes) -> None:
        self.block, self.start, self.end = extent.block, extent.offset, extent.offset + extent.length
        self.numbers, self.digest = [number], digest


def _neighbours(store: Reader, wanted: Sequence[Range]) -> list[_Group]:
    groups: list[_Group] = []
    hidden = store.state.tombstones
    try:
        locations = store.index.locations(b"".join([each.digest for each in wanted]))
    except AslError:  # a damaged record: it shows when they are read one by one
        return groups
    last: Optional[_Group] = None
    for number, (each, location) in enumerate(zip(wanted, locations)):
        if location is None or len(location) != 1 or location[0].length != each.length + HEAD:
            continue
        if hidden and store.state.hidden(each.digest):
            continue
        extent = location[0]
        if last is not None and last.end == extent.offset and last.block == extent.block:
            last.numbers.append(number)
            last.end += extent.length
        else:
            last = _Group(number, extent, each.digest)
            groups.append(last)
    return groups


def _fetch(store: Reader, group: _Group, memory: memoryview) -> int:
    """Read what GROUP covers; how many bytes. None of it where there is no room for all: its chunks are then read one by one."""
    size = group.end - group.start
    if size > len(memory):
        return 0
    path = store.plain_file(group.block)
    try:
        if path is not None:
            return _read(path, block.HEADER.size + group.start, memory)
        data = store.extent(Extent(group.block, group.start, size), group.digest)
    except (AslError, OSError):
        return 0
    memory[: len(data)] = data
    return len(data)


def _read(path: str, at: int, memory: memoryview) -> int:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        got = 0
        while got < len(memory):
            more = os.preadv(fd, [memory[got:]], at + got)
            if not more:
                break
            got += more
        return got
    finally:
        os.close(fd)
