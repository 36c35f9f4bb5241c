# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Memory that is read into and lent to whoever works on what was read: the bytes stay where they are until nobody needs them.

New memory costs more than a read into it (a page fault each 4 KiB), so what comes back is lent again. Nothing here says how much
may be lent at a time: whoever holds it does (intake.chunker).
"""

from __future__ import annotations

import mmap
import threading

# Bytes read at a time. What is handed from thread to thread costs the same however much it is, and this is more than a few of them.
LENT_SIZE = 2 * 1024 * 1024
# Room before what is read, for the end of what was read before it: the largest chunk of the usual size fits.
ROOM = 256 * 1024

# The last one comes first: it is the one that may still be in the cache. Lists may be added to and taken from in any thread.
_free: list[Lent] = []


class Lent:
    """LENT_SIZE bytes from a page's beginning on, with ROOM before them. Begins with one holder; any thread may hold and drop."""

    def __init__(self) -> None:
        self.memory = memoryview(mmap.mmap(-1, ROOM + LENT_SIZE))
        self.view = self.memory[ROOM:]
        self.floor = 0
        """Up to here in `memory` it is somebody's; for the one who holds it."""
        self._holders, self._mutex = 1, threading.Lock()

    def hold(self) -> None:
        """One more holder."""
        with self._mutex:
            self._holders += 1

    def drop(self) -> None:
        """One holder less; behind the last one it is lent to others."""
        with self._mutex:
            self._holders -= 1
            last = self._holders == 0
        if last:
            self.floor, self._holders = 0, 1
            _free.append(self)


def lend() -> Lent:
    """Memory that nobody holds. What is never dropped is not lent again, and gone when nobody refers to it."""
    try:
        return _free.pop()
    except IndexError:
        return Lent()
