# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Merging: many small segments into one, so that a look-up stays short. The old files stay until no snapshot needs them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asl.formats import segment

if TYPE_CHECKING:
    from asl.store.writer import Writer

# Merge when more segments than this are visible, and only those with fewer records than this: a merge is done in memory.
MANY_SEGMENTS = 24
SMALL_RECORDS = 200_000


def merge_segments(writer: Writer) -> bool:
    """Merge the small segments of the store when there are many. True when it was done."""
    if len(writer.index.segments()) <= MANY_SEGMENTS:
        return False
    small = [each for each in writer.index.segments() if each.count < SMALL_RECORDS]
    if len(small) <= MANY_SEGMENTS // 2:
        return False
    # Newest first: where two segments hold an artifact, encode() keeps the entry that a look-up would have found.
    data = segment.encode(entry for each in small for entry in each.entries())
    writer.replace_segments([each.id for each in reversed(small)], data)
    return True
