# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A store in a dict, and trees made by hand, also such as no intake would make."""

from __future__ import annotations

from typing import Optional, Union

from asl.errors import Damaged, NotFound
from asl.formats import artifact, recipe, tree
from asl.formats.artifact import TAG_RECIPE, TAG_TREE
from asl.formats.tree import Entry

DIR = Entry(b"", tree.DIRECTORY, 0o755)


class Shelf:
    """Artifacts by digest; `break_` makes one unreadable."""

    def __init__(self) -> None:
        self.artifacts: dict[bytes, tuple[bytes, Optional[int]]] = {}
        self.broken: set[bytes] = set()

    def payload(self, digest: bytes, type_tag: Optional[int] = None) -> bytes:
        if digest in self.broken:
            raise Damaged(f"artifact {digest.hex()[:8]} is damaged")
        if digest not in self.artifacts or self.artifacts[digest][1] != type_tag:
            raise NotFound(f"there is no artifact {digest.hex()[:8]}")
        return self.artifacts[digest][0]

    def put(self, payload: bytes, tag: Optional[int] = None) -> bytes:
        digest = artifact.digest(payload, tag)
        self.artifacts[digest] = (payload, tag)
        return digest

    def recipe(self, *parts: Union[bytes, tuple[int, int]], level: int = 0) -> bytes:
        """The digest of a recipe: data as bytes, (HOLE or UNREAD, length)."""
        entries = []
        for part in parts:
            entries.append(recipe.Entry(recipe.DATA, len(part), self.put(part)) if isinstance(part, bytes) else recipe.Entry(*part))
        return self.put(recipe.encode(level, entries), TAG_RECIPE)

    def file(self, name: bytes, *parts: Union[bytes, tuple[int, int]], **more: object) -> Entry:
        """A file made of PARTS."""
        size = sum(len(part) if isinstance(part, bytes) else part[1] for part in parts)
        plain = len(parts) == 1 and isinstance(parts[0], bytes)
        content, digest = (tree.CHUNK, self.put(parts[0])) if plain and isinstance(parts[0], bytes) else (tree.RECIPE, self.recipe(*parts))
        if not parts:
            content, digest = tree.NONE, tree.NO_DIGEST
        entry = Entry(name, tree.FILE, size=size, content=content, digest=digest)
        return entry._replace(**more)  # type: ignore[arg-type]

    def nodes(self, entries: list[Entry]) -> bytes:
        return self.put(tree.encode([tree.encode_entry(entry) for entry in entries]), TAG_TREE)

    def directory(self, name: bytes, *entries: Entry, **more: object) -> Entry:
        """A directory with ENTRIES, sorted."""
        digest = self.nodes(sorted(entries, key=lambda entry: entry.name))
        return DIR._replace(name=name, content=tree.TREE, digest=digest, **more)  # type: ignore[arg-type]

    def split(self, name: bytes, *parts: list[Entry]) -> Entry:
        """A directory whose entries lie in several nodes, in the order given."""
        branches = [tree.Branch(self.nodes(part), len(part), b"%d" % number) for number, part in enumerate(parts)]
        return DIR._replace(name=name, content=tree.TREE, digest=self.put(tree.encode_upper(1, branches), TAG_TREE))

    def root(self, *entries: Entry, **more: object) -> bytes:
        """The digest of a source's root with ENTRIES."""
        return self.nodes([self.directory(b".", *entries, **more)])


def link(name: bytes, target: bytes) -> Entry:
    return Entry(name, tree.HARDLINK, target=target)


def symlink(name: bytes, target: bytes) -> Entry:
    return Entry(name, tree.SYMLINK, 0o777, target=target)
