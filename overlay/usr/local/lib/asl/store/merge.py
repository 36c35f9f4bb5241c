# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Merging: many small segments into one, so that a look-up stays short. The old files stay until no snapshot needs them."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

from asl import kernel
from asl.formats import segment

if TYPE_CHECKING:
    from asl.store.writer import Writer

# Merge when more segments than this are visible, and only those with fewer records than this: a merge is done in memory.
MANY_SEGMENTS = 24
SMALL_RECORDS = 200_000
# Records in one merge at most: 44 bytes of memory each, and as much again when the segment is put together.
MAX_RECORDS = 1_000_000


def merge_segments(writer: Writer) -> bool:
    """Merge the small segments of the store when there are many. True when it was done."""
    if len(writer.index.segments()) <= MANY_SEGMENTS:
        return False
    small, records = [], 0
    for each in writer.index.segments():
        if each.count < SMALL_RECORDS and records + each.count <= MAX_RECORDS:
            small.append(each)
            records += each.count
    if len(small) <= MANY_SEGMENTS // 2:
        return False
    # Newest first: where two segments hold an artifact, the entry is kept that a look-up would have found.
    data = segment.encode_sorted(heapq.merge(*(each.entries() for each in small), key=lambda entry: entry[0]), kernel.load().filter)
    writer.replace_segments([each.id for each in reversed(small)], data)
    return True
