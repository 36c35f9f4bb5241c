# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The index of an overlay: one line per file, ``sha256 mode owner:group path``, sorted by path, LF at each end.

A bundle's INDEX holds paths inside the bundle, and its SHA-256 is the bundle's digest. A laid system keeps the same kind of file as
/usr/local/lib/asl/overlay.index: absolute paths, what was really laid on this machine, under a first line ``# bundle <digest>`` and one
line ``# made <path>`` for each directory outside the contract that had to be made, so that removal can take it away again.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from typing import NamedTuple, Optional

from asl.errors import Damaged
from asl.overlay.contract import parse_mode

_LINE = re.compile(r"([0-9a-f]{64}) (0[0-7]{3}) ([a-z_][a-z0-9_-]*):([a-z_][a-z0-9_-]*) (\S.*)")
_HEADER = re.compile(r"# (bundle|made) (\S.*)")


class Line(NamedTuple):
    """One file: where it is, what its bytes are, and how it is to stand there."""

    path: str
    digest: str
    mode: int
    owner: str
    group: str

    def text(self) -> str:
        """The line as it stands in the index, without its end."""
        return f"{self.digest} {self.mode:04o} {self.owner}:{self.group} {self.path}"


class Index(NamedTuple):
    """The lines, sorted by path; of a laid system also the digest of its bundle and the directories that were made for it."""

    lines: tuple[Line, ...]
    bundle: Optional[str] = None
    made: tuple[str, ...] = ()

    def encode(self) -> bytes:
        """The bytes of the index. Equal indexes have equal bytes."""
        header = [f"# bundle {self.bundle}"] if self.bundle else []
        header += [f"# made {path}" for path in self.made]
        return "".join(text + "\n" for text in header + [line.text() for line in self.lines]).encode()

    @property
    def digest(self) -> str:
        """The digest of the bundle this index is of, or comes from."""
        return self.bundle or hashlib.sha256(self.encode()).hexdigest()

    def by_path(self) -> dict[str, Line]:
        """The lines by path."""
        return {line.path: line for line in self.lines}


def make(lines: Iterable[Line], bundle: Optional[str] = None, made: Iterable[str] = ()) -> Index:
    """An index of LINES, in order."""
    return Index(tuple(sorted(lines)), bundle, tuple(sorted(made)))


def parse(data: bytes, name: str) -> Index:
    """Read an index. Raises Damaged for anything that is not one."""
    lines: list[Line] = []
    header: dict[str, list[str]] = {"bundle": [], "made": []}
    text = data.decode("utf-8", "surrogateescape")
    for number, raw in enumerate(text.split("\n")[:-1], start=1):
        if match := _LINE.fullmatch(raw):
            lines.append(Line(match.group(5), match.group(1), parse_mode(match.group(2), name), match.group(3), match.group(4)))
        elif (match := _HEADER.fullmatch(raw)) and not lines:
            header[match.group(1)].append(match.group(2))
        else:
            raise _damaged(f"{name}:{number}: not a line of an overlay index: {raw!r}")
    found = Index(tuple(lines), next(iter(header["bundle"]), None), tuple(header["made"]))
    if found != make(set(lines), found.bundle, set(found.made)) or found.encode() != data:
        raise _damaged(f"{name}: the index is cut off or out of order")
    return found


def _damaged(what: str) -> Damaged:
    return Damaged(what, reason="INDEX_INVALID", hint="lay the overlay again")
