# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How much a restore would write, without looking at the destination."""

from __future__ import annotations

from typing import Optional

from asl.formats import tree
from asl.restore import ranges
from asl.restore.ranges import DATA, HOLE, LOST
from asl.store import contents
from asl.store.contents import Payloads


def plan_content(store: Payloads, digest: bytes, size: int) -> dict[str, int]:
    """What a restore would write: bytes of data, of holes, unread, and lost to damage of the recipe."""
    found = {"data": 0, "holes": 0, "unread": 0, "lost": 0}
    names = {DATA: "data", HOLE: "holes", LOST: "lost"}
    for each in ranges.recipe_ranges(store, digest, size):
        found[names.get(each.kind, "unread")] += each.length
    return found


def plan_tree(store: Payloads, root: bytes, path: bytes) -> dict[str, int]:
    """What a restore of PATH would make: directories, files (all other names), bytes of content, names with losses. Raises NotFound."""
    found = {"directories": 0, "files": 0, "bytes": 0, "damaged": 0}

    def lost(count: Optional[int], _reason: str) -> None:
        found["damaged"] += count or 1

    waiting = [contents.resolve(store, root, path)]
    while waiting:
        entry = waiting.pop()
        if entry.type == tree.DIRECTORY:
            found["directories"] += 1
            if entry.content == tree.TREE:
                waiting.extend(ranges.directory(store, entry.digest, lost))
        else:
            found["files"] += 1
            found["bytes"] += entry.size if entry.type == tree.FILE else 0
            found["damaged"] += bool(entry.flags & tree.UNREAD)
    return found
