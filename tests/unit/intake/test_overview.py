# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The overview of a content: the worst of every cell, bounded, and the same as one that looks at every byte."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from asl.formats.recipe import DATA, HOLE, UNREAD
from asl.intake import overview
from asl.intake.request import Request
from asl.intake.run import run
from asl.sources.media import Media

KINDS = {HOLE: "z", DATA: "d", UNREAD: "u"}
ENTRIES = some.lists(some.tuples(some.sampled_from(sorted(KINDS)), some.integers(0, 70)), max_size=60)


@given(ENTRIES)
def test_each_cell_shows_the_worst_that_is_in_it(entries: list[tuple[int, int]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(overview, "FIRST_CELL", 4)
        patch.setattr(overview, "MAX_CELLS", 16)
        found = overview.Overview()
        for kind, length in entries:
            found.add(kind, length)
    document = found.document()
    content = "".join(KINDS[kind] * length for kind, length in entries)
    cells = [content[at : at + document["cell"]] for at in range(0, len(content), document["cell"])]
    assert document["cells"] == "".join(max(cell, key="zdu".index) for cell in cells)
    assert len(document["cells"]) <= 16
    unread = {at for start, length in document["unread"] for at in range(start, start + length)}
    assert unread == {at for at, letter in enumerate(content) if letter == "u"}


def test_unread_ranges_beyond_the_limit_are_counted_and_still_seen() -> None:
    found = overview.Overview()
    for _turn in range(overview.MAX_RANGES + 7):
        found.add(DATA, 4096)
        found.add(UNREAD, 512)
    document = found.document()
    assert (len(document["unread"]), document["unread_omitted"]) == (overview.MAX_RANGES, 7)
    assert set(document["cells"]) == {"u"}


def test_what_was_not_tried_is_told_from_what_was_tried_in_vain() -> None:
    found = overview.Overview()
    cell = overview.FIRST_CELL
    for kind, length in ((DATA, cell), (UNREAD, 3 * cell), (DATA, cell), (UNREAD, 512), (DATA, cell - 512), (UNREAD, 100)):
        found.add(kind, length)
    found.tried([(2 * cell, 2 * cell + 512), (5 * cell, 5 * cell + 512)])
    assert found.document()["cells"] == "dnundun"
    found.tried([(6 * cell, 6 * cell + 100)])
    assert found.document()["cells"] == "dnnndnu"


def test_a_disk_of_many_terabytes_has_as_many_cells_as_a_small_one() -> None:
    found = overview.Overview()
    found.add(HOLE, 20 << 40)
    found.add(UNREAD, 512)
    found.add(DATA, 1 << 20)
    document = found.document()
    assert overview.MAX_CELLS / 2 <= len(document["cells"]) <= overview.MAX_CELLS
    assert document["cells"].count("u") == 1
    assert document["unread"] == [[20 << 40, 512]]


def test_the_result_of_an_intake_has_the_map_of_a_disk_and_none_of_a_tree(tmp_path: Path, store: str) -> None:
    (tmp_path / "disk").write_bytes(os.urandom(128 << 10) + bytes(256 << 10) + b"end")
    (tmp_path / "tree").mkdir()
    result = run(Request((f"device:{tmp_path / 'disk'}", f"tree:{tmp_path / 'tree'}"), store, "d"))
    disk, tree = result["sources"]
    assert disk["map"] == {"cell": 65536, "cells": "ddzzzzd", "unread": [], "unread_omitted": 0}
    assert tree["map"] is None


def test_what_a_mapfile_says_was_not_tried_stands_so_in_the_map(tmp_path: Path, store: str) -> None:
    (tmp_path / "disk").write_bytes(os.urandom(256 << 10))
    (tmp_path / "disk.map").write_text("0x30000 ? 1\n0 0x20000 +\n0x20000 0x10000 -\n0x30000 0x10000 ?\n")
    media = Media(map=str(tmp_path / "disk.map"))
    (disk,) = run(Request((f"device:{tmp_path / 'disk'}",), store, "d", media=media))["sources"]
    assert (disk["map"]["cells"], disk["map"]["unread"]) == ("ddun", [[131072, 131072]])
