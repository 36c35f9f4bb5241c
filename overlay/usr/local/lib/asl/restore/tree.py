# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writing a tree, or a part of one, below a directory.

The part keeps its path: `home/ada` of a source goes to DESTINATION/home/ada. A directory is made for ourselves alone (0700),
filled, and gets its own attributes when all in it is made, so that nothing in it can be touched meanwhile and its times stand.
"""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Optional

from asl.errors import Refused, Unavailable, Usage
from asl.formats import tree
from asl.formats.tree import Entry
from asl.restore import attributes, batches, places, ranges
from asl.restore.line import Line
from asl.restore.nodes import Nodes
from asl.restore.readback import read_back
from asl.restore.result import ATTRIBUTES, MAKE, RestoreResult, fatal
from asl.restore.threads import workers
from asl.sources.base import shown, why
from asl.store import contents
from asl.store.contents import Payloads

# Descriptors kept open on the way down; those above are found again by "..".
MAX_OPEN = 128
# Directories that were left and wait for what is in them; each is a descriptor too.
MAX_LEFT = 128


class _Level:
    """A directory that is being filled. Its attributes are set at the end, unless it was there and is only passed through."""

    __slots__ = ("before", "device", "entries", "entry", "fd", "inode", "last", "path", "settle")

    def __init__(self, fd: int, entry: Entry, path: bytes, entries: Iterator[Entry], settle: bool) -> None:
        self.before: Optional[attributes.State] = None
        status = os.fstat(fd)
        self.fd, self.device, self.inode = fd, status.st_dev, status.st_ino
        self.entry, self.path, self.entries, self.settle = entry, path, entries, settle
        self.last = b""


class _Restore:
    def __init__(self, store: Payloads, nodes: Nodes, result: RestoreResult, line: Line) -> None:
        self._store, self._nodes, self._result, self._line = store, nodes, result, line
        self._levels: list[_Level] = []
        self._left: list[_Level] = []

    def enter(
        self, fd: int, entry: Entry, path: bytes, entries: Optional[Iterator[Entry]] = None, *, settle: bool = True, made: bool = False
    ) -> None:
        """Begin with the open directory FD: what is in ENTRY, or just ENTRIES. MADE: it was not there before."""
        level = _Level(fd, entry, path, self._listed(entry, path) if entries is None else entries, settle)
        level.before = None if made else attributes.state(b"/proc/self/fd/%d" % fd)
        self._levels.append(level)
        if len(self._levels) > MAX_OPEN:
            above = self._levels[-1 - MAX_OPEN]
            self._line.drain()
            os.close(above.fd)
            above.fd = -1

    def enter_part(self, root: bytes, base: int, target: list[bytes], last: Entry) -> None:
        """Enter the directories above TARGET, the last of which gets LAST. Those that are not there yet are made as in the snapshot."""
        above, path, settle, made = os.dup(base), b"", False, False
        entry = contents.resolve(self._store, root, b"")
        for below, name in places.steps(target):
            self.enter(above, entry, path, iter(()), settle=settle, made=made)
            path = below
            settle = not _present(above, name)
            entry = contents.resolve(self._store, root, path)
            above, how = self._nodes.directory(above, name, path)
            if above < 0:
                raise Usage(f"{shown(path)} in {self._nodes.destination} is no directory", reason="DESTINATION_KIND")
            if how:
                self._result.changes.add(shown(path), how)
            made = bool(how)
        self.enter(above, entry, path, iter((last,)), settle=settle, made=made)

    def run(self) -> None:
        """Fill every directory that was entered. Raises what concerns the destination as a whole."""
        try:
            while self._levels:
                level = self._levels[-1]
                entry = next(level.entries, None)
                if entry is None:
                    self._leave(level)
                    continue
                path = b"%s/%s" % (level.path, entry.name) if level.path else entry.name
                if entry.type == tree.DIRECTORY:
                    if entry.name == level.last:  # no tree of ours: what has the name is made first
                        self._line.drain()
                    self._one(level.fd, entry, path)
                elif batches.is_usual(entry) and self._nodes.is_free(level.fd, entry.name):
                    self._line.file(level.fd, entry, partial(self._file, level.fd, entry, path))
                else:
                    self._line.then(partial(self._one, level.fd, entry, path))
                level.last = entry.name
            self._line.drain()
        finally:
            self._line.stop()
            for level in (*self._levels, *self._left):
                if level.fd >= 0:
                    os.close(level.fd)

    def _file(self, dir_fd: int, entry: Entry, path: bytes, made: bool) -> None:
        if made:
            self._nodes.was_made(entry, path)
        else:
            self._one(dir_fd, entry, path)

    def _one(self, dir_fd: int, entry: Entry, path: bytes) -> None:
        try:
            tree.check_name(entry.name)
            if entry.type == tree.DIRECTORY:
                fd, how = self._nodes.directory(dir_fd, entry.name, path)
                if fd >= 0:
                    if how:
                        self._line.then(partial(self._result.changes.add, shown(path), how))
                    self.enter(fd, entry, path, made=bool(how))
            else:
                self._nodes.node(dir_fd, entry, path)
        except ranges.DAMAGE as error:
            self._result.lose("damaged", shown(path), str(error))
        except OSError as error:
            ending = fatal(error, self._result.destination)
            if ending is not None:
                raise ending from error
            self._result.lose("not_restored", shown(path), why(error))

    def _listed(self, entry: Entry, path: bytes) -> Iterator[Entry]:
        def lost(count: Optional[int], reason: str) -> None:
            many = "entries" if count is None else f"{count} entries"
            self._result.lose("damaged", shown(path), f"{many} of this directory are lost: {reason}")

        if entry.flags & tree.UNREAD:
            self._result.lose("unread", shown(path), "the directory could not be read when the snapshot was made")
        if entry.content != tree.TREE:
            return iter(())
        return ranges.directory(self._store, entry.digest, lost)

    def _leave(self, level: _Level) -> None:
        self._levels.pop()
        above = self._levels[-1] if self._levels else None
        try:
            if above is not None and above.fd < 0:
                above.fd = _find_again(level.fd, above)
        finally:
            self._left.append(level)
        self._line.then(partial(self._complete, level))
        while len(self._left) > MAX_LEFT:
            self._line.next()

    def _complete(self, level: _Level) -> None:
        """Everything in a directory is made: it gets its attributes."""
        self._left.remove(level)
        try:
            if level.settle:
                self._nodes.settle(level.fd, level.entry, level.path)
                if level.before is not None and attributes.state(b"/proc/self/fd/%d" % level.fd) != level.before:
                    self._result.changes.add(shown(level.path), ATTRIBUTES)
        finally:
            os.close(level.fd)


def _find_again(below: int, level: _Level) -> int:
    """A descriptor of the directory above, which was closed on the way down. Raises Refused when it is not there any more."""
    with suppress(OSError):
        fd = os.open(b"..", places.DIRECTORY, dir_fd=below)
        status = os.fstat(fd)
        if (status.st_dev, status.st_ino) == (level.device, level.inode):
            return fd
        os.close(fd)
    raise Refused(f"{shown(level.path)} was moved away while it was being restored", reason="DESTINATION_CHANGED")


def restore_tree(
    store: Payloads, root: bytes, path: bytes, destination: str, *, overwrite: bool = False, name: bytes = b"content", verify: bool = False,
    progress: Optional[Callable[[RestoreResult], None]] = None,
) -> RestoreResult:  # fmt: skip
    """Restore what is at PATH (b"" = all) of the source whose root tree is ROOT below the directory DESTINATION.

    NAME is what the file is called when the source is a single file. With OVERWRITE what is there is replaced where it differs,
    nothing is removed beside it, and a restore that was stopped goes on; without it, only where all of it is there already. Raises
    Refused when something is in the way, before anything is changed, NotFound when there is no such PATH, Unavailable when the
    destination cannot be written; all else is listed in the result. VERIFY: read everything again from the disk behind the last write;
    what is not as it should be is a loss."""
    wanted, target = places.target_of(store, root, path, name)
    result = RestoreResult(destination, progress=progress)
    made = not os.path.isdir(destination)
    base = places.open_destination(destination)
    try:
        refused = None if overwrite else places.occupied(base, target, destination)
        if made:
            result.changes.add(".", MAKE)
        with ThreadPoolExecutor(workers(), "asl-restore") as pool:
            nodes = Nodes(store, root, base, places.part_of(path), result, overwrite=overwrite, refused=refused, pool=pool)
            work = _Restore(store, nodes, result, Line(store, pool))
            if not target:
                work.enter(os.dup(base), wanted, b"", made=made)
            else:
                work.enter_part(root, base, target, wanted._replace(name=target[-1]))
            work.run()
        _sync(base, destination)
        if verify:
            read_back(store, root, base, wanted, result, part=places.part_of(path), target=target)
    finally:
        os.close(base)
    return result


def _present(dir_fd: int, name: bytes) -> bool:
    try:
        os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _sync(fd: int, destination: str) -> None:
    """syncfs(2): what was restored is on the disk when we say so. Where it is missing, sync(2) does more than is needed. Raises Unavailable
    when the disk did not take it."""
    with suppress(AttributeError):
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.syncfs(fd) == 0:
            return
        number = ctypes.get_errno()
        if number != errno.ENOSYS:
            error = OSError(number, os.strerror(number))
            raise fatal(error, destination) or Unavailable(f"{destination} cannot be written: {why(error)}", reason="WRITE_FAILED")
    os.sync()
