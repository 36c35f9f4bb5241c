# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What lies in the queue is shown and handed on: a document that is not as it was written is damaged, and treated so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Optional

_TEXT, _NUMBER, _LIST, _MAYBE = (str,), (int, float), (list,), (str, type(None))
Shape = Mapping[str, tuple[type, ...]]
_ERROR: Shape = {"error": _TEXT, "reason": _TEXT, "hint": _MAYBE, "exit_code": (int,)}
_RESULT: Shape = {
    "snapshot": _TEXT, "digest": _TEXT, "store": _TEXT, "domain": _TEXT, "changed": (bool,), "sources": _LIST, "losses": _LIST,
    "bytes_read": _NUMBER, "bytes_new": _NUMBER, "bytes_duplicate": _NUMBER, "bytes_unread": _NUMBER, "seconds": _NUMBER,
    "losses_omitted": (int,), "exit_code": (int,),
}  # fmt: skip
_SOURCE: Shape = {
    "source": _TEXT, "files": _NUMBER, "size": _NUMBER, "bytes_read": _NUMBER, "bytes_unread": _NUMBER, "notes": _LIST, "view": _MAYBE,
}
_LOSS: Shape = {"what": _TEXT, "where": _TEXT, "why": _TEXT}
_PROGRESS: Shape = {
    "phase": _TEXT, "source": _TEXT, "files": _NUMBER, "bytes_done": _NUMBER, "bytes_total": (*_NUMBER, type(None)), "bytes_new": _NUMBER,
    "bytes_duplicate": _NUMBER, "bytes_unread": _NUMBER, "rate": _NUMBER, "eta": (*_NUMBER, type(None)), "seconds_since_read": _NUMBER,
}  # fmt: skip
BAD_RESULT = "BAD_RESULT"
_MOST = 1 << 63  # beyond it no size, and no number of seconds, means anything


def progress(found: Optional[dict[str, Any]]) -> Optional[dict[str, Any]]:
    """FOUND when it is a progress.json, else None."""
    return found if found is not None and _is(found, _PROGRESS) else None


def result(found: Optional[dict[str, Any]]) -> dict[str, Any]:
    """FOUND when it is a result.json; else the result of a job of which nobody knows how it ended."""
    if found is not None and _is(found, _ERROR):
        return found
    if found is not None and _is(found, _RESULT) and _whole(found):
        return found
    what = "how the job ended is not known: its result is damaged"
    hint = "submit it again: what it has stored stays, and is not read anew"
    return {"error": what, "reason": BAD_RESULT, "hint": hint, "changed": False, "exit_code": 4}


def _whole(found: Mapping[str, Any]) -> bool:
    sources = all(_is(each, _SOURCE) and all(isinstance(note, str) for note in each["notes"]) for each in found["sources"])
    kept = found.get("zfs_snapshot")
    return sources and all(_is(each, _LOSS) for each in found["losses"]) and (kept is None or _is(kept, {"name": _TEXT, "error": _MAYBE}))


def _is(found: Any, shape: Shape) -> bool:
    return isinstance(found, dict) and all(key in found and _fits(found[key], kinds) for key, kinds in shape.items())


def _fits(value: Any, kinds: tuple[type, ...]) -> bool:
    if isinstance(value, bool):
        return bool in kinds
    return isinstance(value, kinds) and not (isinstance(value, (int, float)) and not -_MOST < value < _MOST)
