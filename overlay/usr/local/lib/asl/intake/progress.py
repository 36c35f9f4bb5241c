# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Progress: counters that the pipeline moves, and a view of them that is taken now and then."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Optional

# Seconds between two views of the progress, and over which the current rate is taken.
INTERVAL = 1.0
_WINDOW = 10.0


class Progress:
    """Counters of one run. Sizes in bytes. `show` is called with document() at most once an INTERVAL, from the reading thread."""

    phase: str = "starting"
    source: str = ""
    files: int = 0
    files_unchanged: int = 0
    bytes_total: Optional[int] = None
    bytes_read: int = 0
    bytes_new: int = 0
    bytes_duplicate: int = 0
    bytes_unread: int = 0
    bytes_done: int = 0  # of bytes_total: read, holes, and unchanged
    _shown: float = 0.0

    def __init__(self, show: Optional[Callable[[dict[str, Any]], None]] = None, limit: int = 0) -> None:
        """LIMIT: bytes a second to read at most, 0 = no limit."""
        self.show, self.limit = show, limit
        self.last_read = self.started = time.monotonic()
        self._marks: list[tuple[float, int]] = []

    def read(self, length: int) -> None:
        """LENGTH bytes came from the source."""
        self.bytes_read += length
        self.bytes_done += length
        self.last_read = time.monotonic()
        self.tick()
        while self.limit and (ahead := self.bytes_read / self.limit - (time.monotonic() - self.started)) > 0:
            time.sleep(min(ahead, INTERVAL))  # a large read waits in steps, so that it is seen and a cancel is heard
            self.tick()

    def unread(self, length: int) -> None:
        """The source did not give LENGTH bytes."""
        self.bytes_unread += length
        self.bytes_done += length
        self.tick()

    def chunks(self, length: int, new: int) -> None:
        """Chunks of LENGTH bytes were settled: NEW bytes of them were stored, the others were there."""
        self.bytes_new += new
        self.bytes_duplicate += length - new

    def found(self, length: int) -> None:
        """A chunk of LENGTH bytes that was counted as new was there after all."""
        self.bytes_new -= length
        self.bytes_duplicate += length

    def unchanged(self, length: int, files: int = 1) -> None:
        """So many FILES of LENGTH bytes together are as they were, and were not read."""
        self.files_unchanged += files
        self.bytes_duplicate += length
        self.bytes_done += length
        self.tick()

    def enter(self, phase: str, source: str = "") -> None:
        """A new phase begins; it is shown at once."""
        self.phase, self.source = phase, source
        self.tick(force=True)

    def tick(self, *, force: bool = False) -> None:
        """Show, when it is time."""
        now = time.monotonic()
        if self.show and (force or now - self._shown >= INTERVAL):
            self._shown = now
            self._marks = [mark for mark in self._marks if now - mark[0] < _WINDOW] + [(now, self.bytes_done)]
            self.show(self.document())

    def document(self) -> dict[str, Any]:
        """The counters, rate in bytes a second, and seconds to go (None where nobody knows)."""
        now = time.monotonic()
        since, done = self._marks[0] if self._marks else (self.started, 0)
        rate = (self.bytes_done - done) / (now - since) if now - since > 0.1 else 0.0
        left = None
        if self.bytes_total is not None and rate > 0:
            left = round(max(0, self.bytes_total - self.bytes_done) / rate)
        return {
            "phase": self.phase, "source": self.source, "files": self.files, "bytes_done": self.bytes_done,
            "bytes_total": self.bytes_total, "bytes_read": self.bytes_read, "bytes_new": self.bytes_new,
            "bytes_duplicate": self.bytes_duplicate, "bytes_unread": self.bytes_unread, "rate": round(rate), "eta": left,
            "seconds": round(now - self.started, 1), "seconds_since_read": round(now - self.last_read, 1),
        }  # fmt: skip
