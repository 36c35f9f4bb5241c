# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""ReferenceBytes (ENC/ASL1-CORE, profile 0x0001). Big-endian.

0  2  hash_id, 0x0001 = SHA-256 (HASH/ASL1); 0x0000 is reserved
2  n  digest, n by the hash: 32
"""

from __future__ import annotations

import struct

from asl.errors import Damaged, Unsupported
from asl.names import DIGEST_SIZE, HASH_SHA256, Digest

HASH_ID = struct.Struct(">H")
SIZE = HASH_ID.size + DIGEST_SIZE


def encode(digest: bytes) -> bytes:
    """The 34 bytes of the reference with DIGEST."""
    return HASH_ID.pack(HASH_SHA256) + digest


def decode(data: bytes) -> Digest:
    """The digest in DATA. Raises Unsupported for an unknown hash id, Damaged for a reserved one or a wrong length."""
    if len(data) < HASH_ID.size:
        raise Damaged("a reference of less than two bytes", reason="BAD_REFERENCE")
    (hash_id,) = HASH_ID.unpack_from(data)
    if hash_id == 0:
        raise Damaged("a reference with the reserved hash id 0x0000", reason="BAD_REFERENCE")
    if hash_id != HASH_SHA256:
        raise Unsupported(f"a reference with hash id {hash_id:#06x}; this engine knows 0x0001", reason="UNKNOWN_HASH")
    if len(data) != SIZE:
        raise Damaged(f"a reference of {len(data)} bytes; SHA-256 makes {SIZE}", reason="BAD_REFERENCE")
    return Digest(data[HASH_ID.size :])
