# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Recipes and trees read past damage: what cannot be had is told in its place, and what follows is read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple, Optional

from asl.errors import Damaged, NotFound, Unsupported
from asl.formats import recipe, tree
from asl.formats.artifact import TAG_RECIPE, TAG_TREE
from asl.store.contents import Payloads

DATA, HOLE, UNREAD = recipe.DATA, recipe.HOLE, recipe.UNREAD
LOST = -1
# What is wrong with one artifact. Anything else (the store is gone) ends the restore.
DAMAGE = (Damaged, NotFound, Unsupported)
_TOP = 256


class Range(NamedTuple):
    """LENGTH bytes of a kind: DATA with a digest, HOLE, UNREAD, or LOST with the reason."""

    kind: int
    length: int
    digest: bytes = b""
    reason: str = ""


def recipe_ranges(store: Payloads, digest: bytes, length: int, level: int = _TOP) -> Iterator[Range]:
    """The ranges of the recipe node DIGEST, which covers LENGTH bytes. A node that cannot be had is one LOST range."""
    try:
        node = recipe.decode(store.payload(digest, TAG_RECIPE))
        if node.level >= level or node.size != length:
            raise Damaged(f"a recipe of {node.size} bytes where {length} belong", reason="BAD_RECIPE")
    except DAMAGE as error:
        yield Range(LOST, length, b"", str(error))
        return
    for entry in node.entries:
        if entry.kind == recipe.CHILD:
            yield from recipe_ranges(store, entry.digest, entry.length, node.level)
        else:
            yield Range(entry.kind, entry.length, entry.digest)


def file_ranges(store: Payloads, entry: tree.Entry) -> Iterator[Range]:
    """The ranges of a file in a tree."""
    if entry.content == tree.RECIPE:
        yield from recipe_ranges(store, entry.digest, entry.size)
    elif entry.content == tree.CHUNK:
        yield Range(DATA, entry.size, entry.digest)
    elif entry.size:
        # Nothing of it was ever stored.
        yield Range(UNREAD, entry.size)


def chunk(store: Payloads, wanted: Range) -> bytes:
    """The bytes of a DATA range. Raises Damaged, also for a chunk of another length."""
    data = store.payload(wanted.digest)
    if len(data) != wanted.length:
        raise Damaged(f"a chunk of {len(data)} bytes where {wanted.length} belong", reason="BAD_RECIPE")
    return data


def directory(store: Payloads, digest: bytes, lost: Callable[[Optional[int], str], None], level: int = _TOP) -> Iterator[tree.Entry]:
    """The entries of a directory. LOST(how many entries, or None where that is unknown, why) is called for each node in between."""
    try:
        node = tree.decode(store.payload(digest, TAG_TREE))
        if node.level >= level:
            raise Damaged("a tree that does not fit into the one above it", reason="BAD_TREE")
    except DAMAGE as error:
        lost(None, str(error))
        return
    yield from node.entries
    for branch in node.branches:
        count = branch.below

        def below(number: Optional[int], reason: str, count: int = count) -> None:
            lost(count if number is None else number, reason)

        yield from directory(store, branch.digest, below, node.level)
