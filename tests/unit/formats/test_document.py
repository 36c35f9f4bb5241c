# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/formats.md says what the code does: its numbers are looked up there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from asl.backends import layout
from asl.formats import artifact, block, log, recipe, records, segment, tree
from asl.intake.content import MIN_HOLE
from asl.store.writer import LARGE

TEXT = (Path(__file__).resolve().parents[3] / "docs" / "formats.md").read_text(encoding="utf-8")


def fields(first: str) -> list[tuple[int, int, str]]:
    """(offset, width, field) of every row of the table with the cell FIRST, in order of offset."""
    found = set()
    for table in re.findall(r"(?:^\|.*\n)+", TEXT, re.MULTILINE):
        if first in table:
            found |= {(int(at), int(width), name.strip()) for at, width, name in re.findall(r"\| (\d+) \| (\d+) \| ([^|]+)", table)}
    return sorted(found)


@pytest.mark.parametrize(
    ("first", "size"),
    [("magic `ASRSEG01` |", segment.HEADER.size), ("length of what follows", tree.ENTRY.size)],
)
def test_the_fields_of_a_table_fill_the_structure_without_gaps(first: str, size: int) -> None:
    at = 0
    for offset, width, name in fields(first):
        assert offset == at, f"{name} begins at {offset} in the document, and the field before it ends at {at}"
        at += width
    assert at == size


def test_every_number_that_identifies_something_is_in_the_document() -> None:
    for tag in artifact.TAG_NAMES:
        assert f"| 0x{tag:08x} | {artifact.TAG_NAMES[tag]}" in TEXT
    for kind, name in records.NAMES.items():
        assert re.search(rf"\| 0x{kind:02x} \| {name}\b", TEXT)
    for magic in (log.MAGIC, segment.MAGIC, block.MAGIC, block.END):
        assert f"magic `{magic.decode()}`" in TEXT
    for name in (layout.MARKER, layout.HEAD, layout.LOCK, layout.LOG):
        assert f"`{name}`" in TEXT


def test_sizes_and_limits_are_in_the_document() -> None:
    assert f"record, {segment.RECORD.size} |" in TEXT
    assert f"extent, {segment.EXTENT.size} |" in TEXT
    assert f"footer, {segment.FOOTER.size} |" in TEXT
    assert f"header ({block.HEADER.size}) · body" in TEXT and f"trailer ({block.TRAILER.size})" in TEXT
    assert (recipe.MIN_ENTRIES, recipe.MAX_ENTRIES) == (tree.MIN_ENTRIES, tree.MAX_ENTRIES) == (256, 4096)
    assert (MIN_HOLE, LARGE, log.MAX_PAYLOAD) == (16 << 10, 8 << 20, 16 << 20)
    assert all(f"{number} MiB" in TEXT for number in (8, 16)) and "16 KiB or more are holes" in TEXT
