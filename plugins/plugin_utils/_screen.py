# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change at any time.
"""Where the lines of a fleet go: the foot of a terminal, and a file of events. No thread draws: Ansible forks from this process."""

from __future__ import annotations

import json
import os
import time
import typing as t

UP, BELOW = "\x1b[{}A", "\x1b[J"


class Screen:
    """Lines that are drawn anew at the foot of a terminal.

    The cursor stays at the beginning of the first of them. So whatever somebody else prints lands there, goes up with the text, and
    the next drawing stands below it; and a process that is killed leaves a terminal that can be used.
    """

    def __init__(self, stream: t.TextIO) -> None:
        self._stream = stream
        self._drawn: list[str] = []
        self._at = 0.0
        self.live = stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"

    def measure(self) -> tuple[int, int]:
        """Columns and lines that may be used: a line as wide as the terminal would wrap on some."""
        try:
            size = os.get_terminal_size(self._stream.fileno())
        except OSError:
            return 79, 24
        # A terminal that says 0 does not know.
        return (size.columns or 80) - 1, max(3, (size.lines or 24) * 2 // 3)

    def ready(self, pause: float) -> bool:
        """True when the last drawing is at least so many seconds old, or was wiped away."""
        return not self._drawn or time.monotonic() - self._at >= pause

    def draw(self, lines: t.Sequence[str]) -> None:
        """Draw LINES over what was drawn before; the same lines are not drawn twice."""
        if not self.live or list(lines) == self._drawn:
            return
        self._at, self._drawn = time.monotonic(), list(lines)
        self._write("\r" + BELOW + "\n".join(lines) + "\r" + (UP.format(len(lines) - 1) if len(lines) > 1 else ""))

    def clear(self) -> None:
        """Wipe the lines away, for text that is to stay."""
        if self._drawn:
            self._drawn = []
            self._write("\r" + BELOW)

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


class Events:
    """A file that JSON lines are appended to. One that cannot be written is given up, and said once."""

    def __init__(self, path: str | None) -> None:
        self._path = path
        self._file: int | None = None

    def write(self, event: t.Mapping[str, t.Any]) -> str | None:
        """Append EVENT without the fields that are None; a sentence when that was not possible."""
        if self._path is None:
            return None
        try:
            if self._file is None:
                self._file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
            line = json.dumps({key: value for key, value in event.items() if value is not None}, default=str) + "\n"
            os.write(self._file, line.encode("ascii"))
        except OSError as exc:
            problem, self._path = f"{self._path}: {exc.strerror or exc}", None
            return problem
        return None
