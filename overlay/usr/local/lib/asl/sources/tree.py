# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`tree:/path`: everything below a directory, or one file.

The walk holds a descriptor of each directory it is in and reaches names through these only, never following a link, so that
nothing that is renamed or swapped meanwhile can lead it out of the tree. Memory: the names of the directories it is in, and
16 bytes and a path for each file with more than one hard link.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator, Sequence
from operator import attrgetter
from typing import Any, Callable, Optional, Union, cast

from asl import kernel
from asl.errors import Refused, Unavailable, Usage
from asl.formats import tree
from asl.kernel import Status
from asl.kernel.files import of
from asl.sources import attributes, mounts, runs
from asl.sources.base import Source, shown, why
from asl.sources.files import FLAGS, GONE, Batch, Opened, Shelf, State, open_quietly, state_of
from asl.sources.runs import FRESH, Looks, Run
from asl.sources.visit import ENTER, LEAVE, NODE, Visit

DIRECTORY_FLAGS = FLAGS | os.O_DIRECTORY
# Descriptors kept open on the way down. Directories above are closed and found again by "..": depth has no limit, descriptors do.
MAX_OPEN = 128


# Names looked at in one call: few at first, for what is known of them must not be old when they are read.
FIRST_LOOK, LONGEST_LOOK = 8, 256
# Names that are worth to be a run.
SHORTEST_RUN = 2


class _Level:
    """A directory the walk is in: its descriptor (-1 while closed), identity, and the names still to come, last first."""

    __slots__ = ("_look", "batch", "device", "fd", "inode", "names", "visit")

    def __init__(self, fd: int, status: os.stat_result, visit: Visit, names: list[bytes]) -> None:
        self.fd = fd
        self.device, self.inode = status.st_dev, status.st_ino
        self.visit = visit
        self.names = names
        self.batch = Batch((), [], 0.0)
        self._look = FIRST_LOOK

    def look(self, looks: Looks) -> Batch:
        """The batch of the next name, looked at anew when that is due. Only where there are names."""
        batch, now = self.batch, time.monotonic()
        if batch.at == len(batch.names) or now - batch.when > FRESH:
            self._look = min(2 * self._look, LONGEST_LOOK) if batch.at == len(batch.names) else FIRST_LOOK
            self.batch = looks.at(self.fd, self.names[: -self._look - 1 : -1], now)
        return self.batch

    def next(self) -> tuple[bytes, Status, int]:
        """The next name, what it is, and its number in the batch."""
        batch = self.batch
        number = batch.at
        batch.at = number + 1
        return self.names.pop(), batch.seen[number], number

    def passed(self, count: int) -> None:
        """Pass by the next COUNT names."""
        self.batch.at += count
        del self.names[len(self.names) - count :]

    def alone(self, looks: Looks) -> None:
        """What is left of the batch comes name by name."""
        self.batch = looks.alone(self.fd, self.batch.names[self.batch.at :])


class TreeSource(Source):
    """A directory with everything below it, or a single file. EXCLUDE names directories (the store's own) to leave out."""

    kind = "tree"
    root_kind = "tree"

    def __init__(self, spec: str, path: str, exclude: Sequence[str] = ()) -> None:
        super().__init__(spec)
        self.path = path
        self.exclude: tuple[str, ...] = tuple(exclude)
        self._links: dict[tuple[int, int], bytes] = {}
        self._levels: list[_Level] = []
        self._excluded: frozenset[tuple[int, int]] = frozenset()
        self._shelf = Shelf(self.lose)
        self._looks = Looks(0, later=False)

    def details(self) -> dict[str, Any]:
        """The path without links, and the filesystem it lies on."""
        real = os.path.realpath(self.path)
        return {"path": real, "filesystem": mounts.kind_of_device(os.stat(real).st_dev)}

    def estimate(self) -> Optional[int]:
        """Bytes in use where the tree is a whole filesystem."""
        if not os.path.ismount(self.path):
            return None
        status = os.statvfs(self.path)
        return (status.f_blocks - status.f_bfree) * status.f_frsize

    def walk(self) -> Iterator[Visit]:
        """Every name of the tree, depth first, in byte order of names. Raises only where the root itself cannot be read."""
        return cast("Iterator[Visit]", self.walk_in_runs(0, later=False))

    def walk_in_runs(self, below: int, *, later: bool) -> Iterator[Union[Visit, Run]]:
        """As walk(), with small regular files that are shorter than BELOW bytes in runs, where that can be. LATER: they are asked for their
        attributes when they are read, and have to be read then."""
        self._looks = Looks(below, later=later)
        self._excluded = frozenset(_identities(self.exclude))
        try:
            fd = os.open(self.path, DIRECTORY_FLAGS & ~os.O_NOFOLLOW)
        except NotADirectoryError:
            yield from self._single()
            return
        except OSError as error:
            raise Unavailable(f"{self.spec} cannot be read: {why(error)}", reason="SOURCE_UNREADABLE") from error
        status = os.fstat(fd)
        if (status.st_dev, status.st_ino) in self._excluded:
            os.close(fd)
            hint = "choose what is to be rescued, not where it goes"
            raise Refused(f"{self.spec} is the store itself", reason="STORE_ON_SOURCE", hint=hint)
        try:
            yield self._enter(fd, b"", tree.ROOT_NAME, status)
            yield from self._descend()
        finally:
            self._close()

    def _single(self) -> Iterator[Visit]:
        """One file as a tree with the one entry "."."""
        real = os.fsencode(os.path.realpath(self.path))
        folder, name = os.path.split(real)
        fd = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            status = of(os.stat(name, dir_fd=fd, follow_symlinks=False))
            found, lost = attributes.xattrs(attributes.by_name(fd, name))
            flags = self._xattrs_lost(b"", lost)
            entry = attributes.entry(tree.ROOT_NAME, status, xattrs=found, flags=flags)
            opened = Opened(self._shelf, fd, Batch((name,), [status], 0.0), 0, _forget_nothing)
            yield Visit(NODE, b"", entry, attributes.fingerprint(status, time.time_ns()), opened)
        finally:
            os.close(fd)

    def _descend(self) -> Iterator[Union[Visit, Run]]:
        while self._levels:
            level = self._levels[-1]
            if not level.names:
                yield Visit(LEAVE, level.visit.path, level.visit.entry)
                self._leave(level)
                continue
            batch = level.look(self._looks)
            count = runs.length(batch)
            if count >= SHORTEST_RUN and not self._excludes(batch.seen[batch.at : batch.at + count]):
                yield from self._run(level, count)
                continue
            name, status, number = level.next()
            path = b"%s/%s" % (level.visit.path, name) if level.visit.path else name
            if status.error:
                self._lost_name(path, OSError(status.error, os.strerror(status.error)))
            elif stat.S_ISDIR(status.st_mode):
                yield from self._directory(level, name, path, status)
            elif not self._excluded or (status.st_dev, status.st_ino) not in self._excluded:
                visit = self._node(level.fd, path, batch, number)
                if visit is not None:
                    yield visit

    def _run(self, level: _Level, count: int) -> Iterator[Run]:
        run = Run(level.visit.path, level.fd, level.batch, count)
        yield run
        level.passed(run.taken)
        if run.failed or not run.taken:
            level.alone(self._looks)

    def _excludes(self, seen: Sequence[Status]) -> bool:
        return bool(self._excluded) and any((status.st_dev, status.st_ino) in self._excluded for status in seen)

    def _lost_name(self, path: bytes, error: OSError) -> None:
        self.lose("vanished" if error.errno in GONE else "unreadable", shown(path), why(error))

    def _directory(self, level: _Level, name: bytes, path: bytes, status: Status) -> Iterator[Visit]:
        identity = (status.st_dev, status.st_ino)
        if identity in self._excluded:
            self.notes.append(f"{shown(path)}: left out, it is where the store is")
            return
        if status.st_dev != level.device:
            kind = mounts.kind_of_device(status.st_dev)
            if kind in mounts.PSEUDO:
                self.notes.append(f"{shown(path)}: kept as an empty directory, {kind} is mounted there")
                yield from self._empty(level.fd, name, path, status)
                return
        try:
            fd = open_quietly(name, level.fd, DIRECTORY_FLAGS)
        except OSError as error:
            if error.errno in GONE:
                self._lost_name(path, error)
                return
            self.lose("unreadable", shown(path), why(error))
            yield from self._empty(level.fd, name, path, status, tree.UNREAD)
            return
        yield self._enter(fd, path, name, os.fstat(fd))

    def _empty(self, dir_fd: int, name: bytes, path: bytes, status: Status, flags: int = 0) -> Iterator[Visit]:
        found, lost = attributes.xattrs(attributes.by_name(dir_fd, name))
        flags |= self._xattrs_lost(path, lost)
        entry = attributes.entry(name, status, xattrs=found, flags=flags)
        yield Visit(ENTER, path, entry)
        yield Visit(LEAVE, path, entry)

    def _enter(self, fd: int, path: bytes, name: bytes, status: os.stat_result) -> Visit:
        """Push the level of the open directory FD."""
        found, lost = attributes.xattrs(fd)
        flags = self._xattrs_lost(path, lost)
        names, failed = _names(fd)
        if failed:
            flags |= tree.UNREAD
            self.lose("not_listed", shown(path), failed)
        visit = Visit(ENTER, path, attributes.entry(name, of(status), xattrs=found, flags=flags))
        self._levels.append(_Level(fd, status, visit, names))
        if len(self._levels) > MAX_OPEN:
            above = self._levels[-1 - MAX_OPEN]
            os.close(above.fd)
            above.fd = -1
        return visit

    def _leave(self, level: _Level) -> None:
        """Pop LEVEL; find the directory above again where it was closed."""
        self._levels.pop()
        above = self._levels[-1] if self._levels else None
        try:
            if above is not None and above.fd < 0:
                above.fd = self._find_again(level.fd, above)
        finally:
            if level.fd >= 0:
                os.close(level.fd)

    def _find_again(self, below: int, level: _Level) -> int:
        """A descriptor of LEVEL by "..": -1, its names given up, where the directory was moved meanwhile."""
        reason = "the directory was moved while it was read"
        try:
            fd = os.open(b"..", DIRECTORY_FLAGS, dir_fd=below)
            status = os.fstat(fd)
            if (status.st_dev, status.st_ino) == (level.device, level.inode):
                return fd
            os.close(fd)
        except OSError as error:
            reason = why(error)
        if level.names:
            self.lose("not_listed", shown(level.visit.path), f"{len(level.names)} names were not read: {reason}")
            level.names.clear()
        return -1

    def _node(self, dir_fd: int, path: bytes, batch: Batch, number: int) -> Optional[Visit]:
        """The visit of anything but a directory; None when it vanished."""
        name, status = batch.names[number], batch.seen[number]
        if status.st_nlink > 1:
            # What became of its other names meanwhile shows in its times, and is no change of the file: looked at anew.
            (status,) = batch.seen[number : number + 1] = kernel.load().files.scan(dir_fd, [name])
            if status.error:
                self._lost_name(path, OSError(status.error, os.strerror(status.error)))
                return None
            first = self._links.setdefault((status.st_dev, status.st_ino), path)
            if first is not path:
                return Visit(NODE, path, attributes.entry(name, status, target=first, hardlink=True))
        target, flags = b"", 0
        found: attributes.Xattrs = ()
        if status.xattrs and -status.xattrs not in attributes.NO_XATTRS:
            found, lost = attributes.xattrs(attributes.by_name(dir_fd, name))
            flags = self._xattrs_lost(path, lost)
        kind = stat.S_IFMT(status.st_mode)
        if kind == stat.S_IFLNK:
            try:
                target = os.readlink(name, dir_fd=dir_fd)
            except OSError as error:
                self._forget(state_of(status))
                self._lost_name(path, error)
                return None
        entry = attributes.entry(name, status, target=target, xattrs=found, flags=flags)
        if kind != stat.S_IFREG:
            return Visit(NODE, path, entry)
        opened = Opened(self._shelf, dir_fd, batch, number, self._forget)
        return Visit(NODE, path, entry, attributes.fingerprint(status, time.time_ns()), opened)

    def _forget(self, state: State) -> None:
        """The first name of a file is gone: the next one carries its content."""
        self._links.pop(state[:2], None)

    def _xattrs_lost(self, path: bytes, reason: str) -> int:
        if not reason:
            return 0
        self.lose("xattrs", shown(path), reason)
        return tree.XATTRS_LOST

    def _close(self) -> None:
        """Close whatever is open, also where a reader stopped half way."""
        self._shelf.close()
        for level in self._levels:
            if level.fd >= 0:
                os.close(level.fd)
        self._levels.clear()


def check_tree_path(spec: str, path: str) -> None:
    """Raise Usage unless PATH is a directory or a regular file."""
    try:
        status = os.stat(path)
    except OSError as error:
        raise Usage(f"{spec}: {why(error)}", reason="SOURCE_NOT_FOUND", hint="asl-intake survey shows what is there") from error
    if stat.S_ISBLK(status.st_mode):
        raise Usage(f"{spec} is a block device", reason="SOURCE_KIND", hint=f"fs:{path} reads its files, device:{path} reads all of it")
    if not (stat.S_ISDIR(status.st_mode) or stat.S_ISREG(status.st_mode)):
        raise Usage(f"{spec} is neither a directory nor a file", reason="SOURCE_KIND", hint=f"stream:{path} reads what comes out of it")
    kind = mounts.kind_of_device(status.st_dev)
    if kind in mounts.PSEUDO:
        raise Usage(f"{spec} lies on {kind}, which shows the running kernel and holds no data", reason="SOURCE_KIND")


_name_of: Callable[[os.DirEntry[str]], str] = attrgetter("name")


def _names(fd: int) -> tuple[list[bytes], str]:
    """(names in the directory FD in reverse byte order, why the list is not complete or "")."""
    texts: list[str] = []
    failed = ""
    try:
        with os.scandir(fd) as found:
            texts.extend(map(_name_of, found))
    except OSError as error:
        failed = why(error)
    names = os.fsencode("\0".join(texts)).split(b"\0") if texts else []
    names.sort(reverse=True)
    return names, failed


def _identities(paths: Sequence[str]) -> Iterator[tuple[int, int]]:
    for path in paths:
        try:
            status = os.stat(path)
        except OSError:
            continue
        yield status.st_dev, status.st_ino


def _forget_nothing(_state: State) -> None:
    """A single file has no other names in the tree."""
