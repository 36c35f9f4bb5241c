# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a restore did."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any, NamedTuple, Optional

from asl.errors import AslError, Refused, Unavailable
from asl.sources.base import MAX_LOSSES, Loss, why

# The destination as a whole is in trouble: the next name would fail as well.
_FATAL = {
    errno.ENOSPC: ("NO_SPACE", "make room, and run the same command with --overwrite: it goes on where it stopped"),
    errno.EDQUOT: ("NO_SPACE", "raise the quota, and run the same command with --overwrite: it goes on where it stopped"),
    errno.EROFS: ("READ_ONLY", "choose a destination that can be written"),
    errno.EIO: ("IO_ERROR", "choose a destination on a disk that works"),
}


# Changes that are listed; the others are counted.
MAX_CHANGES = 1000
MAKE, REPLACE, ATTRIBUTES = "make", "replace", "attributes"


class Change(NamedTuple):
    """WHAT is done to PATH: it is made, replaced, or only its attributes are set."""

    path: str
    what: str


class Changes:
    """What a restore changes, or would change, in the order in which it comes by; beyond MAX_CHANGES only counted."""

    def __init__(self) -> None:
        self.listed: list[Change] = []
        self.omitted = 0

    def __bool__(self) -> bool:
        """True when anything changes."""
        return bool(self.listed)

    def add(self, path: str, what: str) -> None:
        """Once more."""
        if len(self.listed) < MAX_CHANGES:
            self.listed.append(Change(path, what))
        else:
            self.omitted += 1

    def document(self) -> dict[str, Any]:
        """As it stands in results."""
        return {"changed": bool(self), "changes": [each._asdict() for each in self.listed], "changes_omitted": self.omitted}


class Refusing(Changes):
    """Changes that nobody consented to: the first one is the refusal."""

    def __init__(self, refused: Refused) -> None:
        super().__init__()
        self._refused = refused

    def add(self, path: str, what: str) -> None:
        """Raises it."""
        raise self._refused


class RestoreResult:
    """Counts of one restore. `files` are names of any kind but directories, `bytes` their content; `skipped` had the right content already.

    Losses beyond MAX_LOSSES are only counted, in `losses_omitted`."""

    files = 0
    bytes = 0
    skipped = 0
    verified = False  # it was read again from the destination
    losses_omitted = 0

    def __init__(self, destination: str, progress: Optional[Callable[[RestoreResult], None]] = None) -> None:
        self.destination, self.progress = destination, progress
        self.changes = Changes()
        self.losses: list[Loss] = []

    def lose(self, what: str, where: str, reason: str) -> None:
        """List a loss: `what` is damaged, unread, owner, mode, xattrs, times, device, exists, hostile,
        not_written or not_restored."""
        if len(self.losses) < MAX_LOSSES:
            self.losses.append(Loss(what, where, reason))
        else:
            self.losses_omitted += 1

    def step(self) -> None:
        """Show the progress."""
        if self.progress is not None:
            self.progress(self)

    def document(self) -> dict[str, Any]:
        """As it stands in results."""
        return {
            "destination": self.destination, "files": self.files, "bytes": self.bytes, "skipped": self.skipped,
            "verified": self.verified, **self.changes.document(),
            "losses": [loss.document() for loss in self.losses], "losses_omitted": self.losses_omitted,
        }  # fmt: skip


def fatal(error: OSError, destination: str) -> Optional[AslError]:
    """The error to end with when ERROR concerns all of DESTINATION; None when the next name may still work."""
    if error.errno not in _FATAL:
        return None
    reason, hint = _FATAL[error.errno]
    return Unavailable(f"{destination} cannot be written: {why(error)}", reason=reason, hint=hint)
