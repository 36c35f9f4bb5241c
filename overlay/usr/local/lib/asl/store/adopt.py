# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Blocks that no segment names, as a killed writer leaves them: read, checked, and offered as entries again.

Every artifact in a block carries its own length and its digest is computed from its bytes, so nothing but the block is needed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from asl.backends import layout
from asl.backends.base import Reads
from asl.errors import AslError, Damaged
from asl.formats import block, segment
from asl.names import BlockID, Digest
from asl.store import frames

Entry = tuple[Digest, segment.Location]


def open_block(backend: Reads, block_id: BlockID) -> tuple[block.Header, memoryview, tuple[int, ...]]:
    """(header, plain content, artifact offsets) of a block whose every byte is checked. Raises Damaged, NotFound, Unsupported."""
    data = backend.read(layout.block(block_id))
    if hashlib.sha256(data).digest() != block_id:
        raise Damaged(f"block {block_id.hex()} is not what its name says", reason="DAMAGED_BLOCK")
    return block.open_plain(data, frames.decompress)


def entries(backend: Reads, block_id: BlockID) -> Iterator[Entry]:
    """The artifacts of a packed block, with their digests computed from their bytes."""
    header, plain, offsets = open_block(backend, block_id)
    if header.kind == block.PACKED:
        for offset, data in block.artifacts(plain, offsets):
            yield Digest(hashlib.sha256(data).digest()), (segment.Extent(block_id, offset, len(data)),)


def adoptable(backend: Reads, known: set[BlockID]) -> list[Entry]:
    """What lies whole in blocks outside KNOWN. A block that is damaged is passed over: store.check names it."""
    found: list[Entry] = []
    parts: dict[bytes, list[tuple[int, int, BlockID]]] = {}
    for name in backend.names("blocks"):
        raw = layout.parse_block(name)
        if raw is None or raw in known:
            continue
        block_id = BlockID(raw)
        try:
            header, plain, _offsets = open_block(backend, block_id)
            if header.kind == block.PART:
                parts.setdefault(header.part_of, []).append((header.part_offset, len(plain), block_id))
            else:
                found.extend(entries(backend, block_id))
        except AslError:
            continue
    found.extend(joined(backend, parts))
    return found


def joined(backend: Reads, parts: dict[bytes, list[tuple[int, int, BlockID]]]) -> Iterator[Entry]:
    """The large artifacts of which every part is there."""
    for digest, pieces in parts.items():
        hasher, end, location = hashlib.sha256(), 0, []
        for offset, length, block_id in sorted(pieces):
            if offset == end:
                hasher.update(backend.read(layout.block(block_id), block.HEADER.size, length))
                location.append(segment.Extent(block_id, 0, length))
                end += length
        if hasher.digest() == digest:
            yield Digest(digest), location
