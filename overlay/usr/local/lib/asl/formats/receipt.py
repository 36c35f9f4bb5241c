# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The receipt of an intake (artifact type tag 0x41530004), canonical JSON: when, where and how it was read.

What is told of it is shown to people and handed on to programs, so whatever stands under a known key is of its type; keys that are not
known are left alone, and a key may be missing.
"""

from __future__ import annotations

from typing import Any

from asl.errors import Damaged
from asl.formats import canonical

_TEXT = ("engine", "kernel", "python", "host", "system")
_NUMBERS = ("user", "began", "ended", "version")
_SOURCE: dict[str, tuple[type, ...]] = {
    "source": (str,), "kind": (str,), "files": (int,), "size": (int,), "bytes_read": (int,), "bytes_unread": (int,), "root": (str,),
    "view": (str, type(None)), "details": (dict,), "notes": (list,), "losses": (list,), "losses_omitted": (int,),
    "map": (dict, type(None)),
}  # fmt: skip


def decode(payload: bytes) -> dict[str, Any]:
    """The receipt in PAYLOAD. Raises Damaged."""
    found = canonical.decode(payload, "a receipt")
    _typed(found, {**dict.fromkeys(_TEXT, (str,)), **dict.fromkeys(_NUMBERS, (int,)), "request": (dict,), "sources": (list,)})
    for each in found.get("sources", ()):
        _typed(each, _SOURCE)
        _all(each.get("notes", ()), lambda note: isinstance(note, str), "notes")
        for loss in each.get("losses", ()):
            _typed(loss, dict.fromkeys(("what", "where", "why"), (str,)))
            _all(("what", "where", "why"), lambda key, loss=loss: key in loss, "losses")
        areas = each.get("details", {}).get("map", [])
        _all(areas if isinstance(areas, list) else [areas], _is_area, "map")
    return found


def _typed(found: Any, types: dict[str, tuple[type, ...]]) -> None:
    if not isinstance(found, dict):
        raise _bad("what should be an object is none")
    for key, kinds in types.items():
        if key in found and (not isinstance(found[key], kinds) or isinstance(found[key], bool)):
            raise _bad(f"{key!r} is of another type")


def _all(found: Any, rule: Any, key: str) -> None:
    if not all(rule(each) for each in found):
        raise _bad(f"an entry of {key!r} is of another form")


def _is_area(found: Any) -> bool:
    """[start, length, status], as in a ddrescue mapfile."""
    if not isinstance(found, list) or len(found) != 3:
        return False
    start, length, status = found
    # True is an int too, and no offset.
    numbers = all(isinstance(each, int) and not isinstance(each, bool) for each in (start, length))
    return numbers and start >= 0 and length > 0 and isinstance(status, str)


def _bad(what: str) -> Damaged:
    return Damaged(f"a receipt in which {what}", reason="BAD_RECEIPT")
