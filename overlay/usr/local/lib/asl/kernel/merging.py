# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sorted records of several segments as one sorted run, a stretch at a time: both halves.

A record (docs/formats.md, segment) is a digest and the ordinal, offset and length of its place. The ordinals of the run are given
in the order in which its records first use the blocks. An artifact in several extents is left to the caller.
"""

from __future__ import annotations

import ctypes
import struct
from array import array
from collections.abc import Sequence
from typing import Any, NamedTuple, Optional

from asl.kernel.contract import DIGEST, RECORD, Mapped

PLACE = struct.Struct("<III")
MANY = 0xFFFFFFFF


class Input(NamedTuple):
    """A segment, and for each of its blocks the number that all inputs have in common for that block (array of type "I")."""

    segment: Mapped
    blocks: array[int]


class PythonMerge:
    """The twin. INPUTS in order of rank: of equal digests the first input's record counts. BLOCKS: how many they have in common."""

    def __init__(self, inputs: Sequence[Input], blocks: int) -> None:
        self._inputs, self._blocks = tuple(inputs), blocks
        self._at = [0] * len(self._inputs)
        self._ordinals: dict[int, int] = {}

    def rewind(self) -> None:
        """From the beginning again."""
        self._at = [0] * len(self._inputs)
        self._ordinals = {}

    def take(self, most: int) -> bytes:
        """The next records, at most so many; fewer before an artifact in several extents, and at the end. ValueError for a record that
        names a block that does not exist."""
        found = bytearray()
        while len(found) < most * RECORD:
            chosen = self._least()
            if chosen is None:
                break
            record = self._record(chosen, self._at[chosen])
            block, offset, length = PLACE.unpack_from(record, DIGEST)
            if block == MANY:
                break
            if block >= len(self._inputs[chosen].blocks):
                raise ValueError("a record names a block that does not exist")
            found += record[:DIGEST] + PLACE.pack(self.ordinal(self._inputs[chosen].blocks[block]), offset, length)
            self._pass(record[:DIGEST])
        return bytes(found)

    def odd(self) -> Optional[tuple[int, int]]:
        """(input, number of its record) of the next artifact, which is in several extents; goes on behind it. None at the end."""
        chosen = self._least()
        if chosen is None:
            return None
        number = self._at[chosen]
        self._pass(self._record(chosen, number)[:DIGEST])
        return chosen, number

    def ordinal(self, block: int) -> int:
        """The ordinal in the run of the block with this common number."""
        return self._ordinals.setdefault(block, len(self._ordinals))

    def used(self) -> list[int]:
        """The common numbers of the blocks that were used so far, by ordinal."""
        return list(self._ordinals)

    def _record(self, chosen: int, number: int) -> bytes:
        segment = self._inputs[chosen].segment
        at = segment.records + number * RECORD
        return bytes(segment.data[at : at + RECORD])

    def _least(self) -> Optional[int]:
        open_inputs = [(self._record(n, at)[:DIGEST], n) for n, at in enumerate(self._at) if at < self._inputs[n].segment.record_count]
        return min(open_inputs)[1] if open_inputs else None

    def _pass(self, digest: bytes) -> None:
        for number, at in enumerate(self._at):
            if at < self._inputs[number].segment.record_count and self._record(number, at)[:DIGEST] == digest:
                self._at[number] = at + 1


class InputView(ctypes.Structure):
    """struct asl_input"""

    _fields_ = (
        ("records", ctypes.c_void_p), ("count", ctypes.c_uint64), ("at", ctypes.c_uint64), ("blocks", ctypes.c_void_p),
        ("block_count", ctypes.c_uint64),
    )  # fmt: skip


class NativeMerge(PythonMerge):
    """asl_merge."""

    def __init__(self, library: ctypes.CDLL, inputs: Sequence[Input], blocks: int, addresses: Sequence[int]) -> None:
        super().__init__(inputs, blocks)
        self._library = library
        self._views = (InputView * len(inputs))()
        for view, each, address in zip(self._views, self._inputs, addresses):
            view.records, view.count = address + each.segment.records, each.segment.record_count
            view.blocks, view.block_count = each.blocks.buffer_info()[0], len(each.blocks)
        self._numbers = array("I", [MANY]) * (blocks or 1)
        self._assigned = ctypes.c_uint32(0)

    def rewind(self) -> None:
        for view in self._views:
            view.at = 0
        self._numbers = array("I", [MANY]) * (self._blocks or 1)
        self._assigned = ctypes.c_uint32(0)

    def take(self, most: int) -> bytes:
        out = ctypes.create_string_buffer(most * RECORD)
        numbers, assigned = self._numbers.buffer_info()[0], ctypes.byref(self._assigned)
        count = self._library.asl_merge(self._views, len(self._inputs), numbers, self._blocks, assigned, out, len(out))
        if count < 0:
            raise ValueError("a record names a block that does not exist")
        return out.raw[: count * RECORD]

    def odd(self) -> Optional[tuple[int, int]]:
        self._at = [view.at for view in self._views]
        chosen = self._least()
        if chosen is None:
            return None
        number = self._at[chosen]
        moved: Any = self._library.asl_count(self._views, len(self._inputs), 1)
        if moved != 1:
            raise RuntimeError(f"libasl refused a call: code {moved}")
        return chosen, number

    def ordinal(self, block: int) -> int:
        if self._numbers[block] == MANY:
            self._numbers[block] = self._assigned.value
            self._assigned.value += 1
        return self._numbers[block]

    def used(self) -> list[int]:
        pairs = sorted((ordinal, block) for block, ordinal in enumerate(self._numbers) if ordinal != MANY)
        return [block for _ordinal, block in pairs]
