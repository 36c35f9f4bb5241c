# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the commands that read a store share: the progress line, times, examples in the help."""

from __future__ import annotations

import argparse
import time

from asl.cli.context import Context
from asl.cli.output import ProgressLine, duration, size

# What names a snapshot, for help texts (store.snapshots.find).
SNAPSHOT = "a snapshot: its id, its digest (8 characters or more), latest, or KEY=VALUE: the newest one with this label"
# Seconds between two drawings.
INTERVAL = 0.5


class ReadingLine:
    """The live line of a command that reads much. Use as a context manager; call show() as often as you like."""

    def __init__(self, context: Context) -> None:
        self._line = ProgressLine(context)
        self._phase, self._began, self._next = "", 0.0, 0.0

    def __enter__(self) -> ReadingLine:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._line.close()

    def show(self, phase: str, done: int, total: int) -> None:
        """PHASE has come to DONE of TOTAL: bytes, but objects in the phases `segments` and `snapshots`; TOTAL 0 = not known."""
        if self._due(phase):
            self._line.draw(progress_text(phase, done, total, time.monotonic() - self._began))

    def count(self, phase: str, files: int) -> None:
        """PHASE has come to FILES, of nobody knows how many."""
        if self._due(phase):
            self._line.draw(f"{phase} · {files} files" if files else phase)

    def _due(self, phase: str) -> bool:
        """Whether it is time to draw: PHASE is another one, or the interval is over."""
        now = time.monotonic()
        if phase != self._phase:
            self._phase, self._began, self._next = phase, now, 0.0
        if now < self._next:
            return False
        self._next = now + INTERVAL
        return True


def progress_text(phase: str, done: int, total: int, seconds: float) -> str:
    """The line: phase, done of total, rate, time to go."""
    if phase in ("segments", "snapshots"):
        return f"{phase} · {done} of {total}"
    share = f" of {size(total)} ({100 * done // total}%)" if total else ""
    parts = [phase, size(done) + share]
    if seconds >= 1 and done:
        parts.append(f"{size(round(done / seconds))}/s")
        if total > done:
            parts.append(f"ETA {duration(seconds * (total - done) / done)}")
    return " · ".join(parts)


def local_time(seconds: int) -> str:
    """SECONDS since 1970 as people here write it: 2026-03-01 14:05:09."""
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))
    except (OverflowError, ValueError, OSError):
        return str(seconds)


def example(parser: argparse.ArgumentParser, *lines: str) -> None:
    """Show LINES as examples at the end of the help."""
    head = "example:" if len(lines) == 1 else "examples:"
    parser.epilog = "\n".join([head, *(f"  {line}" for line in lines), "", parser.epilog or ""])
