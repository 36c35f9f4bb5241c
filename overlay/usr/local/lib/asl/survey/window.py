# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A part of a device or image, read by offset. The parsers see only this: bytes that are not there are missing, never an error."""

from __future__ import annotations

import os
from collections.abc import Callable


class Window:
    """``size`` bytes that begin at ``start`` of something that ``fetch(offset, length)`` reads."""

    def __init__(self, fetch: Callable[[int, int], bytes], size: int, start: int = 0) -> None:
        self._fetch = fetch
        self.size = size
        self.start = start
        self.errors: list[str] = []

    @classmethod
    def of(cls, handle: int, size: int) -> Window:
        """The whole of an open file or device."""
        return cls(lambda offset, length: os.pread(handle, length, offset), size)

    def read(self, offset: int, length: int) -> bytes:
        """The bytes at ``offset``, fewer at the end. What cannot be read is empty, and is remembered in ``errors``."""
        if offset < 0 or offset >= self.size:
            return b""
        try:
            return self._fetch(self.start + offset, min(length, self.size - offset))
        except OSError as error:
            self.errors.append(f"byte {self.start + offset}: {(error.strerror or str(error)).lower()}")
            return b""

    def exactly(self, offset: int, length: int) -> bytes:
        """``length`` bytes, or as many zeros when they are not all there: no magic number is zero."""
        data = self.read(offset, length)
        return data if len(data) == length else bytes(length)

    def part(self, start: int, size: int) -> Window:
        """A window into this one; errors are remembered in both places of use by sharing the list."""
        inside = Window(self._fetch, max(0, min(size, self.size - start)), self.start + start)
        inside.errors = self.errors
        return inside
