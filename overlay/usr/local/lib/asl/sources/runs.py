# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs of small files: what is usual in a tree, many files in one step of a walk."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Optional

from asl import kernel
from asl.kernel import Status
from asl.sources.attributes import fingerprint
from asl.sources.files import Batch, in_run

# Seconds for which it is believed what a name was when it was looked at.
FRESH = 0.5


class Run:
    """One step of a walk: small regular files of one directory, with one name each and without attributes, in order of their names.

    folder   the path of the directory, relative to the root of the source, b"" for the root itself
    names    of the files; `seen` is what they were
    taken    how many of the names need not come again, moved on by read() and by whoever takes the step; the next step is the
             name behind them. Where it stays 0, all come again, each alone.
    failed   the name behind them is not what was seen, or has attributes: it comes again alone
    """

    __slots__ = ("_batch", "_directory", "_now", "failed", "folder", "names", "seen", "taken")

    def __init__(self, folder: bytes, directory: int, batch: Batch, count: int) -> None:
        first = batch.at
        self._directory, self._batch = directory, batch
        self.folder = folder
        self.names: Sequence[bytes] = batch.names[first : first + count]
        self.seen: list[Status] = batch.seen[first : first + count]
        self._now = time.time_ns()
        self.taken = 0
        self.failed = False

    def paths(self, at: int) -> Iterator[bytes]:
        """Of the names from number AT on, relative to the root of the source."""
        before = b"%s/" % self.folder if self.folder else b""
        return (before + name for name in self.names[at:])

    def fingerprints(self, at: int) -> Iterator[Optional[bytes]]:
        """As attributes.fingerprint(), from number AT on."""
        return (fingerprint(status, self._now) for status in self.seen[at:])

    def left(self) -> int:
        """How many names can still be taken: 0 behind one that failed, and when what was seen is old."""
        if self.failed or (self.taken and time.monotonic() - self._batch.when > FRESH):
            return 0
        return len(self.names) - self.taken

    def read(self, most: int, into: memoryview) -> list[int]:
        """Read the next names, MOST of them at most, one behind the other INTO memory that has room for one at least; the sizes of those
        that are what was seen."""
        at = self.taken
        seen = self.seen[at : at + most]
        count = kernel.load().files.slurp(self._directory, self.names[at : at + most], seen, into)
        sizes = [status.st_size for status in seen[:count]]
        self.failed = count < len(seen) and seen[count].st_size <= len(into) - sum(sizes)
        self.taken += count
        return sizes


class Looks:
    """Looks at names of directories. BELOW: regular files shorter than that may be in runs. LATER: they are not asked for attributes here,
    but when they are read, as long as no file has some."""

    def __init__(self, below: int, *, later: bool) -> None:
        self._below, self._later = below, later
        self._files = kernel.load().files
        self._labelled = False

    def at(self, directory: int, names: Sequence[bytes], now: float) -> Batch:
        """What NAMES of an open DIRECTORY are at the time NOW."""
        seen = self._files.scan(directory, names, self._below if self._later and not self._labelled else 0)
        self._labelled = self._labelled and any(status.xattrs > 0 for status in seen)
        return Batch(names, seen, now, self._below)

    def alone(self, directory: int, names: Sequence[bytes]) -> Batch:
        """As at(), the first of NAMES failed in a run: none of them is to be in one."""
        batch = Batch(names, self._files.scan(directory, names), time.monotonic())
        self._labelled = batch.seen[0].xattrs > 0
        return batch


def length(batch: Batch) -> int:
    """How many of the next names of BATCH are a run."""
    seen, below = batch.seen, batch.below
    for number in range(batch.at, len(seen) if below else batch.at):
        if not in_run(seen[number], below):
            return number - batch.at
    return len(seen) - batch.at if below else 0
