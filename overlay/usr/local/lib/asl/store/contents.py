# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading what recipes and trees describe: flat sequences out of nodes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Optional, Protocol

from asl.errors import NotFound
from asl.formats import recipe, tree
from asl.formats.artifact import TAG_RECIPE, TAG_TREE


class Payloads(Protocol):
    """What these functions need of a store."""

    def payload(self, digest: bytes, type_tag: Optional[int] = None) -> bytes:
        """The payload of the artifact, its digest and its tag checked."""


def recipe_entries(store: Payloads, digest: bytes) -> Iterator[recipe.Entry]:
    """The data, hole and unread entries of the recipe with DIGEST, in order. Raises Damaged, NotFound."""
    node = recipe.decode(store.payload(digest, TAG_RECIPE))
    for entry in node.entries:
        if entry.kind == recipe.CHILD:
            yield from recipe_entries(store, entry.digest)
        else:
            yield entry


def content_entries(store: Payloads, entry: tree.Entry) -> Iterator[recipe.Entry]:
    """The recipe entries of a file in a tree, whatever form its content has."""
    if entry.content == tree.RECIPE:
        yield from recipe_entries(store, entry.digest)
    elif entry.content == tree.CHUNK:
        yield recipe.Entry(recipe.DATA, entry.size, entry.digest)


def tree_entries(store: Payloads, digest: bytes) -> Iterator[tree.Entry]:
    """The entries of the directory with DIGEST, in order of their names. Raises Damaged, NotFound."""
    node = tree.decode(store.payload(digest, TAG_TREE))
    yield from node.entries
    for branch in node.branches:
        yield from tree_entries(store, branch.digest)


def find_in_tree(store: Payloads, digest: bytes, name: bytes) -> Optional[tree.Entry]:
    """The entry called NAME in the directory with DIGEST, reading only the nodes that lead there."""
    node = tree.decode(store.payload(digest, TAG_TREE))
    for entry in node.entries:
        if entry.name == name:
            return entry
    below = [branch for branch in node.branches if branch.first <= name]
    return find_in_tree(store, below[-1].digest, name) if below else None


def resolve(store: Payloads, root: bytes, path: bytes) -> tree.Entry:
    """The entry at PATH (relative, '/' between names; empty = the source's root) under the tree ROOT. Raises NotFound.

    ROOT is the digest of a source's root: a tree with the one entry "."."""
    entry = find_in_tree(store, root, tree.ROOT_NAME)
    walked = b""
    for name in [part for part in path.split(b"/") if part not in (b"", b".")]:
        if entry is None or entry.type != tree.DIRECTORY or entry.content != tree.TREE:
            entry = None
            break
        entry = find_in_tree(store, entry.digest, name)
        walked += b"/" + name
    if entry is None:
        raise NotFound(f"{path.decode('utf-8', 'surrogateescape')!r} is not in this snapshot", hint="asl-admin ls SNAPSHOT shows what is")
    return entry
