# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a source gives: pieces of content, in order, and losses.

A *piece* is a stretch of bytes, a hole or an unread range. The pieces of a content cover it exactly, from the first byte to
the last. A *loss* is anything that was there and could not be taken as it is: it is listed, and never ends an intake.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Iterator, NamedTuple, Optional, Protocol

from asl.formats import recipe

DATA, HOLE, UNREAD = recipe.DATA, recipe.HOLE, recipe.UNREAD
# Reads are this long and begin at multiples of it: a multiple of every page and sector size, small enough to stay in cache.
READ_SIZE = 1024 * 1024


class Piece(NamedTuple):
    """LENGTH bytes of a kind. `data` is set for DATA only and is valid until the next piece is asked for."""

    kind: int
    length: int
    data: Optional[memoryview] = None


Pieces = Iterator[Piece]


@dataclass(frozen=True)
class Loss:
    """WHAT was lost (a stable code: unread, unreadable, vanished, changed, xattrs, not_listed), WHERE (a path, or a range of a
    device as `/dev/sda: 512 bytes at 4096`), and WHY in the system's own words."""

    what: str
    where: str
    why: str

    def document(self) -> dict[str, str]:
        """As it stands in results and receipts."""
        return {"what": self.what, "where": self.where, "why": self.why}


class Content(Protocol):
    """One run of bytes: a file, a disk, a stream."""

    @property
    def size(self) -> Optional[int]:
        """Bytes, None where only reading tells."""

    def pieces(self) -> Pieces:
        """All of it, once, in order. Read errors become UNREAD pieces and losses, never exceptions."""
