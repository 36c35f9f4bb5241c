# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a source gives: pieces of content, in order, and losses.

A *piece* is a stretch of bytes, a hole or an unread range. The pieces of a content cover it exactly, from the first byte to
the last. A *loss* is anything that was there and could not be taken as it is: it is listed, and never ends an intake.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Optional, Protocol, Union

from asl.errors import Usage
from asl.formats import recipe

if TYPE_CHECKING:
    from asl.sources.memory import Lent
    from asl.sources.runs import Run
    from asl.sources.visit import Visit

DATA, HOLE, UNREAD = recipe.DATA, recipe.HOLE, recipe.UNREAD
# Reads are this long and begin at multiples of it: a multiple of every page and sector size, small enough to stay in cache.
READ_SIZE = 1024 * 1024
# Losses listed one by one; a dying disk can have millions, so the others are only counted.
MAX_LOSSES = 10_000


class Piece(NamedTuple):
    """LENGTH bytes of a kind. `data` is set for DATA only and is valid until the next piece is asked for.

    Where it lies at the beginning of what `lent` shows, it is valid for whoever holds that, until it is dropped."""

    kind: int
    length: int
    data: Optional[memoryview] = None
    lent: Optional[Lent] = None


Pieces = Iterator[Piece]


class Loss(NamedTuple):
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


class Source:
    """What an intake reads: a tree of names (root_kind "tree") or one run of bytes ("recipe").

    Used as a context manager: entering it opens what has to be open (and mounts), leaving it puts everything back. `walk()` is
    for trees, `content()` for the others; each is called once. Losses gather in `losses` while either is consumed.
    """

    kind = ""
    root_kind = "recipe"

    def __init__(self, spec: str) -> None:
        self.spec = spec
        self.view: Optional[str] = None
        """How the source was looked at where that changes what is seen ("journal not replayed"); part of the manifest."""
        self.losses: list[Loss] = []
        self.losses_omitted = 0
        self.notes: list[str] = []

    def __enter__(self) -> Source:
        """Open. Raises Refused, Unavailable."""
        return self

    def __exit__(self, _type: Optional[type[BaseException]], _error: Optional[BaseException], _traceback: Optional[TracebackType]) -> None:
        """Close and put back."""

    def lose(self, what: str, where: str, why: str) -> None:
        """List a loss; beyond MAX_LOSSES only count it."""
        if len(self.losses) < MAX_LOSSES:
            self.losses.append(Loss(what, where, why))
        else:
            self.losses_omitted += 1

    def details(self) -> dict[str, Any]:
        """What the receipt says of this source beside its name: integers, strings and lists of strings."""
        return {}

    def estimate(self) -> Optional[int]:
        """About how many bytes there are to read; None where nobody knows before the end."""
        return None

    def walk(self) -> Iterator[Visit]:
        """Every name of the tree, depth first, in byte order of names."""
        raise Usage(f"{self.spec} is no tree", reason="NOT_A_TREE")

    def walk_in_runs(self, _below: int, *, later: bool) -> Iterator[Union[Visit, Run]]:
        """As walk(); see sources.tree."""
        return self.walk()

    def content(self) -> Content:
        """The one run of bytes."""
        raise Usage(f"{self.spec} is a tree, not one run of bytes", reason="NOT_A_CONTENT")


def why(error: OSError) -> str:
    """The system's own words for ERROR, without the path."""
    return os.strerror(error.errno) if error.errno else str(error)


def shown(path: bytes) -> str:
    """PATH as it stands in losses: surrogate-escaped text (PEP 383), "." for the root."""
    return os.fsdecode(path) or "."
