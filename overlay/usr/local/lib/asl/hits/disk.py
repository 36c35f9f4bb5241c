# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A disk as a snapshot holds it, read at any place. What was never read, or is lost in the store, fails or is zeros, as is wanted."""

from __future__ import annotations

import bisect
import errno
import os
from collections import OrderedDict
from itertools import accumulate
from typing import NamedTuple, Optional

from asl.formats import recipe
from asl.formats.artifact import TAG_RECIPE
from asl.restore.ranges import DAMAGE, LOST, UNREAD, recipe_ranges
from asl.store.contents import Payloads

# Decoded nodes that are remembered (about 1 MiB each at most), and bytes of chunks.
_NODES, _CHUNKS = 32, 16 << 20


class _Open(NamedTuple):
    node: recipe.Node
    ends: list[int]
    """Where each entry ends, counted from the beginning of the node, in bytes."""


class Disk:
    """SIZE bytes: the recipe ROOT in STORE. For one thread."""

    def __init__(self, store: Payloads, root: bytes, size: int) -> None:
        self._store, self._root, self.size = store, root, size
        self._nodes: OrderedDict[bytes, _Open] = OrderedDict()
        self._chunks: OrderedDict[bytes, bytes] = OrderedDict()
        self._held = 0

    def missing(self) -> list[tuple[int, int]]:
        """(start, end) of each range that cannot be given, in bytes from the beginning of the disk, END not included: what was never
        read, and what is lost in the store as far as its recipe tells (a chunk is not read for that). In order, apart, neighbours joined.

        Reads the whole recipe. Raises what the store raises for anything but damage: Unavailable where it is gone."""
        found: list[tuple[int, int]] = []
        at = 0
        for each in recipe_ranges(self._store, self._root, self.size):
            if each.kind in (UNREAD, LOST) and each.length:
                if found and found[-1][1] == at:
                    found[-1] = (found[-1][0], at + each.length)
                else:
                    found.append((at, at + each.length))
            at += each.length
        return found

    def read(self, at: int, size: int) -> bytes:
        """SIZE bytes at AT, fewer at the end of the disk. Raises OSError EIO where one of them is missing."""
        return self._bytes(at, size, failing=True)

    def filled(self, at: int, size: int) -> bytes:
        """The same with zeros for what is missing: what a restore into a file gives."""
        return self._bytes(at, size, failing=False)

    def _bytes(self, at: int, size: int, *, failing: bool) -> bytes:
        end, parts = min(at + size, self.size), []
        while at < end:
            data, length = self._piece(at, end)
            if data is None and failing:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            parts.append(bytes(length) if data is None else data)
            at += length
        return b"".join(parts)

    def _piece(self, at: int, end: int) -> tuple[Optional[bytes], int]:
        """(some bytes from AT on, END at most, or None where they are missing; how many)."""
        entry, start = recipe.Entry(recipe.CHILD, self.size, self._root), 0
        above = 256
        while entry.kind == recipe.CHILD:
            try:
                opened = self._node(entry.digest)
            except DAMAGE:
                break
            if opened.node.level >= above or opened.node.size != entry.length:
                break
            number, above = bisect.bisect_right(opened.ends, at - start), opened.node.level
            entry, start = opened.node.entries[number], start + opened.ends[number] - opened.node.entries[number].length
        length = min(end, start + entry.length) - at
        if entry.kind == recipe.HOLE:
            return bytes(length), length
        if entry.kind != recipe.DATA:
            return None, length
        try:
            data = self._chunk(entry.digest)
        except DAMAGE:
            return None, length
        return (data[at - start : at - start + length] if len(data) == entry.length else None), length

    def _node(self, digest: bytes) -> _Open:
        found = self._nodes.get(digest)
        if found is None:
            node = recipe.decode(self._store.payload(digest, TAG_RECIPE))
            found = self._nodes[digest] = _Open(node, list(accumulate(entry.length for entry in node.entries)))
            if len(self._nodes) > _NODES:
                self._nodes.popitem(last=False)
        else:
            self._nodes.move_to_end(digest)
        return found

    def _chunk(self, digest: bytes) -> bytes:
        found = self._chunks.get(digest)
        if found is None:
            found = self._chunks[digest] = self._store.payload(digest)
            self._held += len(found)
            while self._held > _CHUNKS and len(self._chunks) > 1:
                self._held -= len(self._chunks.popitem(last=False)[1])
        else:
            self._chunks.move_to_end(digest)
        return found
