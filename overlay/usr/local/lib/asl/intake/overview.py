# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A content at a glance: which parts were read, are zeros, could not be read, or were not tried. Bounded, however large or damaged it is.

The content is cut into cells of equal size, 64 KiB at first; when there are too many, two become one. A cell shows the worst that is
in it, so that a single unread sector of a large disk is still seen.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from asl.formats import recipe

MAX_CELLS = 512
FIRST_CELL = 64 * 1024
# Unread ranges that are listed; the others are counted. The cells show all of them.
MAX_RANGES = 100
# The letters of cells, the worst last: zeros (a hole, or pages of zeros), data, not tried, unread.
LETTERS = "zdnu"
_RANK = {recipe.HOLE: 0, recipe.DATA: 1, recipe.UNREAD: 3}
_NOT_TRIED = 2


class Overview:
    """Takes the entries of a recipe in order."""

    def __init__(self) -> None:
        self._cell = FIRST_CELL
        self._cells = bytearray()
        self._at = 0
        self._ranges: list[list[int]] = []
        self._omitted = 0

    def add(self, kind: int, length: int) -> None:
        """LENGTH bytes of a KIND (formats.recipe) follow."""
        if not length:
            return
        rank, start, self._at = _RANK[kind], self._at, self._at + length
        while self._at > self._cell * MAX_CELLS:
            self._widen()
        first, last = start // self._cell, (self._at - 1) // self._cell
        if first < len(self._cells):
            self._cells[first] = max(self._cells[first], rank)
            first += 1
        self._cells += bytes([rank]) * (last + 1 - first)
        if kind == recipe.UNREAD:
            self._range(start, length)

    def tried(self, areas: Iterable[tuple[int, int]]) -> None:
        """AREAS, from start up to end in bytes, were tried in vain; whatever else is unread was not tried. Call when all is added."""
        unread = _RANK[recipe.UNREAD]
        self._cells = self._cells.replace(bytes([unread]), bytes([_NOT_TRIED]))
        for start, end in areas:
            first, last = start // self._cell, (end - 1) // self._cell + 1
            self._cells[first:last] = bytes([unread]) * (min(last, len(self._cells)) - first)

    @property
    def size(self) -> int:
        """Bytes that were added."""
        return self._at

    def _widen(self) -> None:
        """Cells become twice as large."""
        self._cell *= 2
        cells = self._cells
        if len(cells) % 2:
            cells.append(0)
        self._cells = bytearray(map(max, cells[0::2], cells[1::2]))

    def _range(self, start: int, length: int) -> None:
        if self._ranges and sum(self._ranges[-1]) == start and not self._omitted:
            self._ranges[-1][1] += length
        elif len(self._ranges) < MAX_RANGES:
            self._ranges.append([start, length])
        else:
            self._omitted += 1

    def document(self) -> dict[str, Any]:
        """`cell` (bytes), `cells` (a letter each, see LETTERS), `unread` (offset and length in bytes), `unread_omitted`."""
        letters = "".join(LETTERS[rank] for rank in self._cells)
        return {"cell": self._cell, "cells": letters, "unread": self._ranges, "unread_omitted": self._omitted}
