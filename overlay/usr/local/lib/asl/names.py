# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of things: raw digests inside, hex at the edge, both checked at the door.

A *digest* is 32 raw bytes of SHA-256. A *reference* names an artifact: hash id and digest (ASL/1-CORE); its text form is the
lower-case hex of its bytes, 68 characters. A *block* is named by the digest of its stored bytes, a *segment* and a *snapshot*
by a number that the store gives.
"""

from __future__ import annotations

import re
from typing import NewType

from asl.errors import Usage

Digest = NewType("Digest", bytes)
BlockID = NewType("BlockID", bytes)

DIGEST_SIZE = 32
HASH_SHA256 = 0x0001
_TEXT = re.compile(r"(?:0001)?([0-9a-f]{64})\Z")
_DOMAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}\Z")


def reference_text(digest: bytes) -> str:
    """The text form of the reference with DIGEST: 68 hex characters."""
    return f"{HASH_SHA256:04x}{digest.hex()}"


def parse_reference(text: str) -> Digest:
    """The digest in TEXT, a reference (68 hex characters) or a bare digest (64). Raises Usage."""
    match = _TEXT.match(text.strip().lower())
    if not match:
        raise Usage(f"{text!r} is not a reference", hint="a reference has 68 hex characters and begins with 0001", reason="BAD_REFERENCE")
    return Digest(bytes.fromhex(match.group(1)))


def check_domain(name: str) -> str:
    """NAME, when it may name a domain: letters, digits, dot, dash, underscore; at most 63. Raises Usage."""
    if not _DOMAIN.match(name):
        raise Usage(f"{name!r} cannot name a domain", hint="use letters, digits, '.', '-' and '_', 63 at most", reason="BAD_DOMAIN")
    return name
