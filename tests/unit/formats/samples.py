# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One value of every format, and every decoder by name. The bytes of the values are frozen in tests/vectors/formats.json."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

from asl.formats import artifact, block, canonical, log, recipe, records, reference, segment, snapshot, tree
from asl.names import BlockID, Digest
from asl.store import marker, recovery


def digest(number: int) -> Digest:
    """A digest that a person can make again: SHA-256 of NUMBER in decimal."""
    return Digest(hashlib.sha256(str(number).encode("ascii")).digest())


ENTRIES = (
    tree.Entry(
        b"caf\xe9", tree.FILE, 0o4755, 1000, 100, -2, 999_999_999, 5, xattrs=((b"security.capability", b"\x01\0"), (b"user.a", b"")),
        flags=tree.CHANGED, content=tree.CHUNK, digest=digest(1),
    ),
    tree.Entry(b"console", tree.CHARACTER, 0o600, rdev=(5, 1)),
    tree.Entry(b"down", tree.DIRECTORY, 0o755, content=tree.TREE, digest=digest(2)),
    tree.Entry(b"link", tree.SYMLINK, 0o777, target=b"../\xff"),
    tree.Entry(b"sparse", tree.FILE, size=1 << 40, flags=tree.UNREAD, content=tree.RECIPE, digest=digest(3)),
    tree.Entry(b"twin", tree.HARDLINK, target=b"caf\xe9"),
)  # fmt: skip
ROOT_ENTRY = tree.Entry(tree.ROOT_NAME, tree.DIRECTORY, 0o755, content=tree.TREE, digest=digest(2))
RECIPE = (
    recipe.Entry(recipe.DATA, 70_000, digest(4)),
    recipe.Entry(recipe.HOLE, 16_384),
    recipe.Entry(recipe.UNREAD, 512),
    recipe.Entry(recipe.DATA, 1, digest(5)),
)
BLOCKS = (BlockID(digest(10)), BlockID(digest(11)))
LOCATIONS: list[tuple[Digest, segment.Location]] = [
    (digest(6), (segment.Extent(BLOCKS[0], 0, 14),)),
    (digest(7), [segment.Extent(BLOCKS[0], 0, 8_388_608), segment.Extent(BLOCKS[1], 0, 22)]),
    (digest(8), (segment.Extent(BLOCKS[1], 14, 4096),)),
]
ROOTS = (
    snapshot.SourceRoot("tree", "tree", digest(20), 123_456),
    snapshot.SourceRoot("fs", "tree", digest(21), 0, 512, "journal not replayed"),
)
MANIFEST = snapshot.Manifest(ROOTS, {"minimum": 16_384, "average": 65_536, "maximum": 262_144})
ABOUT = snapshot.About(
    "rescue-domain", digest(22), digest(23), ("tree:/mnt/caf\udce9",), {"case": "17"}, sealed=1_700_000_000, size=5, files=2, losses=1
)
CHECKPOINT = snapshot.Checkpoint(3, log.Position(9, digest(30), 1234), ((2, digest(31)), (1, digest(32))), ((0, digest(33), 4),), (1, 2))
ANCHOR = records.Anchor(3, hashlib.sha256(CHECKPOINT.encode()).digest(), ABOUT.encode())


def packed_block() -> bytes:
    """A sealed block of kind 0 with two artifacts."""
    parts = [artifact.header(5) + b"hello", artifact.header(3, artifact.TAG_TREE) + b"abc"]
    plain = b"".join(parts)
    return block.Header().encode() + plain + block.encode_tail(len(plain), len(plain), [0, len(parts[0])])


def part_block() -> bytes:
    """A sealed block of kind 1: the second half of the encoding of "hello"."""
    return block.Header(kind=block.PART, part_offset=9, part_of=artifact.digest(b"hello")).encode() + b"hello" + block.encode_tail(5, 5, ())


def two_records() -> bytes:
    """The log of the public description: SEGMENT_SEAL, then a record of unknown type."""
    first, position = log.encode(log.START, records.SEGMENT_SEAL, records.Seal(1, b"\xaa" * 32).encode())
    return log.FIRST + first + log.encode(position, 0x7FFF0001, b"abc")[0]


def golden() -> dict[str, bytes]:
    """Every format of version 1, by name: bytes that may never change."""
    return {
        "reference": reference.encode(digest(1)),
        "artifact_header_plain": artifact.header(5),
        "artifact_header_tagged": artifact.header(5, artifact.TAG_RECIPE),
        "log_two_records": two_records(),
        "payload_segment_seal": records.Seal(7, digest(1)).encode(),
        "payload_tombstone": records.Tombstone(digest(1), 2).encode(),
        "payload_tombstone_lift": records.Tombstone(digest(1), 2, 9).encode(),
        "payload_segment_drop": records.encode_drop([3, 1 << 40]),
        "payload_snapshot_anchor": ANCHOR.encode(),
        "payload_snapshot_pin": records.encode_number(5),
        "segment": segment.encode(LOCATIONS),
        "segment_empty": segment.encode([]),
        "block_packed": packed_block(),
        "block_part": part_block(),
        "recipe_leaf": recipe.encode(0, RECIPE),
        "recipe_empty": recipe.encode(0, ()),
        "recipe_upper": recipe.encode(2, [recipe.Entry(recipe.CHILD, 1 << 50, digest(9))]),
        "tree_leaf": tree.encode([tree.encode_entry(each) for each in ENTRIES]),
        "tree_empty": tree.encode([]),
        "tree_root": tree.encode(
            [tree.encode_entry(tree.Entry(tree.ROOT_NAME, tree.DIRECTORY, 0o755, content=tree.TREE, digest=digest(2)))]
        ),
        "tree_upper": tree.encode_upper(1, [tree.Branch(digest(1), 300, b"a"), tree.Branch(digest(2), 44, b"b\xff")]),
        "manifest": MANIFEST.encode(),
        "about": ABOUT.encode(),
        "checkpoint": CHECKPOINT.encode(),
        "head": recovery.encode_head(log.Position(9, digest(30), 1234)),
        "marker": marker.encode("00112233445566778899aabbccddeeff"),
    }


def whole_block(data: bytes) -> list[Any]:
    """Every check of the block format but the name."""
    header, trailer = block.decode_header(data), block.decode_trailer(data, len(data))
    end = block.HEADER.size + trailer.body_size
    _, offsets = block.decode_tables(data[end : end + trailer.tables], trailer)
    found = block.artifacts(memoryview(data)[block.HEADER.size : end], offsets) if header.kind == block.PACKED else iter(())
    return [header, trailer, [(offset, bytes(part)) for offset, part in found]]


def whole_log(data: bytes) -> list[log.Record]:
    """The records of a log with its header."""
    log.check_header(data[: log.HEADER.size])
    return list(log.records(data[log.HEADER.size :]))


def whole_segment(data: bytes) -> list[Any]:
    """Every entry of a segment whose checksum is not looked at, so that the other rules have to hold by themselves."""
    return list(segment.entries(data, segment.layout(data, len(data))))


DECODERS: dict[str, Callable[[bytes], Any]] = {
    "reference": reference.decode,
    "artifact": artifact.decode,
    "log": whole_log,
    "log_records": lambda data: list(log.records(data)),
    "seal": records.Seal.decode,
    "tombstone": lambda data: records.Tombstone.decode(data, lift=False),
    "tombstone_lift": lambda data: records.Tombstone.decode(data, lift=True),
    "drop": records.decode_drop,
    "anchor": records.Anchor.decode,
    "pin": records.decode_number,
    "segment": whole_segment,
    "segment_check": segment.check,
    "block": whole_block,
    "recipe": recipe.decode,
    "tree": tree.decode,
    "manifest": snapshot.Manifest.decode,
    "about": snapshot.About.decode,
    "checkpoint": snapshot.Checkpoint.decode,
    "canonical": lambda data: canonical.decode(data, "a test"),
}
