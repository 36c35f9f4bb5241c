# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a restore of a tree would change, name by name, in the order in which it would do so. Nothing is written.

It looks with the same eyes as the restore: what is right already, what only lacks its attributes, what is in the way. What only
trying shows (a destination that is too small, a file system that cannot hold a name) it does not know.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress

from asl.errors import Usage
from asl.formats import tree
from asl.formats.tree import Entry
from asl.restore import attributes, places, ranges
from asl.restore.nodes import forbidden, right_already, same_kind
from asl.restore.result import ATTRIBUTES, MAKE, REPLACE, Changes, Refusing
from asl.sources.base import shown
from asl.store import contents
from asl.store.contents import Payloads

# Descriptors kept open on the way down; those above are opened again from the destination.
MAX_OPEN = 64


def _nothing(*_loss: object) -> None:
    """A loss is the restore's to list."""


class _Level:
    """A directory of the snapshot, and the one of the destination: FD is -1 where there is none, or where it is not open any more."""

    __slots__ = ("entries", "fd", "path", "settles", "there")

    def __init__(self, path: bytes, fd: int, entries: Iterator[Entry], *, settles: bool) -> None:
        self.path, self.fd, self.entries, self.settles = path, fd, entries, settles
        self.there = fd >= 0


class Prediction:
    """Adds to CHANGES what a restore of PART (b"" for all) of the source with the tree ROOT would change below the directory BASE, -1 where
    there is none. FRESH: files are read from the disk, not from memory. TROUBLE(path, error): what could not be looked at; a restore
    lists it as a loss and goes on."""

    def __init__(
        self, store: Payloads, root: bytes, base: int, part: bytes, changes: Changes,
        *, fresh: bool = False, trouble: Callable[[bytes, Exception], None] = _nothing,
    ) -> None:  # fmt: skip
        self._store, self._root, self._base, self._part, self._changes = store, root, base, part, changes
        self._fresh, self._trouble = fresh, trouble
        self._levels: list[_Level] = []
        self._replaced: set[bytes] = set()
        self._copies: dict[bytes, bytes] = {}

    def _start(self, wanted: Entry, target: list[bytes], destination: str) -> None:
        """Go down to where WANTED goes, and enter it."""
        above = -1 if self._base < 0 else os.dup(self._base)
        if not target:
            self._enter(wanted, b"", above)
            return
        for path, name in places.steps(target):
            last = above
            try:
                above, how = directory(last, name)
            finally:
                if last >= 0:
                    os.close(last)
            if how:
                self._changes.add(shown(path), how)
            elif above < 0:
                raise Usage(f"{shown(path)} in {destination} is no directory", reason="DESTINATION_KIND")
        self._enter_at(b"/".join(target[:-1]), above, iter((wanted._replace(name=target[-1]),)))

    def _enter(self, entry: Entry, path: bytes, fd: int) -> None:
        """Look at what is in the directory ENTRY, which is open as FD, or not there (-1)."""
        try:
            settles = fd >= 0 and attributes.differ(b"/proc/self/fd/%d" % fd, entry)
        except OSError:
            os.close(fd)
            raise
        tree_below = ranges.directory(self._store, entry.digest, lambda _count, _why: None) if entry.content == tree.TREE else iter(())
        self._enter_at(path, fd, tree_below, settles=settles)

    def _enter_at(self, path: bytes, fd: int, entries: Iterator[Entry], *, settles: bool = False) -> None:
        """Look at just ENTRIES of the directory."""
        self._levels.append(_Level(path, fd, entries, settles=settles))
        if len(self._levels) > MAX_OPEN and self._levels[-MAX_OPEN].fd >= 0:
            os.close(self._levels[-MAX_OPEN].fd)
            self._levels[-MAX_OPEN].fd = -1

    def run(self, wanted: Entry, target: list[bytes], destination: str) -> None:
        """Look at all of WANTED, which goes to TARGET (name by name) below DESTINATION. Raises Usage when the way there is none."""
        try:
            self._start(wanted, target, destination)
            while self._levels:
                level = self._levels[-1]
                entry = next(level.entries, None)
                if entry is None:
                    self._leave(level)
                    continue
                path = b"%s/%s" % (level.path, entry.name) if level.path else entry.name
                try:
                    tree.check_name(entry.name)
                    self._one(level, entry, path)
                except (OSError, *ranges.DAMAGE) as error:
                    self._trouble(path, error)
        finally:
            for level in self._levels:
                if level.fd >= 0:
                    os.close(level.fd)

    def _leave(self, level: _Level) -> None:
        self._levels.pop()
        if level.fd >= 0:
            os.close(level.fd)
        if level.settles:
            self._changes.add(shown(level.path), ATTRIBUTES)

    def _one(self, level: _Level, entry: Entry, path: bytes) -> None:
        if level.there and level.fd < 0:
            level.fd = places.descend(self._base, places.parts_of(level.path))
        if entry.type == tree.DIRECTORY:
            fd, how = directory(level.fd, entry.name)
            if how:
                self._changes.add(shown(path), how)
            if fd >= 0 or how:
                self._enter(entry, path, fd)
            return
        how = self._hardlink(level.fd, entry, path) if entry.type == tree.HARDLINK else self._node(level.fd, entry)
        if how:
            self._changes.add(shown(path), how)
        if how == REPLACE:
            self._replaced.add(path)

    def _node(self, dir_fd: int, entry: Entry) -> str:
        """How anything but a directory or a hard link would change."""
        if dir_fd >= 0 and self._is_right(dir_fd, entry):
            return ATTRIBUTES if attributes.differ(b"/proc/self/fd/%d/%s" % (dir_fd, entry.name), entry, follow=False) else ""
        return "" if forbidden(entry) else places.room(dir_fd, entry.name)

    def _is_right(self, dir_fd: int, entry: Entry) -> bool:
        if entry.type == tree.FILE:
            return right_already(dir_fd, entry, self._store, _nothing, fresh=self._fresh)
        return same_kind(dir_fd, entry)

    def _hardlink(self, dir_fd: int, entry: Entry, path: bytes) -> str:
        names = places.parts_of(entry.target)
        inside = not self._part or entry.target.startswith(self._part + b"/")
        first = self._copies.get(entry.target, entry.target if inside else b"")
        if first and dir_fd >= 0 and first not in self._replaced and self._same(dir_fd, entry.name, places.parts_of(first)):
            return ""
        original = contents.resolve(self._store, self._root, b"/".join(names))
        if original.type in (tree.DIRECTORY, tree.HARDLINK):
            return ""
        if first:
            return places.room(dir_fd, entry.name)
        self._copies[entry.target] = path
        return self._node(dir_fd, original._replace(name=entry.name))

    def _same(self, dir_fd: int, name: bytes, first: list[bytes]) -> bool:
        """True when NAME is the file at FIRST below the destination already."""
        try:
            above = places.descend(self._base, first[:-1])
        except OSError:
            return False
        try:
            here, there = (os.stat(each, dir_fd=fd, follow_symlinks=False) for each, fd in ((name, dir_fd), (first[-1], above)))
        except OSError:
            return False
        finally:
            os.close(above)
        return (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino) and not stat.S_ISDIR(there.st_mode)


def directory(dir_fd: int, name: bytes) -> tuple[int, str]:
    """(the directory NAME, or -1; how it would come to be, empty where it is there or something stays in its way)."""
    if dir_fd < 0:
        return -1, MAKE
    with suppress(FileNotFoundError):
        if stat.S_ISDIR(os.stat(name, dir_fd=dir_fd, follow_symlinks=False).st_mode):
            return os.open(name, places.DIRECTORY, dir_fd=dir_fd), ""
    return -1, places.room(dir_fd, name)


def tree_changes(
    store: Payloads, root: bytes, path: bytes, destination: str, *, overwrite: bool = False, name: bytes = b"content"
) -> Changes:
    """What restore_tree() with these arguments would change. Refuses what it would refuse, at the first change. Writes nothing."""
    wanted, target = places.target_of(store, root, path, name)
    if os.path.lexists(destination) and not os.path.isdir(destination):
        raise Usage(f"{destination} is no directory", reason="DESTINATION_KIND", hint="choose a directory, or a name that is free")
    base = os.open(destination, places.DIRECTORY & ~os.O_NOFOLLOW) if os.path.isdir(destination) else -1
    try:
        refused = places.occupied(base, target, destination) if base >= 0 and not overwrite else None
        changes = Changes() if refused is None else Refusing(refused)
        if base < 0:
            changes.add(".", MAKE)
        Prediction(store, root, base, places.part_of(path), changes).run(wanted, target, destination)
    finally:
        if base >= 0:
            os.close(base)
    return changes
