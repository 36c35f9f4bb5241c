# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Directories: from the steps of a walk to tree artifacts, the innermost first."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import partial
from typing import Optional

from asl.formats import tree
from asl.formats.artifact import TAG_TREE
from asl.intake.cache import FileCache, Known
from asl.intake.content import ContentWriter, Stored
from asl.intake.progress import Progress
from asl.names import Digest
from asl.sources.base import Source
from asl.sources.runs import Run
from asl.sources.visit import ENTER, LEAVE, Visit
from asl.store import Writer


class TreeBuilder:
    """Builds the nodes of one directory as entries come, in order of their names; keeps one open node a level."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._entries: list[bytes] = []
        self._first = b""
        self._uppers: list[list[tree.Branch]] = []

    def add(self, entry: tree.Entry) -> None:
        """Append ENTRY."""
        self.add_with(entry, entry.size, entry.flags, entry.content, entry.digest)

    def add_with(self, entry: tree.Entry, size: int, flags: int, content: int, digest: bytes) -> None:
        """Append ENTRY, but for these of its fields: it is as it was before its content was read."""
        self._append(entry.name, tree.encode_with(entry, size, flags, content, digest))

    def add_all(self, names: Sequence[bytes], entries: list[bytes]) -> None:
        """Append ENTRIES, each encoded, with these NAMES."""
        if len(self._entries) + len(entries) < tree.MIN_ENTRIES:
            self._first = self._first if self._entries else names[0]
            self._entries += entries
            return
        for name, entry in zip(names, entries):
            self._append(name, entry)

    def _append(self, name: bytes, entry: bytes) -> None:
        if not self._entries:
            self._first = name
        self._entries.append(entry)
        if tree.ends_node(name, len(self._entries)):
            self._close_leaf()

    def _close_leaf(self) -> None:
        digest = self._writer.put(tree.encode(self._entries), TAG_TREE)
        self._push(0, tree.Branch(digest, len(self._entries), self._first))
        self._entries = []

    def _push(self, level: int, branch: tree.Branch) -> None:
        if level == len(self._uppers):
            self._uppers.append([])
        branches = self._uppers[level]
        branches.append(branch)
        if tree.ends_node(branch.first, len(branches)):
            self._close_upper(level)

    def _close_upper(self, level: int) -> None:
        branches, self._uppers[level] = self._uppers[level], []
        digest = self._writer.put(tree.encode_upper(level + 1, branches), TAG_TREE)
        self._push(level + 1, tree.Branch(digest, sum(branch.below for branch in branches), branches[0].first))

    def finish(self) -> Digest:
        """The digest of the directory."""
        if not self._uppers:
            return self._writer.put(tree.encode(self._entries), TAG_TREE)
        if self._entries:
            self._close_leaf()
        level = 0
        while level < len(self._uppers) - 1 or len(self._uppers[level]) > 1:
            if self._uppers[level]:
                self._close_upper(level)
            level += 1
        return Digest(self._uppers[level][0].digest)


class TreeIntake:
    """Stores one tree source. The result is the digest of its root and the sizes."""

    def __init__(self, writer: Writer, contents: ContentWriter, progress: Progress, cache: FileCache) -> None:
        self._writer, self._contents, self._progress, self._cache = writer, contents, progress, cache
        self._open: list[tuple[tree.Entry, TreeBuilder]] = []
        self._met: dict[bytes, Known] = {}  # asked for, and not used yet
        self.size = self.unread = self.files = 0

    def store(self, source: Source) -> Digest:
        """Walk SOURCE and store it; the digest of its root."""
        root = TreeBuilder(self._writer)
        for visit in source.walk_in_runs(self._contents.room, later=not self._cache.knows):
            if isinstance(visit, Run):
                self._run(visit, root)
            elif visit.kind == ENTER:
                self._contents.then(partial(self._enter, visit))
            elif visit.kind == LEAVE:
                self._contents.then(partial(self._leave, root))
            else:
                self._progress.files += 1
                if visit.entry.type == tree.FILE:
                    self._file(visit, root)
                else:
                    self._contents.then(partial(self._other, visit, root))
        self._contents.drain()
        return root.finish()

    def _parent(self, root: TreeBuilder) -> TreeBuilder:
        return self._open[-1][1] if self._open else root

    def _enter(self, visit: Visit) -> None:
        self._open.append((visit.entry, TreeBuilder(self._writer)))

    def _leave(self, root: TreeBuilder) -> None:
        entry, builder = self._open.pop()
        self._parent(root).add(entry._replace(content=tree.TREE, digest=builder.finish()))

    def _other(self, visit: Visit, root: TreeBuilder) -> None:
        """Anything but a directory and a file."""
        self.files += 1
        self._parent(root).add(visit.entry)

    def _file(self, visit: Visit, root: TreeBuilder) -> None:
        known = self._find(visit.path, visit.fingerprint)
        if known and _is_there(known):
            self._progress.unchanged(known.size)
            self._contents.then(partial(self._unchanged, visit, root, known))
        else:
            data = visit.small()
            if data is not None:
                self._contents.small(data, partial(self._stored, visit, root))
            else:
                self._contents.begin(visit.pieces(), partial(self._stored, visit, root))

    def _run(self, run: Run, root: TreeBuilder) -> None:
        """As many of RUN as are unchanged, or are read as they were seen."""
        known = [self._find(path, found) for path, found in zip(run.paths(0), run.fingerprints(0))] if self._cache.knows else []
        self._met = {}
        while left := run.left():
            at, end = run.taken, run.taken + left
            stretch = [each for each in itertools.takewhile(_is_there, known[at:end]) if each]
            if stretch:
                self._progress.unchanged(sum([each.size for each in stretch]), len(stretch))
                self._contents.then(partial(self._run_unchanged, run, at, root, stretch))
                run.taken += len(stretch)
                continue
            most = next((number for number in range(at, end) if known and _is_there(known[number])), end) - at
            self._contents.several(run.seen[at].st_size, partial(run.read, most), partial(self._run_stored, run, at, root))
        self._met = {path: each for path, each in zip(run.paths(run.taken), known[run.taken :]) if each}
        self._progress.files += run.taken

    def _run_unchanged(self, run: Run, at: int, root: TreeBuilder, known: list[Known]) -> None:
        self._cache.add_again(known)
        self._run_done(run, at, root, [(each.content, each.digest) for each in known])

    def _run_stored(self, run: Run, at: int, root: TreeBuilder, contents: list[tuple[int, bytes]]) -> None:
        self._cache.add_all(
            (path, found, content, status.st_size, digest)
            for path, found, status, (content, digest) in zip(run.paths(at), run.fingerprints(at), run.seen[at:], contents)
            if found
        )
        self._run_done(run, at, root, contents)

    def _run_done(self, run: Run, at: int, root: TreeBuilder, contents: list[tuple[int, bytes]]) -> None:
        names, seen = run.names[at : at + len(contents)], run.seen[at : at + len(contents)]
        entries = tree.encode_plain(
            (name, mode & 0o7777, uid, gid, seconds, nanoseconds, size, content, digest)
            for name, (_dev, _ino, mode, _nlink, uid, gid, _rdev, size, _blocks, seconds, nanoseconds, *_more), (content, digest) in zip(
                names, seen, contents
            )
        )
        self.files += len(contents)
        self.size += sum([status.st_size for status in seen])
        self._parent(root).add_all(names, entries)

    def _find(self, path: bytes, fingerprint: Optional[bytes]) -> Optional[Known]:
        """What the cache knows, also of what has been asked for already."""
        known = self._met.pop(path, None)
        if known is None:
            return self._cache.find(path, fingerprint)
        return known if known.fingerprint == fingerprint else None

    def _unchanged(self, visit: Visit, root: TreeBuilder, known: Known) -> None:
        self._cache.add(visit.path, known)
        self._done(visit, root, Stored(known.content, known.digest, known.size, 0))

    def _stored(self, visit: Visit, root: TreeBuilder, stored: Stored) -> None:
        if visit.fingerprint and not stored.unread and not visit.flags and not visit.vanished:
            self._cache.add(visit.path, Known(visit.fingerprint, stored.content, stored.digest, stored.size))
        if not visit.vanished:
            self._done(visit, root, stored)

    def _done(self, visit: Visit, root: TreeBuilder, stored: Stored) -> None:
        self.files += 1
        self.size += stored.size
        self.unread += stored.unread
        flags = visit.entry.flags | visit.flags | (tree.UNREAD if stored.unread else 0)
        self._parent(root).add_with(visit.entry, stored.size, flags, stored.content, stored.digest)


def _is_there(known: Optional[Known]) -> bool:
    """True where a file need not be read."""
    return bool(known and (known.content == tree.NONE or known.there))
