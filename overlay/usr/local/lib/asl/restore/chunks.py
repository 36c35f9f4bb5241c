# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Many chunks at once: neighbours in a block are read in one go, and their digests are computed in one call, without the GIL."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Optional, Union

from asl import kernel
from asl.backends import layout
from asl.errors import AslError
from asl.formats import artifact, block
from asl.formats.segment import Extent
from asl.names import BlockID
from asl.restore import ranges
from asl.restore.ranges import Range
from asl.store import Reader
from asl.store.contents import Payloads

Found = Union[memoryview, AslError]
# Bytes that stand before the payload of an untagged artifact.
HEAD = artifact.UNTAGGED.size


def read(store: Payloads, wanted: Sequence[Range]) -> list[Found]:
    """The bytes of each DATA range in WANTED, its digest checked; or what is wrong with it. Raises what concerns the store as a whole."""
    found: list[Optional[Found]] = [None] * len(wanted)
    if isinstance(store, Reader):
        for group in _neighbours(store, wanted):
            _read_group(store, wanted, group, found)
    return [_single(store, each) if data is None else data for each, data in zip(wanted, found)]


def _single(store: Payloads, wanted: Range) -> Found:
    try:
        return memoryview(ranges.chunk(store, wanted))
    except ranges.DAMAGE as error:
        return error


class _Group:
    """Ranges (by their numbers) whose artifacts lie one behind the other in a block, from START up to END."""

    __slots__ = ("block", "end", "numbers", "start")

    def __init__(self, number: int, extent: Extent) -> None:
        self.block, self.start, self.end = extent.block, extent.offset, extent.offset + extent.length
        self.numbers = [number]


def _neighbours(store: Reader, wanted: Sequence[Range]) -> list[_Group]:
    groups: list[_Group] = []
    hidden = store.state.tombstones
    for number, each in enumerate(wanted):
        location = None if hidden and store.state.hidden(each.digest) else store.index.find(each.digest)
        if location is None or len(location) != 1 or location[0].length != each.length + HEAD:
            continue
        extent = location[0]
        last = groups[-1] if groups else None
        if last is not None and last.block == extent.block and last.end == extent.offset:
            last.numbers.append(number)
            last.end += extent.length
        elif _plain(store, extent.block):
            groups.append(_Group(number, extent))
    return groups


def _plain(store: Reader, block_id: BlockID) -> bool:
    """True where offsets in the content are offsets in the file. One small read for a group of chunks."""
    try:
        return block.decode_header(store.backend.read(layout.block(block_id), 0, block.HEADER.size)).encoding == block.PLAIN
    except AslError:
        return False


def _read_group(store: Reader, wanted: Sequence[Range], group: _Group, found: list[Optional[Found]]) -> None:
    """Fill in what is right; the rest is looked at one by one."""
    try:
        data = memoryview(store.backend.read(layout.block(group.block), block.HEADER.size + group.start, group.end - group.start))
    except AslError:
        return
    spans, at = array("Q"), 0
    for number in group.numbers:
        end = at + HEAD + wanted[number].length
        if end > len(data):
            break
        spans.extend((at + HEAD, end))
        at = end
    digests = kernel.load().digests(data, spans)
    for index, number in enumerate(group.numbers[: len(spans) // 2]):
        if digests[32 * index : 32 * index + 32] == wanted[number].digest:
            found[number] = data[spans[2 * index] : spans[2 * index + 1]]
