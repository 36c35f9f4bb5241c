# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""System calls that fail: stands in for the module `os` (and for open()) in asl.backends.posix, and spoils the n-th call.

A call is failed with an error of the kernel before it does anything, or done in part: a write that takes half, a read that gives half.
"""

from __future__ import annotations

import builtins
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from asl.backends import posix

CALLS = (
    "open",
    "close",
    "fstat",
    "fsync",
    "ftruncate",
    "link",
    "listdir",
    "lseek",
    "makedirs",
    "pread",
    "rename",
    "stat",
    "unlink",
    "write",
)
SHORT = 0  # in the place of an error number


class Failing:
    """Call number AT (from 1) fails with ERROR (an error number, or SHORT); `count` says how many there were."""

    def __init__(self, at: int, error: int) -> None:
        self.at, self.error = at, error
        self.count = 0
        self.hit = ""
        self._mutex = threading.Lock()

    def __getattr__(self, name: str) -> Any:
        real = getattr(os, name)
        return self._counted(name, real) if name in CALLS else real

    def open_file(self, *words: Any, **named: Any) -> Any:
        """In the place of open()."""
        self._step("open")
        return builtins.open(*words, **named)

    def _step(self, name: str) -> bool:
        """Count; True when this call is to be short. Raises OSError when it is to fail."""
        with self._mutex:
            self.count += 1
            if self.count != self.at:
                return False
            self.hit = name
        if self.error == SHORT:
            return True
        if name == "close":
            return False  # a descriptor is gone after close(2), whatever it says
        raise OSError(self.error, os.strerror(self.error))

    def _counted(self, name: str, real: Any) -> Any:
        def call(*words: Any, **named: Any) -> Any:
            short = self._step(name)
            if short and name == "write":
                return real(words[0], memoryview(words[1])[: max(1, len(words[1]) // 2)])
            if short and name == "pread":
                return real(words[0], max(1, words[1] // 2), *words[2:])
            return real(*words, **named)

        return call


@contextmanager
def failing(at: int, error: int) -> Iterator[Failing]:
    """Within it the backend's calls are counted, and call number AT fails."""
    stand_in = Failing(at, error)
    real = posix.os
    posix.os = stand_in  # type: ignore[assignment]
    posix.open = stand_in.open_file  # type: ignore[attr-defined]
    try:
        yield stand_in
    finally:
        posix.os = real
        del posix.open  # type: ignore[attr-defined]
