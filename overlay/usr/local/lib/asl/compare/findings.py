# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a comparison finds: differences, and what could not be compared. Lists are bounded, what is beyond them is counted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from asl.compare.contents import Content

# Objects that are listed in each list.
LISTED = 10_000
CHANGED, VANISHED, NEW = "changed", "vanished", "new"
UNREAD, UNREADABLE, DAMAGED = "unread", "unreadable", "damaged"
_WHY = {
    UNREAD: "it is not in the snapshot, and was not asked for again",
    UNREADABLE: "the source does not give it any more",
    DAMAGED: "the store cannot say what was there",
}


class Findings:
    """Gathers what is found of several sources, one after the other."""

    def __init__(self) -> None:
        self._differences: list[dict[str, Any]] = []
        self._apart: list[dict[str, Any]] = []
        self._more = {"differences": 0, "not_compared": 0}
        self._damaged = 0
        self._source = ""
        self.files = self.bytes = self._unread = self._unreadable = 0

    def begin(self, source: str) -> None:
        """What follows is of SOURCE."""
        self._source = source
        self.files = self.bytes = self._unread = self._unreadable = 0

    @property
    def ok(self) -> bool:
        """Nothing differs, and the store could say of everything what was there."""
        return not self._differences and not self._damaged

    @property
    def complete(self) -> bool:
        """Everything was compared."""
        return not self._apart

    def counts(self) -> dict[str, int]:
        """Of the source at hand: files, bytes that are equal, bytes the snapshot lacks, bytes the source does not give any more."""
        return {"files": self.files, "bytes": self.bytes, "bytes_unread": self._unread, "bytes_unreadable": self._unreadable}

    def differs(self, path: bytes, what: str, why: str, **more: Any) -> None:
        """PATH is not as it was."""
        self._add(self._differences, "differences", {"source": self._source, "path": path, "what": what, "why": why, **more})

    def apart(self, path: bytes, what: str, why: str = "", **more: Any) -> None:
        """PATH, or a part of it, could not be compared."""
        self._damaged += what == DAMAGED
        self._add(self._apart, "not_compared", {"source": self._source, "path": path, "what": what, "why": why or _WHY[what], **more})

    def content(self, path: bytes, content: Content, fields: Sequence[str], why: str = "") -> None:
        """What was found of the content of PATH, and which attributes of it (FIELDS) differ."""
        self.bytes += content.equal
        if content.different:
            reason = why or content.words.get("changed") or content.words.get("size") or "it holds other bytes"
            self.differs(path, CHANGED, reason, fields=["content", *fields], **content.different.document())
        elif fields:
            self.differs(path, CHANGED, why or "it has other attributes", fields=list(fields))
        for what, ranges in ((UNREAD, content.unread), (UNREADABLE, content.unreadable), (DAMAGED, content.damaged)):
            if ranges:
                self.apart(path, what, content.words.get(what, ""), **ranges.document())
        self._unread += content.unread.total
        self._unreadable += content.unreadable.total

    def document(self) -> dict[str, Any]:
        """The lists."""
        return {
            "differences": self._differences, "differences_omitted": self._more["differences"],
            "not_compared": self._apart, "not_compared_omitted": self._more["not_compared"], "not_compared_damaged": self._damaged,
        }  # fmt: skip

    def _add(self, listed: list[dict[str, Any]], name: str, entry: dict[str, Any]) -> None:
        if len(listed) < LISTED:
            listed.append(entry)
        else:
            self._more[name] += 1
