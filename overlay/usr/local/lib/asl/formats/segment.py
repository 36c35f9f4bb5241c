# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A segment: which artifact lies where. Own profile of ENC-ASL-CORE-INDEX, own magic. All integers little-endian.

    header  0  8  magic "ASRSEG01"          56  4  block_count
            8  2  version, 1                60  4  record_size, 44
           10  2  shard_id, 0               64  8  extents_offset
           12  4  header_size, 128          72  8  extent_count
           16  8  snapshot_min, 0           80  8  filter_offset, 0 = none
           24  8  snapshot_max, 2^64-1      88  8  filter_size
           32  8  record_count              96  4  segment_domain_id
           40  8  records_offset           100  1  segment_visibility   101  1  federation_version
           48  8  blocks_offset            102  2  filter_kind, 0 = none
                                                    1 = blocked Bloom
                                           104  8  flags, 0   112  16  zero
    then    filter · records · blocks · extents · footer
    record  0 32  digest    32  4  block    36  4  offset    40  4  length
            length bytes of plain block content at offset, in the block with this ordinal; they are ArtifactBytes.
            block = 0xffffffff: an artifact in several extents; offset = its first extent, length = their number.
    block   0 32  BlockID
    extent  0  4  block      4  4  offset     8  4  length
    footer  0  8  magic      8  8  seal_snapshot, 0    16  4  zero    20  4  CRC-32 of all bytes before it

Valid if and only if (1) the magic stands at both ends, (2) the CRC fits, (3) every area lies inside, in the order above,
without gaps, (4) records are sorted by digest and unique, (5) every block ordinal and extent exists.
The hash id is that of the store (0x0001), so a record carries only the digest (ASL/1-CORE-INDEX permits it).
"""

from __future__ import annotations

import mmap
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple, Optional, Union

from asl.errors import Damaged, Unsupported
from asl.formats.artifact import Buffer
from asl.names import BlockID, Digest

HEADER = struct.Struct("<8sHHIQQQQQIIQQQQIBBHQ16x")
RECORD, EXTENT, FOOTER = struct.Struct("<32sIII"), struct.Struct("<III"), struct.Struct("<8sQII")
MAGIC, VERSION, MANY = b"ASRSEG01", 1, 0xFFFFFFFF
NO_FILTER, BLOCKED_BLOOM = 0, 1
# Of the filter: bits for a record, bits and bytes in a block of it. docs/formats.md has the rule, the kernel makes it.
FILTER_BITS, _BLOCK_BITS, _BLOCK_SIZE = 12, 512, 64
BLOCK_ID = 32


class Extent(NamedTuple):
    """LENGTH bytes of plain content at OFFSET in a block (ASL/1-CORE-INDEX ArtifactExtent)."""

    block: BlockID
    offset: int
    length: int


Location = Sequence[Extent]
# Makes the filter of so many bytes over records.
MakeFilter = Callable[[Buffer, int], bytes]
# The bytes of a segment: read, or mapped.
Mapped = Union[bytes, memoryview, mmap.mmap]


class Layout(NamedTuple):
    """Where the areas of a segment lie, in bytes from its start."""

    record_count: int
    records: int
    blocks: int
    block_count: int
    extents: int
    extent_count: int
    end: int
    filter: int = 0
    filter_size: int = 0


def filter_size(count: int) -> int:
    """Bytes of the filter over COUNT records: whole blocks, 12 bits a record or a little more."""
    return _BLOCK_SIZE * -(-count * FILTER_BITS // _BLOCK_BITS)


def encode(entries: Iterable[tuple[Digest, Location]], make_filter: Optional[MakeFilter] = None) -> bytes:
    """The segment that holds ENTRIES (any order; of equal digests the first one counts), with a filter where there is somebody to
    make it. Deterministic."""
    return encode_sorted(sorted(entries, key=lambda entry: entry[0]), make_filter)


def encode_sorted(entries: Iterable[tuple[Digest, Location]], make_filter: Optional[MakeFilter] = None) -> bytes:
    """As encode(), of ENTRIES that come in order of their digests: no more is kept in memory than the segment itself."""
    ordinals: dict[BlockID, int] = {}
    records, extents = bytearray(), bytearray()
    last: Optional[bytes] = None
    pack, ordinal = RECORD.pack, ordinals.setdefault
    for digest, location in entries:
        if digest == last:
            continue
        last = digest
        if len(location) == 1:  # nearly all
            block, offset, length = location[0]
            records += pack(digest, ordinal(block, len(ordinals)), offset, length)
        else:
            records += pack(digest, MANY, len(extents) // EXTENT.size, len(location))
            for block, offset, length in location:
                extents += EXTENT.pack(ordinal(block, len(ordinals)), offset, length)
    count = len(records) // RECORD.size
    made = make_filter(records, filter_size(count)) if make_filter and count else b""
    head = encode_header(count, len(ordinals), len(extents) // EXTENT.size, len(made))
    body = b"".join([head, made, records, *ordinals, extents, FOOTER.pack(MAGIC, 0, 0, 0)[:-4]])
    return body + struct.pack("<I", zlib.crc32(body))


def encode_header(count: int, blocks: int, extents: int, filtered: int) -> bytes:
    """The header of a segment with so many records, blocks and extents, and a filter of FILTERED bytes (0: none)."""
    at_records = HEADER.size + filtered
    at_blocks = at_records + count * RECORD.size
    return HEADER.pack(
        MAGIC, VERSION, 0, HEADER.size, 0, 2**64 - 1, count, at_records, at_blocks, blocks, RECORD.size, at_blocks + blocks * BLOCK_ID,
        extents, HEADER.size if filtered else 0, filtered, 0, 0, 0, BLOCKED_BLOOM if filtered else NO_FILTER, 0,
    )  # fmt: skip


def layout(data: Mapped, size: int) -> Layout:
    """The layout of the segment of SIZE bytes that DATA begins with. Checks rules 1 and 3. Raises Unsupported, Damaged."""
    if len(data) < HEADER.size or bytes(data[:8]) != MAGIC:
        raise Damaged("not an ASRSEG01 segment", reason="BAD_SEGMENT")
    fields = HEADER.unpack_from(data)
    if fields[1] > VERSION:
        raise Unsupported(f"a segment of version {fields[1]}; this engine knows {VERSION}")
    # A filter of a kind that is not known here is passed over: it only says where not to look.
    known = fields[18] == BLOCKED_BLOOM and fields[14] % _BLOCK_SIZE == 0
    shape = Layout(
        fields[6], fields[7], fields[8], fields[9], fields[11], fields[12], size - FOOTER.size, fields[13], fields[14] if known else 0
    )  # fmt: skip
    filter_end = fields[13] + fields[14] if fields[13] else HEADER.size
    if not (
        fields[1] == VERSION
        and fields[3] == HEADER.size
        and fields[13] in (0, HEADER.size)
        and fields[10] == RECORD.size
        and shape.records == filter_end
        and shape.blocks == shape.records + shape.record_count * RECORD.size
        and shape.extents == shape.blocks + shape.block_count * BLOCK_ID
        and shape.end == shape.extents + shape.extent_count * EXTENT.size
    ):
        raise Damaged("a segment whose areas do not fit together", reason="BAD_SEGMENT")
    return shape


def location(data: Mapped, shape: Layout, index: int) -> Location:
    """The location in record INDEX. Raises Damaged for an ordinal or an extent that does not exist (rule 5)."""
    _digest, block, offset, length = RECORD.unpack_from(data, shape.records + index * RECORD.size)
    if block != MANY:
        return (Extent(_block(data, shape, block), offset, length),)
    if not 0 < length <= shape.extent_count or offset > shape.extent_count - length:
        raise Damaged("a segment record names extents that do not exist", reason="BAD_SEGMENT")
    found = []
    for number in range(offset, offset + length):
        ordinal, start, size = EXTENT.unpack_from(data, shape.extents + number * EXTENT.size)
        found.append(Extent(_block(data, shape, ordinal), start, size))
    return found


def _block(data: Mapped, shape: Layout, ordinal: int) -> BlockID:
    if ordinal >= shape.block_count:
        raise Damaged("a segment record names a block that does not exist", reason="BAD_SEGMENT")
    at = shape.blocks + ordinal * BLOCK_ID
    return BlockID(bytes(data[at : at + BLOCK_ID]))


def blocks(data: Mapped, shape: Layout) -> list[BlockID]:
    """The blocks of the segment, by ordinal."""
    return [_block(data, shape, ordinal) for ordinal in range(shape.block_count)]


def entries(data: Mapped, shape: Layout) -> Iterator[tuple[Digest, Location]]:
    """All entries, in order of digest."""
    for index in range(shape.record_count):
        at = shape.records + index * RECORD.size
        yield Digest(bytes(data[at : at + 32])), location(data, shape, index)


def check(data: Mapped) -> Layout:
    """Check every rule on the whole segment DATA. Raises Damaged or Unsupported."""
    shape = layout(data, len(data))
    magic, _version, _reserved, crc = FOOTER.unpack_from(data, shape.end)
    if magic != MAGIC or zlib.crc32(data[:-4]) != crc:
        raise Damaged("a segment whose checksum does not fit", reason="BAD_SEGMENT")
    last = b""
    for digest, _location in entries(data, shape):
        if digest <= last:
            raise Damaged("a segment whose records are not in order", reason="BAD_SEGMENT")
        last = digest
    return shape
