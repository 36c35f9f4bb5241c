# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The SHA-256 of a whole object of a store."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Optional

from asl.backends.base import Reads

_PIECE = 4 * 1024 * 1024


def object_digest(backend: Reads, name: str, step: Optional[Callable[[int], None]] = None) -> bytes:
    """The SHA-256 of the object NAME; read, not mapped, so that a failing disk is an error and not a signal. STEP(bytes) as it goes on.

    Raises NotFound, Unavailable."""
    hasher, at = hashlib.sha256(), 0
    while True:
        piece = backend.read(name, at, _PIECE)
        if not piece:
            return hasher.digest()
        hasher.update(piece)
        at += len(piece)
        if step:
            step(len(piece))
