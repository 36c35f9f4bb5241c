# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The usual files of a tree, many at once: read, checked and made outside of Python, in threads.

What is usual: a file of a few MiB at most, all of it data, without extended attributes, whose name is free. Whatever is not so, or
fails, comes back as it was, with nothing of it left, and is made one by one (restore.nodes), which says what is wrong.
"""

from __future__ import annotations

import stat
from array import array
from collections.abc import Sequence

from asl import kernel
from asl.formats import tree
from asl.formats.tree import Entry
from asl.kernel.files import Content, New
from asl.restore import chunks, ranges
from asl.restore.chunks import Memories
from asl.restore.content import BATCH
from asl.restore.ranges import DATA, Range
from asl.store.contents import Payloads

# Files in a batch, at most; together they have BATCH bytes at most.
MOST = 256


def is_usual(entry: Entry) -> bool:
    """Whether the entry may be made in a batch, if its name is free."""
    return (
        entry.type == tree.FILE
        and b"/" not in entry.name
        and not entry.flags
        and not entry.xattrs
        and entry.size <= BATCH
        and (entry.content in (tree.CHUNK, tree.RECIPE) if entry.size else entry.content == tree.NONE)
    )


def make(store: Payloads, memories: Memories, directories: Sequence[int], entries: Sequence[Entry]) -> bytes:
    """Make each of ENTRIES in its directory, a descriptor: one byte each, 1 where it is made. Raises what concerns the store as a whole."""
    wanted: list[Range] = []
    first = [0]
    for entry in entries:
        wanted += _parts(store, entry)
        first.append(len(wanted))
    with memories.one() as memory:
        places = chunks.place(store, wanted, memory)
        content, numbers, chosen, files = Content(memory, array("Q"), b"".join([each.digest for each in wanted])), [], [], []
        for place in places:
            content.spans.extend(place or (0, 0))
        for number, entry in enumerate(entries):
            start, end = first[number], first[number + 1]
            if None not in places[start:end] and (end > start or not entry.size):
                numbers.append(number)
                chosen.append(entry.name)
                mode = stat.S_IMODE(entry.mode)
                files.append(New(directories[number], start, end - start, mode, entry.uid, entry.gid, entry.mtime_s, entry.mtime_ns))
        made = bytearray(len(entries))
        for number, good in zip(numbers, kernel.load().files.make(chosen, files, content)):
            made[number] = good
    return bytes(made)


def _parts(store: Payloads, entry: Entry) -> list[Range]:
    """The chunks of a file; none where that is not all of it."""
    if entry.content == tree.CHUNK:
        return [Range(DATA, entry.size, entry.digest)]
    found = list(ranges.file_ranges(store, entry))
    return found if all(each.kind == DATA for each in found) else []
