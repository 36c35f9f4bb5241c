# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Recipes: from entries in order to nodes, whose boundaries depend on what the entries are and nothing else."""

from __future__ import annotations

from typing import Optional

from asl.formats import recipe
from asl.formats.artifact import TAG_RECIPE
from asl.formats.recipe import Entry
from asl.intake.overview import Overview
from asl.names import Digest
from asl.store import Writer


class RecipeBuilder:
    """Builds the nodes of a recipe as entries come; keeps one open node a level."""

    def __init__(self, writer: Writer, overview: Optional[Overview] = None) -> None:
        self._writer, self._overview = writer, overview
        self._levels: list[list[Entry]] = [[]]
        self.size = 0
        self.unread = 0

    def add(self, entry: Entry) -> None:
        """Append ENTRY; neighbours that are both holes or both unread become one."""
        self.size += entry.length
        self.unread += entry.length if entry.kind == recipe.UNREAD else 0
        if self._overview:
            self._overview.add(entry.kind, entry.length)
        last = self._levels[0][-1] if self._levels[0] else None
        if last and last.kind == entry.kind and not entry.digest:
            self._levels[0][-1] = Entry(entry.kind, last.length + entry.length)
            return
        if last and not last.digest and recipe.ends_node(last, len(self._levels[0])):
            self._close(0)
        self._push(0, entry)

    def _push(self, level: int, entry: Entry) -> None:
        if level == len(self._levels):
            self._levels.append([])
        entries = self._levels[level]
        entries.append(entry)
        # Whether a node ends behind a hole or an unread range is seen when it is over: the next piece may belong to it.
        if entry.digest and recipe.ends_node(entry, len(entries)):
            self._close(level)

    def _close(self, level: int) -> None:
        entries, self._levels[level] = self._levels[level], []
        digest = self._writer.put(recipe.encode(level, entries), TAG_RECIPE)
        self._push(level + 1, Entry(recipe.CHILD, sum(entry.length for entry in entries), digest))

    def only_chunk(self) -> Optional[Entry]:
        """The entry, when there is just one and it is data."""
        if len(self._levels) == 1 and len(self._levels[0]) == 1 and self._levels[0][0].kind == recipe.DATA:
            return self._levels[0][0]
        return None

    def finish(self) -> Digest:
        """The digest of the root node."""
        level = 0
        while level < len(self._levels) - 1:
            if self._levels[level]:
                self._close(level)
            level += 1
        top = self._levels[level]
        if level and len(top) == 1:
            return Digest(top[0].digest)
        return self._writer.put(recipe.encode(level, top), TAG_RECIPE)
