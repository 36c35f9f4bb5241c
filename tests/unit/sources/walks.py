# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a walk over a real directory tells, with the content read."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from asl.formats.tree import Entry
from asl.sources.base import Source
from asl.sources.tree import TreeSource
from asl.sources.visit import LEAVE, Visit

OLD_NS = 1_234_567_890_987_654_321


class Seen(NamedTuple):
    """A visit with its content read."""

    kind: str
    path: bytes
    entry: Entry
    content: bytes
    kinds: tuple[int, ...]
    flags: int
    size: int
    vanished: bool
    fingerprint: object


def read(visit: Visit) -> Seen:
    content, kinds = bytearray(), []
    for piece in visit.pieces():
        kinds.append(piece.kind)
        content += bytes(piece.data) if piece.data is not None else bytes(piece.length)
        assert piece.data is None or len(piece.data) == piece.length
    return Seen(
        visit.kind, visit.path, visit.entry, bytes(content), tuple(kinds), visit.flags, visit.size, visit.vanished, visit.fingerprint
    )


def walk(source: Source) -> list[Seen]:
    with source:
        return [read(visit) for visit in source.walk()]


def by_path(source: Source) -> dict[bytes, Seen]:
    return {seen.path: seen for seen in walk(source) if seen.kind != LEAVE}


def tree_of(path: Path, **more: tuple[str, ...]) -> TreeSource:
    return TreeSource(f"tree:{path}", str(path), **more)


def settle(path: Path) -> None:
    os.utime(path, ns=(OLD_NS, OLD_NS), follow_symlinks=False)
