# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two trees in step: the walk over the source, and the same walk over the snapshot.

Both give every name depth first and in byte order, so that the paths of either, as lists of names, only grow: the smaller of the two at
hand is on one side only. A directory that is on one side only is one difference, however much is in it. Where a directory could not be
listed, then or now, what would be missing in it is not known to be.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import NamedTuple, Optional

from asl.compare.contents import Content, Step, hold
from asl.compare.findings import CHANGED, DAMAGED, NEW, UNREAD, UNREADABLE, VANISHED, Findings
from asl.formats import tree
from asl.restore import ranges
from asl.sources.base import DATA, Piece, Source, shown
from asl.sources.visit import LEAVE, Visit
from asl.store.contents import Payloads

Key = tuple[bytes, ...]


class Stored(NamedTuple):
    """A name in the snapshot. `path` as in a Visit."""

    path: bytes
    entry: tree.Entry


class _Side:
    """One of the two walks: the step at hand, and its path as a list of names; None behind the last."""

    def __init__(self, steps: Iterator[tuple[bytes, tree.Entry, Optional[Visit]]]) -> None:
        self._steps = steps
        self.at: Optional[tuple[bytes, tree.Entry, Optional[Visit]]] = None
        self.key: Optional[Key] = None
        self.next()

    def next(self) -> None:
        """Go on."""
        self.at = next(self._steps, None)
        self.key = None if self.at is None else key_of(self.at[0])

    def skip(self) -> int:
        """Go on behind the step at hand and everything below it: how many names that were below."""
        top, count = self.key or (), -1
        while self.key is not None and self.key[: len(top)] == top:
            count += 1
            self.next()
        return count


def key_of(path: bytes) -> Key:
    """PATH as the list of its names: in the order of these a walk meets them."""
    return tuple(path.split(b"/")) if path else ()


def walk(store: Payloads, root: bytes, damaged: Callable[[bytes, str], None]) -> Iterator[Stored]:
    """Every name of the stored tree ROOT, depth first. DAMAGED(path of a directory, why) for what the store cannot give back."""

    def entries(path: bytes, digest: bytes) -> Iterator[tree.Entry]:
        return ranges.directory(store, digest, lambda _count, why: damaged(path, why))

    stack = [(b"", entries(b"", root))]
    while stack:
        above, names = stack[-1]
        entry = next(names, None)
        if entry is None:
            stack.pop()
            continue
        top = len(stack) == 1 and entry.name == tree.ROOT_NAME
        path = b"" if top else above + b"/" + entry.name if above else entry.name
        yield Stored(path, entry)
        if entry.type == tree.DIRECTORY and entry.content == tree.TREE:
            stack.append((path, entries(path, entry.digest)))


class TreeComparison:
    """Compares one tree. Use run()."""

    def __init__(self, store: Payloads, source: Source, findings: Findings, step: Step) -> None:
        self._store, self._source, self._findings, self._step = store, source, findings, step
        # Directories whose lists are not whole, then or now.
        self._unlisted: set[Key] = set()
        # Names that the walk passed over, and why; and how many of its losses were looked at for that.
        self._passed: dict[str, str] = {}
        self._looked = 0

    def run(self, root: bytes) -> None:
        """Hold the source against the stored tree ROOT."""
        now = _Side((visit.path, visit.entry, visit) for visit in self._source.walk() if visit.kind != LEAVE)
        then = _Side((each.path, each.entry, None) for each in walk(self._store, root, self._damaged))
        while now.key is not None or then.key is not None:
            if then.key is None or (now.key is not None and now.key < then.key):
                self._only(now, NEW)
            elif now.key is None or then.key < now.key:
                self._only(then, VANISHED)
            else:
                assert now.at is not None and then.at is not None and now.at[2] is not None
                self._both(now.at[2], then.at[1])
                now.next()
                then.next()
        for loss in self._source.losses:
            if loss.what == "not_listed":
                self._findings.apart(b"" if loss.where == "." else os.fsencode(loss.where), UNREADABLE, loss.why)

    def _damaged(self, path: bytes, why: str) -> None:
        self._unlisted.add(key_of(path))
        self._findings.apart(path, DAMAGED, why)

    def _only(self, side: _Side, what: str) -> None:
        """What SIDE has at hand, the other has not."""
        assert side.at is not None and side.key is not None
        path, entry, _visit = side.at
        above = side.key[:-1]
        below = side.skip()
        if what == NEW and not self._listed(above):
            return  # said already, of the directory
        if what == VANISHED:
            self._step(entry.size)
            lost = self._lost(path)
            if lost or not self._listed(above):
                self._findings.apart(path, UNREADABLE, lost)
                return
        kind = tree.TYPE_NAMES[entry.type]
        why = f"the {kind} is not in the snapshot" if what == NEW else f"the {kind} is gone from the source"
        self._findings.differs(path, what, why, **({"below": below} if below else {}))

    def _listed(self, directory: Key) -> bool:
        return directory not in self._unlisted

    def _lost(self, path: bytes) -> str:
        """Why the walk passed over PATH, which is there; empty when it did not."""
        losses = self._source.losses
        self._passed.update((loss.where, loss.why) for loss in losses[self._looked :] if loss.what == "unreadable")
        self._looked = len(losses)
        return self._passed.get(shown(path), "")

    def _both(self, visit: Visit, stored: tree.Entry) -> None:
        """A name that both have."""
        self._findings.files += stored.type != tree.DIRECTORY
        self._step(stored.size)
        if visit.entry.type != stored.type:
            why = f"it is a {tree.TYPE_NAMES[visit.entry.type]}, and was a {tree.TYPE_NAMES[stored.type]}"
            self._findings.differs(visit.path, CHANGED, why, fields=["type"])
            return
        fields = _attributes(visit.entry, stored)
        if (visit.entry.flags | stored.flags) & tree.XATTRS_LOST:
            self._findings.apart(visit.path, UNREADABLE, "some of its extended attributes could not be read, then or now")
        if stored.type == tree.DIRECTORY:
            self._directory(visit, stored)
        content, why = Content(), ""
        if stored.type == tree.FILE:
            why = "it was changing already when the snapshot was made" if stored.flags & tree.CHANGED else ""
            if visit.entry.size != stored.size:
                fields.insert(0, "size")
                why = why or f"it has {visit.entry.size} bytes, and had {stored.size}"
            elif not self._file(visit, stored, content):
                self._findings.differs(visit.path, VANISHED, "it went away while it was read")
                return
        self._findings.content(visit.path, content, fields, why)

    def _directory(self, visit: Visit, stored: tree.Entry) -> None:
        if visit.entry.flags & tree.UNREAD:
            self._unlisted.add(key_of(visit.path))
        if stored.flags & tree.UNREAD:
            self._unlisted.add(key_of(visit.path))
            self._findings.apart(visit.path, UNREAD, "it could not be listed as a whole when the snapshot was made")

    def _file(self, visit: Visit, stored: tree.Entry, content: Content) -> bool:
        """Hold the content of a file against what is stored; False when the file went away meanwhile."""
        wanted = ranges.file_ranges(self._store, stored)
        if stored.content == tree.NONE:
            hold(iter([Piece(ranges.UNREAD, stored.size)] if stored.size else []), wanted, content, _nothing)
            return True
        seen = len(self._source.losses)
        data = visit.small()
        hold(iter([Piece(DATA, len(data), data)]) if data is not None else visit.pieces(), wanted, content, _nothing)
        for loss in self._source.losses[seen:]:
            content.words.setdefault("unreadable" if loss.what in ("unread", "unreadable") else loss.what, loss.why)
        return not visit.vanished


def _attributes(now: tree.Entry, then: tree.Entry) -> list[str]:
    """The attributes in which two entries of one type differ, by name."""
    found = [name for name in ("mode", "uid", "gid", "rdev", "target") if getattr(now, name) != getattr(then, name)]
    if (now.mtime_s, now.mtime_ns) != (then.mtime_s, then.mtime_ns):
        found.append("mtime")
    if now.xattrs != then.xattrs and not (now.flags | then.flags) & tree.XATTRS_LOST:
        found.append("xattrs")
    return found


def _nothing(_count: int) -> None:
    """The size of a file counts when it is met."""
