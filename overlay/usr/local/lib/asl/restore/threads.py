# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The threads of a restore: how many, and the end of what they do."""

from __future__ import annotations

import os
from collections.abc import Iterable
from concurrent.futures import Future, wait
from typing import Any


def workers() -> int:
    """Threads of a restore: one for each CPU this process may use, 16 at most."""
    return min(16, len(os.sched_getaffinity(0)))


def stop(work: Iterable[Future[Any]]) -> None:
    """Cancel what has not begun and wait for the rest: when this returns, nobody uses the descriptors it was given.

    It is not cut short by a second interrupt: a descriptor that is closed too early may be another file when a thread writes to it."""
    running = list(work)
    for each in running:
        each.cancel()
    while True:
        try:
            wait(running)
            return
        except KeyboardInterrupt:
            continue
