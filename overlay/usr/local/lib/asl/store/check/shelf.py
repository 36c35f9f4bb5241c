# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Segments: bound by the log, and whole."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from asl.backends import layout
from asl.backends.base import Reads
from asl.errors import AslError, Damaged, NotFound
from asl.formats import segment as segment_format
from asl.names import BlockID
from asl.store.check.findings import Findings
from asl.store.check.history import History
from asl.store.check.inventory import Inventory
from asl.store.hashing import object_digest
from asl.store.index import Segment


@dataclass
class Shelf:
    """The segments that could be opened. Only what stands in `good` ones is held against the blocks."""

    opened: dict[int, Segment] = field(default_factory=dict)
    good: list[Segment] = field(default_factory=list)

    def by_block(self) -> dict[BlockID, list[Segment]]:
        """Which good segments name a block."""
        found: dict[BlockID, list[Segment]] = {}
        for each in self.good:
            for block in each.blocks():
                found.setdefault(block, []).append(each)
        return found

    def named(self) -> set[BlockID]:
        """Every block that an opened segment names, damaged or not."""
        found: set[BlockID] = set()
        for each in self.opened.values():
            try:
                found.update(each.blocks())
            except AslError:
                continue  # a damaged segment, and known as such
        return found


def check(backend: Reads, inventory: Inventory, history: History, findings: Findings) -> Shelf:
    """Check every segment file; open those that the log ever sealed."""
    shelf = Shelf()
    for at, (number, sealed_hash) in enumerate(sorted(history.sealed.items())):
        findings.tick("segments", at, len(history.sealed))
        try:
            good = object_digest(backend, layout.segment(number)) == sealed_hash
        except NotFound:
            _missing(history, findings, number)
        except AslError as error:
            with findings.catching(layout.segment(number)):
                raise error
        else:
            if not good:
                findings.fault(layout.segment(number), "it is not what the log sealed: its bytes have another SHA-256", "BAD_SEGMENT")
            _open(_Opening(backend, number, sealed_hash, good), shelf, findings)
    for number in inventory.segments:
        if number not in history.sealed:
            _unknown(backend, findings, number)
    findings.counts.update(segments=len(inventory.segments), records=sum(each.count for each in shelf.good))
    return shelf


def _missing(history: History, findings: Findings, number: int) -> None:
    if number in history.state.segments or number in history.needed:
        findings.fault(layout.segment(number), "the segment is missing, but the log sealed it", "MISSING_SEGMENT")
    else:
        findings.note(layout.segment(number), "the segment is gone; it was merged into another, and nothing needs it", "MISSING_SEGMENT")


class _Opening(NamedTuple):
    """A segment file and whether it has the hash in the log."""

    backend: Reads
    number: int
    sealed_hash: bytes
    good: bool


def _open(what: _Opening, shelf: Shelf, findings: Findings) -> None:
    try:
        found = Segment(what.backend, what.number, what.sealed_hash)
        shelf.opened[what.number] = found
        if what.good:
            found.verify()
            shelf.good.append(found)
    except AslError as error:
        if what.good:  # else it is named already
            findings.fault(layout.segment(what.number), error.message, error.reason)


def _unknown(backend: Reads, findings: Findings, number: int) -> None:
    """A segment whose record did not come to be: invisible, but it has to be whole by its own checksum."""
    name = layout.segment(number)
    with findings.catching(name):
        data = backend.read(name)
        if not data:
            raise Damaged("the segment is empty", reason="BAD_SEGMENT")
        segment_format.check(data)
        findings.note(name, "the log does not name it: its writer is at work, or was killed; it stays invisible", "UNREFERENCED")
