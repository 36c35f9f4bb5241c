# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading a failing disk in passes: what reads well first, what hurts the disk last.

The order is that of GNU ddrescue (manual of 1.27, "Algorithm"), which has saved more disks than anything else:
  1. copy forwards; behind a failed block skip, and skip more with each that fails in a row
  2. copy backwards what was skipped, skipping the same way       3. copy what is left, without skipping
  4. trim: from both ends of a failed block, sector by sector, up to the first bad one
  5. scrape: what is left of failed blocks, sector by sector       6. retry bad sectors, in turn forwards and backwards
Each pass takes what the domain map names before what is free. Every pass is an iterator of blocks, so that whoever stores them
sets the pace; the map says at any time what is known.
"""

from __future__ import annotations

import errno
import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, Optional

from asl.sources.base import READ_SIZE
from asl.sources.mapfile import BAD, FAILED, NEW, READ, UNSCRAPED, Area, RescueMap
from asl.sources.media import SILENT, Media, silence
from asl.sources.patient import MOST_AHEAD, PatientReader, Step, Swept

# A block that failed is read again in pieces of this size, and marked as failed in them (ddrescue's cluster: 128 sectors).
CLUSTER = 64 * 1024
# Behind an error so much is skipped, twice as much behind the next one, at most a hundredth of the disk and never more than 1 GiB.
SKIP, MOST_SKIPPED = 64 * 1024, 1 << 30
# After so many good bytes in a row they are read in large pieces again: each of those that fails costs all of it once more.
CALM = 16 * 1024 * 1024
# So many bad sectors in a row are tried at once: asking for each by itself costs more than a quick disk takes to fail.
ROW = 128
# So many sectors are under way at a time: one is read while the answer of the one before travels. Behind the first bad one of a block so
# many may be tried at once, therefore.
DEPTH = 4
_MINUTE = 60.0


class Block(NamedTuple):
    """DATA was read at offset AT; it is valid until the next block is asked for."""

    at: int
    data: memoryview


class Stop(Exception):
    """A rule of the operator, or the disk itself, says that reading ends here. One clause says why."""


class Phase(NamedTuple):
    """A name for people, and the work. SMALL: it gives little, sector by sector, and takes long."""

    name: str
    blocks: Callable[[], Iterator[Block]]
    small: bool = False


class Passes:
    """The passes over one disk. MAP is kept up to date: a block is marked as read when the next one is asked for."""

    def __init__(self, known: RescueMap, reader: PatientReader, sector: int, media: Media, domain: Optional[RescueMap] = None) -> None:
        self.map, self._reader, self._sector, self._media = known, reader, sector, media
        self._domain = domain
        self.errors = 0
        self.words = ""  # the system's own, of the first error
        self.watch: Callable[[], None] = lambda: None  # called between reads; may raise Stop
        self._recent: deque[float] = deque()
        self._silent = 0
        self._counted = any(most is not None for most in (media.max_errors, media.max_error_rate, media.max_unread))
        self._most_skipped = max(SKIP, min(MOST_SKIPPED, known.size // 100))

    @property
    def abandoned(self) -> int:
        """Reads that never came back."""
        return self._reader.abandoned

    def again(self, start: int, end: int) -> bytes:
        """The bytes from START to END, which were read before. Raises OSError where they cannot be read any more."""
        found, sector = bytearray(), self._sector
        # Whole sectors, which bypass the cache: through it a bad sector fails its neighbours.
        first, last = start - start % sector, min(self.map.size, end + -end % sector)
        while first + len(found) < last:
            at = first + len(found)
            data = self._reader.read(at, min(READ_SIZE, last - at))
            if not data:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            found += data
        return bytes(found[start - first : end - first])

    def close(self) -> None:
        """End the reading process."""
        self._reader.close()

    def phases(self) -> Iterator[Phase]:
        """The passes there is work for, in order."""
        if self.map.with_status(NEW):
            yield Phase("reading", lambda: self._copy(backward=False, skipping=True))
        if self.map.with_status(NEW):
            yield Phase("reading backwards", lambda: self._copy(backward=True, skipping=True))
        if self.map.with_status(NEW):
            yield Phase("reading what was skipped", lambda: self._copy(backward=False, skipping=False))
        if self.map.with_status(FAILED):
            yield Phase("trimming", self._trim, small=True)
        if self.map.with_status(UNSCRAPED) and self._media.scrape:
            yield Phase("scraping", lambda: self._each_sector(UNSCRAPED, backward=False))
        for number in range(self._media.retries):
            if self.map.with_status(BAD):
                yield Phase(f"retry {number + 1}", lambda backward=bool(number % 2): self._each_sector(BAD, backward=backward))  # type: ignore[misc]

    def _areas(self, status: str, backward: bool) -> list[Area]:
        """The areas of STATUS as they are now: those in the domain first, each list in the direction of the pass."""
        found = self.map.with_status(status)
        if self._domain is None:
            return found[::-1] if backward else found
        used: list[Area] = []
        free: list[Area] = []
        for area in found:
            for part in self._domain.within(area.start, area.end):
                (used if part.status == READ else free).append(Area(part.start, part.end, status))
        ordered = [used] if self._media.skip_free else [used, free]
        return [area for areas in ordered for area in (areas[::-1] if backward else areas)]

    # One read.

    def _sweep(self, at: int, size: int, step: Step, *, backward: bool, ahead: Sequence[tuple[int, int]] = ()) -> Swept:
        """As PatientReader.sweep. Raises Stop."""
        self.watch()
        found = self._reader.sweep(at, size, step, backward=backward, ahead=ahead)
        if found.data:
            self._silent = 0
        return found

    def _failed(self, words: str, *, hangs: bool = False) -> None:
        self.errors += 1
        self.words = self.words or words
        self._silent = self._silent + 1 if hangs else 0
        media, now = self._media, time.monotonic()
        self._recent.append(now)
        while self._recent[0] < now - _MINUTE:
            self._recent.popleft()
        if self._silent >= SILENT:
            raise Stop(silence(media.read_deadline))
        if media.max_errors is not None and self.errors > media.max_errors:
            raise Stop(f"more than {media.max_errors} reads failed")
        if media.max_error_rate is not None and len(self._recent) > media.max_error_rate:
            raise Stop(f"more than {media.max_error_rate} reads failed within a minute")

    def _bad(self, start: int, end: int) -> None:
        self.map.set(start, end, BAD)
        most = self._media.max_unread
        if most is not None and self.map.total(BAD) > most:
            raise Stop(f"more than {most} bytes are bad")

    def _give(self, at: int, data: memoryview) -> Iterator[Block]:
        yield Block(at, data)
        self.map.set(at, at + len(data), READ)

    # Copying.

    def _copy(self, *, backward: bool, skipping: bool) -> Iterator[Block]:
        for area in self._areas(NEW, backward):
            yield from self._stretch(area.start, area.end, backward=backward, skipping=skipping)

    def _stretch(self, start: int, end: int, *, backward: bool, skipping: bool) -> Iterator[Block]:
        """Copy one area that was not tried. What is skipped stays as it is in the map."""
        skip, good, cautious = 0, 0, bool(self.errors)
        while start < end:
            at, size = _next_read(start, end, backward=backward)
            ahead = [] if backward else _following(start + size, end, READ_SIZE, MOST_AHEAD)
            found = self._sweep(at, size, Step(CLUSTER if cautious else READ_SIZE), backward=backward, ahead=ahead)
            data, at = found.data, end - len(found.data) if backward else start
            failed = start, end = _without(start, end, len(data), backward=backward)
            cluster = found.bad and found.step == CLUSTER  # what failed as a whole is read once more, in smaller pieces
            if cluster:
                skip = min(max(0 if data else 2 * skip, SKIP), self._most_skipped) if skipping else 0
                start, end = self._behind(start, end, skip, backward=backward)
                self._prepare(*_next_read(start, end, backward=backward), Step(CLUSTER), backward=backward)
            if data:
                yield from self._give(at, data)
            if cluster:
                size = _step(*failed, CLUSTER, backward=backward)
                self.map.set(*((failed[1] - size, failed[1]) if backward else (failed[0], failed[0] + size)), FAILED)
            if found.bad:
                self._failed(os.strerror(found.failed), hangs=found.hung)
            skip, good = (skip, 0) if found.bad else (0, good + len(data))
            cautious = bool(found.bad) or (cautious and good < CALM)

    def _behind(self, start: int, end: int, skip: int, *, backward: bool) -> tuple[int, int]:
        """START to END without the cluster where reading goes on, and SKIP bytes behind it."""
        size = _step(start, end, CLUSTER, backward=backward)
        return _without(start, end, min(size + skip, end - start), backward=backward)

    def _prepare(self, at: int, size: int, step: Step, *, backward: bool) -> None:
        """Let the disk go on with the next read while what came before it is stored; not where a rule may say that there is none."""
        if size and not self._counted:
            self._reader.prepare(at, size, step, backward=backward)

    # The rest, sector by sector.

    def _sectors(self, start: int, end: int, *, backward: bool, in_a_row: int) -> Iterator[Block]:
        """Read from one end of START to END; mark what is bad. IN_A_ROW sectors that cannot be read are tried before anybody is asked."""
        while start < end:
            found = self._sweep(*_one(start, end, backward=backward), self._each(in_a_row), backward=backward)
            yield from self._note(start, end, found, backward=backward)
            start, end = self._left(start, end, found, backward=backward)

    def _each(self, in_a_row: int) -> Step:
        """Sector by sector; as many at a time as may be tried in a row. A rule that counts what fails is asked behind each."""
        return Step(self._sector) if self._counted else Step(self._sector, in_a_row, min(DEPTH, in_a_row))

    def _left(self, start: int, end: int, found: Swept, *, backward: bool) -> tuple[int, int]:
        """What of START to END has not been tried, now that FOUND is known."""
        start, end = _without(start, end, len(found.data), backward=backward)
        for _each in range(found.bad):
            start, end = _without(start, end, _step(start, end, self._sector, backward=backward), backward=backward)
        return start, end

    def _note(self, start: int, end: int, found: Swept, *, backward: bool) -> Iterator[Block]:
        """Give what was read at one end of START to END, and mark what is bad behind it."""
        if found.data:
            yield from self._give(end - len(found.data) if backward else start, found.data)
            start, end = _without(start, end, len(found.data), backward=backward)
        for left in range(found.bad, 0, -1):
            size = _step(start, end, self._sector, backward=backward)
            self._bad(*((end - size, end) if backward else (start, start + size)))
            start, end = _without(start, end, size, backward=backward)
            self._failed(os.strerror(found.failed), hangs=found.hung and left == 1)

    def _trim(self) -> Iterator[Block]:
        areas = self._areas(FAILED, False)
        for area, after in zip(areas, [*areas[1:], None]):
            start, end, backward, over = area.start, area.end, False, False
            while not over:
                found = self._sweep(*_one(start, end, backward=backward), self._each(DEPTH), backward=backward)
                left, turned = self._left(start, end, found, backward=backward), backward or bool(found.bad)
                over = left[0] == left[1] or (backward and bool(found.bad))
                if not over:
                    self._prepare(*_one(*left, backward=turned), self._each(DEPTH), backward=turned)
                elif after:
                    self._prepare(*_one(after.start, after.end, backward=False), self._each(DEPTH), backward=False)
                yield from self._note(start, end, found, backward=backward)
                (start, end), backward = left, turned
            self.map.set(start, end, UNSCRAPED)

    def _each_sector(self, status: str, *, backward: bool) -> Iterator[Block]:
        for area in self._areas(status, backward):
            yield from self._sectors(area.start, area.end, backward=backward, in_a_row=ROW)


def _next_read(start: int, end: int, *, backward: bool) -> tuple[int, int]:
    """(offset, length) of the read at that end of START to END where copying goes on; READ_SIZE at most, up to a multiple of it."""
    size = _step(start, end, READ_SIZE, backward=backward) if start < end else 0
    return (end - size if backward else start, size)


def _one(start: int, end: int, *, backward: bool) -> tuple[int, int]:
    """(offset, length) of one read at that end of START to END where reading goes on."""
    size = min(end - start, READ_SIZE)
    return (end - size if backward else start, size)


def _step(start: int, end: int, size: int, *, backward: bool) -> int:
    """How much of START to END is read next in steps of SIZE that end and begin at multiples of it."""
    if backward:
        return min(end - start, (end - 1) % size + 1)
    return min(end - start, size - start % size)


def _without(start: int, end: int, size: int, *, backward: bool) -> tuple[int, int]:
    """START to END without SIZE bytes at the end where reading goes on."""
    return (start, end - size) if backward else (start + size, end)


def _following(start: int, end: int, size: int, most: int) -> list[tuple[int, int]]:
    """(offset, length) of the next reads from START up to END in steps of SIZE, MOST of them."""
    found: list[tuple[int, int]] = []
    while start < end and len(found) < most:
        found.append((start, _step(start, end, size, backward=False)))
        start += found[-1][1]
    return found


def losses(known: RescueMap, words: str, stopped: str) -> Sequence[tuple[int, int, str]]:
    """(offset, length, why) of each range that was not read, neighbours joined."""
    found: list[tuple[int, int, str]] = []
    undone = f"not tried to the end: {stopped}" if stopped else "not tried to the end"
    for area in known.with_status(NEW, FAILED, UNSCRAPED, BAD):
        reason = (words or "it could not be read") if area.status == BAD else undone
        if found and sum(found[-1][:2]) == area.start:
            start, length, first = found[-1]
            found[-1] = (start, length + area.end - area.start, undone if undone in (first, reason) else first)
        else:
            found.append((area.start, area.end - area.start, reason))
    return found
