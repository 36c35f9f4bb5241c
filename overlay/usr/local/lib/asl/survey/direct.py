# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading what a disk holds now, not what our kernel remembers of it.

ZFS writes past the page cache of a block device, and so does another machine that shares the disk: a second reading through the cache
could give the bytes of the first one. So the labels are read with O_DIRECT; where a file system does not know that (an image file on
tmpfs), there is no second view that could differ.
"""

from __future__ import annotations

import hashlib
import mmap
import os
from collections.abc import Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import Optional

from asl.deadline import Outcome, in_children
from asl.survey import labels

SECONDS = 30.0  # for each device


class Direct:
    """An open device or file; call it as labels.Fetch. Offsets and lengths must be multiples of 4096."""

    def __init__(self, path: str) -> None:
        flags = os.O_RDONLY | os.O_CLOEXEC
        try:
            self._handle = os.open(path, flags | os.O_DIRECT)
        except OSError:
            self._handle = os.open(path, flags)
        self.size = os.lseek(self._handle, 0, os.SEEK_END)

    def __call__(self, offset: int, length: int) -> bytes:
        """``length`` bytes at ``offset``; fewer at the end. Raises OSError."""
        with mmap.mmap(-1, length) as buffer:  # page-aligned memory, as O_DIRECT wants it
            count = os.preadv(self._handle, [buffer], offset)
            return buffer[:count]

    def __enter__(self) -> Direct:
        return self

    def __exit__(self, kind: Optional[type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]) -> None:
        os.close(self._handle)


def label_digests(paths: Sequence[str], *, seconds: float = SECONDS) -> dict[str, Outcome]:
    """For each device the SHA-256, in hexadecimal, over its four labels, read by a process of its own with ``seconds`` each."""
    return in_children({path: partial(_digest, path) for path in paths}, seconds)


def newest_uberblocks(paths: Sequence[str], *, seconds: float = SECONDS) -> dict[str, Outcome]:
    """For each device the rank [txg, time, multihost sequence] of its best uberblock; None where it has none."""
    return in_children({path: partial(_rank, path) for path in paths}, seconds)


def digests_of(outcomes: Mapping[str, Outcome]) -> dict[str, str]:
    """The digests that could be read."""
    return {path: outcome.value for path, outcome in outcomes.items() if outcome.error is None}


def _digest(path: str) -> str:
    whole = hashlib.sha256()
    with Direct(path) as device:
        for offset in labels.offsets(device.size):
            whole.update(device(offset, labels.LABEL))
    return whole.hexdigest()


def _rank(path: str) -> Optional[list[int]]:
    with Direct(path) as device:
        best = labels.newest(labels.read_labels(device, device.size))
    return None if best is None else list(best.rank)
