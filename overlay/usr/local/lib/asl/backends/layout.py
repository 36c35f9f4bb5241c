# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Object → name under the store's root, and back. Nothing else joins these names.

blocks/ab/abcd…      64 hex: the SHA-256 of the file      meta/asl-store   the marker: format version, store id
segments/000000000001   12 digits: segment_id             meta/head        the last acknowledged position of the log
snapshots/000000000001  12 digits: snapshot_id            meta/lock        held while the log grows
logs/asl.log         the log                              tmp/             whatever a crash leaves; swept
"""

from __future__ import annotations

import re
from typing import Optional

FOLDERS = ("blocks", "segments", "snapshots", "logs", "meta", "tmp")
MARKER, HEAD, LOCK, LOG = "meta/asl-store", "meta/head", "meta/lock", "logs/asl.log"

_BLOCK = re.compile(r"blocks/([0-9a-f]{2})/(\1[0-9a-f]{62})\Z")
_NUMBER = re.compile(r"(segments|snapshots)/(\d{12,})\Z")


def block(block_id: bytes) -> str:
    """The name of the block with BLOCK_ID."""
    text = block_id.hex()
    return f"blocks/{text[:2]}/{text}"


def segment(segment_id: int) -> str:
    """The name of the segment with SEGMENT_ID."""
    return f"segments/{segment_id:012d}"


def snapshot(snapshot_id: int) -> str:
    """The name of the snapshot file with SNAPSHOT_ID."""
    return f"snapshots/{snapshot_id:012d}"


def parse_block(name: str) -> Optional[bytes]:
    """The BlockID in NAME, None when it is not the name of a block."""
    match = _BLOCK.match(name)
    return bytes.fromhex(match.group(2)) if match else None


def parse_number(name: str) -> Optional[int]:
    """The number in the NAME of a segment or snapshot file, None when it is neither."""
    match = _NUMBER.match(name)
    return int(match.group(2)) if match else None
