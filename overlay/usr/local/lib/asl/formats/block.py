# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A block: artifacts side by side, or a part of one large artifact. Immutable; named by the SHA-256 of all its bytes.

All integers little-endian, but ArtifactBytes are what they are (big-endian).

    header   0  8  magic "ASRBLK01"          16  4  header_size, 64
             8  2  version, 1                20  4  frame_size: plain bytes a frame, 0 where encoding is 0
            10  1  kind: 0 packed, 1 part    24  8  part_offset: where this part begins in the ArtifactBytes (kind 1)
            11  1  encoding: 0 plain,        32 32  part_of: digest of the artifact (kind 1), else zeros
                   1 zstd frames
            12  1  sealing: 0 none; others are encryption applied before sealing
            13  3  zero
    body     the plain content, or its frames one behind the other
             plain content: kind 0 = ArtifactBytes one behind the other; kind 1 = a piece of one ArtifactBytes
    seeks    4  stored length of each frame (none where encoding is 0)
    toc      4  plain offset of each artifact (kind 0)
    trailer  0  8  plain_size                20  4  artifact_count
             8  8  body_size                 24  4  CRC-32 of seeks and toc
            16  4  frame_count               28  4  zero     32  8  magic "ASRBEND1"

Valid if and only if (1) both magics stand, (2) header, body, seeks, toc and trailer fill the file exactly, (3) the CRC fits,
(4) the toc leads from artifact to artifact without a gap and (5) SHA-256 of the file is its name.
Artifacts carry their own length and their digest is computable, so an index can be made anew from blocks alone; the toc lets
that go on behind a damaged length.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, Optional

from asl.errors import Damaged, Unsupported
from asl.formats import artifact

HEADER, TRAILER, OFFSET = struct.Struct("<8sHBBB3xIIQ32s"), struct.Struct("<QQIIII8s"), struct.Struct("<I")
# Makes so many plain bytes out of a stored frame.
Decompress = Callable[[bytes, int], bytes]
MAGIC, END, VERSION = b"ASRBLK01", b"ASRBEND1", 1
PACKED, PART = 0, 1
PLAIN, ZSTD = 0, 1


class Header(NamedTuple):
    """What a block says of itself at its beginning."""

    kind: int = PACKED
    encoding: int = PLAIN
    frame_size: int = 0
    part_offset: int = 0
    part_of: bytes = bytes(32)

    def encode(self) -> bytes:
        """The 64 bytes of the header."""
        return HEADER.pack(MAGIC, VERSION, self.kind, self.encoding, 0, HEADER.size, self.frame_size, self.part_offset, self.part_of)


class Trailer(NamedTuple):
    """What a block says of itself at its end. Sizes in bytes."""

    plain_size: int
    body_size: int
    frame_count: int
    artifact_count: int
    crc: int

    @property
    def tables(self) -> int:
        """Size of seeks and toc together."""
        return OFFSET.size * (self.frame_count + self.artifact_count)


def decode_header(data: artifact.Buffer) -> Header:
    """The header that DATA begins with. Raises Damaged, and Unsupported for a newer version, encoding or sealing."""
    if len(data) < HEADER.size or data[:8] != MAGIC:
        raise Damaged("not an ASRBLK01 block", reason="BAD_BLOCK")
    _magic, version, kind, encoding, sealing, size, frame_size, part_offset, part_of = HEADER.unpack_from(data)
    if version > VERSION or encoding > ZSTD or sealing or kind > PART:
        raise Unsupported(f"a block of version {version}, kind {kind}, encoding {encoding}, sealing {sealing} is newer than this engine")
    if size != HEADER.size or version != VERSION:
        raise Damaged("a block whose header has a wrong size or version", reason="BAD_BLOCK")
    return Header(kind, encoding, frame_size, part_offset, part_of)


def encode_tail(plain_size: int, body_size: int, offsets: Sequence[int], frames: Sequence[int] = ()) -> bytes:
    """Seeks (stored length of each of FRAMES), toc (OFFSETS of artifacts) and trailer."""
    tables = struct.pack(f"<{len(frames) + len(offsets)}I", *frames, *offsets)
    return tables + TRAILER.pack(plain_size, body_size, len(frames), len(offsets), zlib.crc32(tables), 0, END)


def decode_trailer(data: artifact.Buffer, size: int) -> Trailer:
    """The trailer, from DATA that ends where the block of SIZE bytes ends. Checks rules 1 and 2. Raises Damaged."""
    if len(data) < TRAILER.size or data[-8:] != END:
        raise Damaged("a block that does not end with ASRBEND1", reason="BAD_BLOCK")
    plain, body, frames, artifacts, crc, _reserved, _end = TRAILER.unpack_from(data, len(data) - TRAILER.size)
    trailer = Trailer(plain, body, frames, artifacts, crc)
    if HEADER.size + body + trailer.tables + TRAILER.size != size:
        raise Damaged("a block whose areas do not fill it", reason="BAD_BLOCK")
    return trailer


def decode_tables(tables: artifact.Buffer, trailer: Trailer) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """(stored length of each frame, plain offset of each artifact). Checks rule 3. Raises Damaged."""
    if len(tables) != trailer.tables or zlib.crc32(tables) != trailer.crc:
        raise Damaged("a block whose table of contents is damaged", reason="BAD_BLOCK")
    numbers = struct.unpack(f"<{trailer.frame_count + trailer.artifact_count}I", tables)
    return numbers[: trailer.frame_count], numbers[trailer.frame_count :]


def artifacts(plain: memoryview, offsets: Sequence[int]) -> Iterator[tuple[int, memoryview]]:
    """(offset, ArtifactBytes) of each artifact in the PLAIN content of a packed block. Checks rule 4. Raises Damaged."""
    if len(plain) and (not offsets or offsets[0]):
        raise Damaged("a block whose content begins before its first artifact", reason="BAD_BLOCK")
    for offset, end in zip(offsets, [*offsets[1:], len(plain)]):
        _tag, start, length = artifact.parse_header(plain[offset : offset + artifact.TAGGED.size])
        if offset + start + length != end:
            raise Damaged(f"the artifact at offset {offset} of a block does not end where the next begins", reason="BAD_BLOCK")
        yield offset, plain[offset:end]


def check_frames(header: Header, trailer: Trailer, frames: Sequence[int]) -> None:
    """Check that FRAMES, the stored lengths, make up a compressed block with this header and trailer. Raises Damaged."""
    size = header.frame_size
    if not size or len(frames) != -(-trailer.plain_size // size) or sum(frames) != trailer.body_size:
        raise Damaged("a compressed block whose frames do not make up its content", reason="BAD_BLOCK")


def open_plain(data: artifact.Buffer, decompress: Optional[Decompress] = None) -> tuple[Header, memoryview, tuple[int, ...]]:
    """(header, plain content, artifact offsets) of the whole block DATA. Raises Damaged, Unsupported, and what DECOMPRESS(frame, its
    plain size) raises."""
    header = decode_header(data)
    trailer = decode_trailer(data, len(data))
    end = HEADER.size + trailer.body_size
    frames, offsets = decode_tables(data[end : end + trailer.tables], trailer)
    if header.encoding != PLAIN:
        check_frames(header, trailer, frames)
        if decompress is None:
            raise Unsupported("a compressed block, and nothing to decompress it with")
        parts, at, left = [], HEADER.size, trailer.plain_size
        for stored in frames:
            parts.append(decompress(bytes(data[at : at + stored]), min(header.frame_size, left)))
            at, left = at + stored, left - header.frame_size
        return header, memoryview(b"".join(parts)), offsets
    if trailer.plain_size != trailer.body_size:
        raise Damaged("a block that says it is not compressed, but has two sizes", reason="BAD_BLOCK")
    return header, memoryview(data)[HEADER.size : end], offsets
