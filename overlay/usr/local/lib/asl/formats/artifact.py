# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""ArtifactBytes, the canonical encoding that a reference is the hash of (ENC/ASL1-CORE, profile 0x0001). Big-endian.

    0  1  has_type_tag: 0 or 1
    1  4  type_tag, only where has_type_tag is 1
    .  8  length = n
    .  n  bytes

The widths are this project's reading of the public profile, whose field table was not to be seen; docs/formats.md says so.
Valid if and only if (1) the first byte is 0 or 1, (2) exactly `length` bytes follow the length.
"""

from __future__ import annotations

import hashlib
import struct
from typing import NamedTuple, Optional, Union

from asl.errors import Damaged
from asl.names import Digest

UNTAGGED, TAGGED = struct.Struct(">BQ"), struct.Struct(">BIQ")

# Type tags of this project: 0x4153 ("AS") in the upper half, so that none is mistaken for one of the public registry.
TAG_MANIFEST = 0x41530001
TAG_TREE = 0x41530002
TAG_RECIPE = 0x41530003
TAG_RECEIPT = 0x41530004
TAG_RESCUE = 0x41530005

TAG_NAMES = {TAG_MANIFEST: "manifest", TAG_TREE: "tree", TAG_RECIPE: "recipe", TAG_RECEIPT: "receipt", TAG_RESCUE: "rescue state"}

Buffer = Union[bytes, bytearray, memoryview]


class Artifact(NamedTuple):
    """A byte string and its type tag (u32), None for plain data."""

    payload: bytes
    type_tag: Optional[int] = None


def header(length: int, type_tag: Optional[int] = None) -> bytes:
    """What stands before LENGTH bytes of payload: 9 bytes, or 13 with a tag."""
    return UNTAGGED.pack(0, length) if type_tag is None else TAGGED.pack(1, type_tag, length)


def digest(payload: Buffer, type_tag: Optional[int] = None) -> Digest:
    """The digest of the artifact (ASL/CORE-REF-DERIVE/1): over its encoding, so that the tag counts."""
    hasher = hashlib.sha256(header(len(payload), type_tag))
    hasher.update(payload)
    return Digest(hasher.digest())


def parse_header(data: Buffer) -> tuple[Optional[int], int, int]:
    """(type tag or None, size of the header, length of the payload) of the encoding that DATA begins with. Raises Damaged."""
    if len(data) >= UNTAGGED.size and data[0] == 0:
        return None, UNTAGGED.size, UNTAGGED.unpack_from(data)[1]
    if len(data) >= TAGGED.size and data[0] == 1:
        _flag, tag, length = TAGGED.unpack_from(data)
        return tag, TAGGED.size, length
    raise Damaged("these bytes are not an encoded artifact", reason="BAD_ARTIFACT")


def decode(data: Buffer) -> Artifact:
    """The artifact that DATA encodes, all of it. Raises Damaged."""
    tag, start, length = parse_header(data)
    if start + length != len(data):
        raise Damaged(f"an encoded artifact of {len(data)} bytes says it has {start + length}", reason="BAD_ARTIFACT")
    return Artifact(bytes(data[start:]), tag)
