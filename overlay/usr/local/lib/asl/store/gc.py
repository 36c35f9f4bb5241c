# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What no snapshot reaches. Nothing is ever removed here: this says what could be.

Every snapshot counts, pinned or not, since none is ever forgotten. An artifact that was put by itself is reached by none.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Optional

from asl.backends import layout
from asl.errors import Damaged, NotFound
from asl.names import BlockID
from asl.store import Store
from asl.store.check.findings import Progress
from asl.store.index import Segment
from asl.store.marks import Marks
from asl.store.reach import Lost, Walk


@dataclass
class _Use:
    """Bytes of plain content in a block that visible segments name, and how many of them a snapshot reaches."""

    artifacts: int = 0
    reached: int = 0
    total: int = 0


def gc_check(store: Store, progress: Optional[Progress] = None) -> dict[str, Any]:
    """The document of `asl-admin gc-check --json`. Sizes in bytes.

    Raises Damaged when a snapshot cannot be walked to its end: what hangs on the lost part would look unreached.
    """
    began = time.monotonic()
    marks = _reached(store, progress)
    uses: dict[BlockID, _Use] = {}
    segments = [_segment(store, marks, each, uses) for each in reversed(store.index.segments())]
    blocks = [_block(store, block_id, use) for block_id, use in sorted(uses.items()) if use.reached < use.total]
    return {
        "store": store.backend.location,
        "snapshots": len(store.snapshots()),
        "pinned": [str(number) for number in sorted(store.state.pins)],
        "bytes_unreached": sum(each["bytes_unreached"] for each in blocks),
        "blocks": blocks,
        "blocks_unnamed": [
            {"block": name.rpartition("/")[2], "size": _size(store, name)} for name in store.backend.names("blocks") if _unnamed(name, uses)
        ],
        "segments": [each for each in segments if each["artifacts_unreached"]],
        "segments_dropped": [{"segment": number, "size": _size(store, layout.segment(number))} for number in _dropped(store)],
        "removed": 0,
        "seconds": round(time.monotonic() - began, 3),
    }  # fmt: skip


def _reached(store: Store, progress: Optional[Progress]) -> Marks:
    lost: list[Lost] = []
    walk = Walk(store, lambda _: None, lost.append)
    snapshots = store.snapshots()
    for at, each in enumerate(snapshots):
        if progress:
            progress("snapshots", at, len(snapshots))
        walk.snapshot(each.snapshot)
        if lost:
            raise Damaged(
                f"what snapshot {each.id} reaches cannot be told: {lost[0].why}",
                reason="INCOMPLETE_SNAPSHOT",
                hint=f"asl-admin verify {each.id} lists what is lost",
            )
    return walk.marks


def _segment(store: Store, marks: Marks, segment: Segment, uses: dict[BlockID, _Use]) -> dict[str, Any]:
    """What SEGMENT says of blocks, added to USES. A copy elsewhere, hidden by a newer segment, is reached by nothing."""
    unreached = size = 0
    for number, (digest, location) in enumerate(segment.entries()):
        found = store.index.number(digest)
        if found and found != (segment, number) and found[0].location(found[1]) == location:
            continue  # said again by a newer segment, and counted there
        reached = marks.has(segment, number)
        if not reached:
            unreached, size = unreached + 1, size + sum(extent.length for extent in location)
        for extent in location:
            use = uses.setdefault(extent.block, _Use())
            use.artifacts += 1
            use.total += extent.length
            use.reached += extent.length if reached else 0
    return {"segment": segment.id, "artifacts": segment.count, "artifacts_unreached": unreached, "bytes_unreached": size}


def _block(store: Store, block_id: BlockID, use: _Use) -> dict[str, Any]:
    size = _size(store, layout.block(block_id))
    return {
        "block": block_id.hex(), "size": size, "artifacts": use.artifacts, "bytes_reached": use.reached,
        "bytes_unreached": use.total - use.reached, "whole": use.reached == 0,
    }  # fmt: skip


def _unnamed(name: str, uses: dict[BlockID, _Use]) -> bool:
    raw = layout.parse_block(name)
    return raw is not None and BlockID(raw) not in uses


def _dropped(store: Store) -> list[int]:
    """Segment files that are not visible: merged into others, or never sealed."""
    numbers = map(layout.parse_number, store.backend.names("segments"))
    return [number for number in numbers if number is not None and number not in store.state.segments]


def _size(store: Store, name: str) -> Optional[int]:
    """Bytes of the object; None where it is missing, which is for the check to say."""
    try:
        return store.backend.size(name)
    except NotFound:
        return None
