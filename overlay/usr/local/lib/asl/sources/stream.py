# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`stream:/path` and `stream:-`: what comes out of a pipe, a fifo, a tape or standard input, up to its end."""

from __future__ import annotations

import os
import stat
from types import TracebackType
from typing import Any, Optional

from asl.errors import Unavailable, Usage
from asl.sources.base import DATA, Content, Piece, Pieces, Source, why
from asl.sources.reader import aligned_buffer

STDIN = 0


class StreamSource(Source):
    """One run of bytes whose length only reading tells."""

    kind = "stream"

    def __init__(self, spec: str, path: str) -> None:
        super().__init__(spec)
        self.path = path
        self._fd = -1

    def __enter__(self) -> StreamSource:
        """Open it; a fifo waits for its writer. Raises Unavailable."""
        try:
            self._fd = STDIN if self.path == "-" else os.open(self.path, os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC)
        except OSError as error:
            raise Unavailable(f"{self.spec} cannot be opened: {why(error)}", reason="SOURCE_UNREADABLE") from error
        return self

    def __exit__(self, _type: Optional[type[BaseException]], _error: Optional[BaseException], _traceback: Optional[TracebackType]) -> None:
        if self._fd > STDIN:
            os.close(self._fd)
        self._fd = -1

    def details(self) -> dict[str, Any]:
        """Where the bytes come from."""
        return {"path": self.path}

    def estimate(self) -> Optional[int]:
        """The size where it is a file."""
        status = os.fstat(STDIN) if self.path == "-" else os.stat(self.path)
        return status.st_size if stat.S_ISREG(status.st_mode) else None

    def content(self) -> Content:
        """All of the stream."""
        return _Stream(self, self._fd)


class _Stream:
    size: Optional[int] = None

    def __init__(self, source: StreamSource, fd: int) -> None:
        self._source = source
        self._fd = fd

    def pieces(self) -> Pieces:
        """Pieces as they come. Behind an error a stream cannot go on: the loss says where it broke."""
        buffer, at = aligned_buffer(), 0
        while True:
            try:
                count = os.readv(self._fd, [buffer])
            except OSError as error:
                self._source.lose("unread", f"{self._source.spec}: everything behind byte {at}", why(error))
                return
            if not count:
                return
            at += count
            yield Piece(DATA, count, buffer[:count])


def check_stream_path(spec: str, path: str) -> None:
    """Raise Usage for what no bytes can come out of."""
    if path == "-":
        if os.isatty(STDIN):
            raise Usage(f"{spec}: standard input is a terminal", reason="SOURCE_KIND", hint="pipe something into this command")
        return
    try:
        status = os.stat(path)
    except OSError as error:
        raise Usage(f"{spec}: {why(error)}", reason="SOURCE_NOT_FOUND") from error
    if stat.S_ISDIR(status.st_mode) or stat.S_ISSOCK(status.st_mode):
        raise Usage(f"{spec} is no stream of bytes", reason="SOURCE_KIND", hint=f"tree:{path} reads what is below a directory")
