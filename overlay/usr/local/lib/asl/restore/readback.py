# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A tree that was restored, read again from the disk: whatever a second restore would have to change is a loss of the first."""

from __future__ import annotations

from asl.errors import Usage
from asl.formats.tree import Entry
from asl.restore.predict import Prediction
from asl.restore.result import ATTRIBUTES, Changes, RestoreResult
from asl.sources.base import shown, why
from asl.store.contents import Payloads

# Losses that say already that there is no such name, or nothing below it, and those that say that an attribute is another.
_ABSENT = ("device", "exists", "hostile", "not_restored")
_UNSET = ("mode", "owner", "times", "xattrs")


class _Unwritten(Changes):
    """Each change that is still to be made is a loss, unless it was told as one before."""

    def __init__(self, result: RestoreResult) -> None:
        super().__init__()
        self._result = result
        self._absent = {loss.where for loss in result.losses if loss.what in _ABSENT}
        self._unset = {loss.where for loss in result.losses if loss.what in _UNSET}

    def add(self, path: str, what: str) -> None:
        """Once more."""
        if what == ATTRIBUTES:
            if path not in self._unset:
                self._result.lose("not_written", path, "it does not have the attributes that it was given")
        elif not self._is_absent(path):
            self._result.lose("not_written", path, "the disk gives back something else than was written")

    def unreadable(self, path: bytes, error: Exception) -> None:
        """PATH cannot be looked at. Damage of the store was told before."""
        if isinstance(error, OSError) and not self._is_absent(shown(path)):
            self._result.lose("not_written", shown(path), f"it cannot be read again: {why(error)}")

    def _is_absent(self, path: str) -> bool:
        parts = path.split("/")
        return bool(self._absent) and any("/".join(parts[:count]) in self._absent for count in range(1, len(parts) + 1))


def read_back(
    store: Payloads, root: bytes, base: int, wanted: Entry, result: RestoreResult, *, part: bytes, target: list[bytes]
) -> None:  # fmt: skip
    """Read WANTED again, which is PART of the tree ROOT and was restored to TARGET (name by name) below the directory BASE; list in RESULT
    what is not as it was written. What was written must be on the disk: only then is it read from there."""
    unwritten = _Unwritten(result)
    work = Prediction(store, root, base, part, unwritten, fresh=True, trouble=unwritten.unreadable)
    try:
        work.run(wanted, target, result.destination)
    except OSError as error:
        unwritten.unreadable(b"/".join(target), error)
    except Usage as error:
        result.lose("not_written", shown(b"/".join(target)), str(error))
    result.verified = True
