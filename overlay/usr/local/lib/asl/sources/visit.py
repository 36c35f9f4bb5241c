# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One step of a walk over a tree: what is there, and for a file how to read it."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Optional

from asl.formats.tree import Entry
from asl.sources.base import Pieces

if TYPE_CHECKING:
    from asl.sources.files import Opened

# ENTER begins a directory, LEAVE ends it, NODE is anything else.
ENTER, NODE, LEAVE = "enter", "node", "leave"


class Visit:
    """One step. `pieces()` has to be exhausted, or left alone, before the next step is asked for.

    path         relative to the root of the source, b"" for the root
    entry        attributes without content and digest; the root is called b"."; size is 0 for all but regular files
    fingerprint  names the state of a regular file for a cache of unchanged files; None when it must not be cached: not a
                 regular file, or touched so recently that a later write could leave the same times
    After pieces() is exhausted: flags (UNREAD and CHANGED of formats.tree), size (bytes covered) and vanished (the name is
    gone: drop the entry). A file that is not whole has its fingerprint taken away.
    """

    __slots__ = ("_opened", "entry", "fingerprint", "flags", "kind", "path", "size", "vanished")

    def __init__(self, kind: str, path: bytes, entry: Entry, fingerprint: Optional[bytes] = None, opened: Optional[Opened] = None) -> None:
        self.kind = kind
        self.path = path
        self.entry = entry
        self.fingerprint = fingerprint
        self.flags = 0
        self.size = entry.size
        self.vanished = False
        self._opened = opened

    def __repr__(self) -> str:
        return f"Visit({self.kind} {self.path!r})"

    def small(self) -> Optional[memoryview]:
        """All of a small file in one piece, valid until the next step; None where pieces() has to be asked."""
        return self._opened.small() if self._opened is not None else None

    def open(self) -> int:
        """A descriptor of a regular file; the caller closes it. Raises OSError."""
        if self._opened is None:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        return self._opened.open()

    def pieces(self) -> Pieces:
        """The content of a regular file, once, in order; nothing for all else. Never raises for what the disk does."""
        return self._opened.read(self) if self._opened is not None else _nothing()


def _nothing() -> Pieces:
    return iter(())
