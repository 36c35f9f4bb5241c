# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Making one name: directory, file, link, device, fifo, socket."""

from __future__ import annotations

import errno
import os
import stat
from concurrent.futures import Executor
from typing import Optional

from asl.errors import Refused
from asl.formats import tree
from asl.formats.tree import Entry
from asl.restore import attributes, places, ranges
from asl.restore.content import BATCH, Lose, is_held, pour
from asl.restore.result import ATTRIBUTES, MAKE, REPLACE, RestoreResult
from asl.restore.sinks import NewFile
from asl.sources.base import shown, why
from asl.sources.reader import drop_cache
from asl.store import contents
from asl.store.contents import Payloads

_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_FORMATS = {tree.CHARACTER: stat.S_IFCHR, tree.BLOCK: stat.S_IFBLK, tree.FIFO: stat.S_IFIFO, tree.SOCKET: stat.S_IFSOCK}


class Nodes:
    """Makes names below the destination BASE. PART is the path that is being restored, b"" for the whole source.

    REFUSED: nobody consented to a change of what is there. All is looked at as with OVERWRITE, and instead of the first change it is
    raised."""

    def __init__(
        self, store: Payloads, root: bytes, base: int, part: bytes, result: RestoreResult,
        *, overwrite: bool, refused: Optional[Refused], pool: Executor,
    ) -> None:  # fmt: skip
        self._pool = pool
        self._store, self._root, self._base, self._part = store, root, base, part
        self._result, self._overwrite, self._refused = result, overwrite or refused is not None, refused
        # First names outside the part: their files are made at their first link, and linked from there on.
        self._copies: dict[bytes, bytes] = {}

    @property
    def destination(self) -> str:
        """Where the restore goes, for messages."""
        return self._result.destination

    def loser(self, path: bytes) -> attributes.Lose:
        """A function that lists a loss at PATH."""
        return lambda what, reason: self._result.lose(what, shown(path), reason)

    def directory(self, dir_fd: int, name: bytes, path: bytes) -> tuple[int, str]:
        """(A descriptor of the directory NAME; how it came to be, empty where it was there, for the caller to list); -1, listed as a loss,
        when something is in the way."""
        how = MAKE
        try:
            if self._refused is not None and not is_directory(dir_fd, name):
                self._ask(dir_fd, name)
            os.mkdir(name, 0o700, dir_fd=dir_fd)
        except FileExistsError:
            status = os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
            if not stat.S_ISDIR(status.st_mode):
                if not self._make_room(dir_fd, name, path):
                    return -1, ""
                os.mkdir(name, 0o700, dir_fd=dir_fd)
                how = REPLACE
            else:
                how = ""
        return os.open(name, places.DIRECTORY, dir_fd=dir_fd), how

    def is_free(self, dir_fd: int, name: bytes) -> bool:
        """False where something may have the NAME that has to be looked at before the file is made."""
        if not self._overwrite:
            return True  # whatever has it is left alone
        try:
            os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
        except FileNotFoundError:
            return self._refused is None
        except OSError:
            return False
        return False

    def settle(self, fd: int, entry: Entry, path: bytes) -> None:
        """Give the directory that FD is open on, and that was there, its attributes. Raises the refusal."""
        self._ask_attributes(b"/proc/self/fd/%d" % fd, entry, follow=True)
        attributes.settle(fd, entry, self.loser(path))

    def _ask(self, dir_fd: int, name: bytes) -> None:
        """Raise the refusal, if there is one, where NAME would be made or replaced."""
        if self._refused is not None and places.room(dir_fd, name):
            raise self._refused

    def _ask_attributes(self, place: bytes, entry: Entry, *, follow: bool) -> None:
        if self._refused is not None and attributes.differ(place, entry, follow=follow):
            raise self._refused

    def node(self, dir_fd: int, entry: Entry, path: bytes) -> None:
        """Make anything but a directory. Raises OSError, Damaged, NotFound."""
        if entry.type == tree.FILE:
            self._file(dir_fd, entry, path)
        elif entry.type == tree.HARDLINK:
            self._hardlink(dir_fd, entry, path)
        elif self._overwrite and same_kind(dir_fd, entry):
            self._result.skipped += 1
            self._made(path, self._settle_again(dir_fd, entry, path))
        elif forbidden(entry):
            self._result.lose("device", shown(path), f"{tree.TYPE_NAMES[entry.type]}: only root makes devices")
        else:
            how = self._make_room(dir_fd, entry.name, path)
            if not how:
                return
            if entry.type == tree.SYMLINK:
                os.symlink(entry.target, entry.name, dir_fd=dir_fd)
                attributes.settle_link(dir_fd, entry, self.loser(path))
            elif not self._special(dir_fd, entry, path):
                return
            self._made(path, how)

    def was_made(self, entry: Entry, path: bytes) -> None:
        """The file ENTRY, whose name was free, was made elsewhere, as it has to be."""
        self._result.bytes += entry.size
        self._made(path, MAKE)

    def _made(self, path: bytes, how: str) -> None:
        """Count a name; HOW it changed, empty where it was right already."""
        self._result.files += 1
        if how:
            self._result.changes.add(shown(path), how)
        self._result.step()

    def _settle_again(self, dir_fd: int, entry: Entry, path: bytes) -> str:
        """Set the attributes of what is there; how that changed it."""
        place = b"/proc/self/fd/%d/%s" % (dir_fd, entry.name)
        self._ask_attributes(place, entry, follow=False)
        before = attributes.state(place, follow=False)
        if entry.type == tree.SYMLINK:
            attributes.settle_link(dir_fd, entry, self.loser(path))
        else:
            fd = os.open(entry.name, places.NODE, dir_fd=dir_fd)
            try:
                attributes.settle(fd, entry, self.loser(path))
            finally:
                os.close(fd)
        return "" if attributes.state(place, follow=False) == before else ATTRIBUTES

    def _make_room(self, dir_fd: int, name: bytes, path: bytes) -> str:
        """How NAME comes to be: it is free, or replaces what was there. With overwrite, whatever is there goes, unless it is a directory
        with something in it: then it is empty."""
        self._ask(dir_fd, name)
        try:
            status = os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
        except FileNotFoundError:
            return MAKE
        if self._overwrite:
            try:
                if stat.S_ISDIR(status.st_mode):
                    os.rmdir(name, dir_fd=dir_fd)
                else:
                    os.unlink(name, dir_fd=dir_fd)
                return REPLACE
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EBUSY):
                    raise
        self._result.lose("exists", shown(path), "something else is there already, and it was left alone")
        return ""

    def _file(self, dir_fd: int, entry: Entry, path: bytes) -> None:
        known: list[tuple[str, int, int, str]] = []
        if self._overwrite and right_already(dir_fd, entry, self._store, lambda *loss: known.append(loss)):
            self._result.skipped += 1
            for loss in known:
                self._content_loser(path)(*loss)
            self._made(path, self._settle_again(dir_fd, entry, path))
            return
        how = self._make_room(dir_fd, entry.name, path)
        if not how:
            return
        fd = os.open(entry.name, _NEW, 0o600, dir_fd=dir_fd)
        try:
            owned = attributes.own(fd, entry, self.loser(path))
            self._fill(fd, entry, path)
            attributes.settle(fd, entry, self.loser(path), owned=owned)
        finally:
            os.close(fd)
        self._made(path, how)

    def _content_loser(self, path: bytes) -> Lose:
        def lose(what: str, at: int, length: int, reason: str) -> None:
            self._result.lose(what, f"{shown(path)}: {length} bytes at {at}", reason)

        return lose

    def _fill(self, fd: int, entry: Entry, path: bytes) -> None:
        def step(length: int) -> None:
            self._result.bytes += length
            self._result.step()

        pool = self._pool if entry.size > BATCH else None
        pour(self._store, ranges.file_ranges(self._store, entry), NewFile(fd), self._content_loser(path), step, pool=pool)

    def _special(self, dir_fd: int, entry: Entry, path: bytes) -> bool:
        """A device, a fifo or a socket; False, listed as a loss, where that is not permitted."""
        try:
            os.mknod(entry.name, _FORMATS[entry.type] | 0o600, os.makedev(*entry.rdev), dir_fd=dir_fd)
        except (PermissionError, OverflowError) as error:
            reason = why(error) if isinstance(error, OSError) else str(error)
            self._result.lose("device", shown(path), f"{tree.TYPE_NAMES[entry.type]}: {reason}")
            return False
        fd = os.open(entry.name, places.NODE, dir_fd=dir_fd)
        try:
            attributes.settle(fd, entry, self.loser(path))
        finally:
            os.close(fd)
        return True

    def _hardlink(self, dir_fd: int, entry: Entry, path: bytes) -> None:
        names = places.parts_of(entry.target)
        first = self._first_name(entry.target)
        if first is not None:
            try:
                how = self._link(dir_fd, entry.name, places.parts_of(first), path)
                if how is not None:
                    self._made(path, how)
                return
            except OSError as error:
                if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO):
                    raise
        original = contents.resolve(self._store, self._root, b"/".join(names))
        if original.type in (tree.DIRECTORY, tree.HARDLINK):
            self._result.lose("hostile", shown(path), f"a hard link to a {tree.TYPE_NAMES[original.type]}")
            return
        before = self._result.files
        self.node(dir_fd, original._replace(name=entry.name), path)
        if self._result.files > before:
            self._copies[entry.target] = path

    def _first_name(self, target: bytes) -> Optional[bytes]:
        """Where the file that TARGET names was made; None when it has not been made in this restore."""
        if target in self._copies:
            return self._copies[target]
        inside = not self._part or target.startswith(self._part + b"/")
        return target if inside else None

    def _link(self, dir_fd: int, name: bytes, first: list[bytes], path: bytes) -> Optional[str]:
        """Link NAME to the file at FIRST below the destination: how that changed it, None when something is in the way. Raises OSError."""
        above = places.descend(self._base, first[:-1])
        try:
            there = os.stat(first[-1], dir_fd=above, follow_symlinks=False)
            if stat.S_ISDIR(there.st_mode):
                raise IsADirectoryError(errno.EISDIR, "a hard link to a directory")
            try:
                here = os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
                if (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino):
                    self._result.skipped += 1
                    return ""
            except FileNotFoundError:
                pass
            how = self._make_room(dir_fd, name, path)
            if not how:
                return None
            os.link(first[-1], name, src_dir_fd=above, dst_dir_fd=dir_fd, follow_symlinks=False)
        finally:
            os.close(above)
        return how


def is_directory(dir_fd: int, name: bytes) -> bool:
    """Whether NAME is there, and a directory. Raises OSError."""
    try:
        return stat.S_ISDIR(os.stat(name, dir_fd=dir_fd, follow_symlinks=False).st_mode)
    except FileNotFoundError:
        return False


def same_kind(dir_fd: int, entry: Entry) -> bool:
    """True when the name is there and is that very link, device, fifo or socket."""
    try:
        status = os.stat(entry.name, dir_fd=dir_fd, follow_symlinks=False)
        if entry.type == tree.SYMLINK:
            return stat.S_ISLNK(status.st_mode) and os.readlink(entry.name, dir_fd=dir_fd) == entry.target
    except OSError:
        return False
    wanted = _FORMATS.get(entry.type)
    return wanted == stat.S_IFMT(status.st_mode) and (entry.type in (tree.FIFO, tree.SOCKET) or status.st_rdev == os.makedev(*entry.rdev))


def forbidden(entry: Entry) -> bool:
    """True for a device that we are not the ones to make: then what is in its place is left alone."""
    return entry.type in (tree.CHARACTER, tree.BLOCK) and os.geteuid() != 0


def right_already(dir_fd: int, entry: Entry, store: Payloads, lose: Lose, *, fresh: bool = False) -> bool:
    """True when the regular file is there with this size, time and content, as far as the store has that. LOSE as in pour(). FRESH: it is
    read from the disk, even where the kernel still has it in memory."""
    try:
        status = os.stat(entry.name, dir_fd=dir_fd, follow_symlinks=False)
        if not stat.S_ISREG(status.st_mode) or (status.st_size, status.st_mtime_ns) != (entry.size, attributes.mtime(entry)):
            return False
        fd = os.open(entry.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=dir_fd)
    except OSError:
        return False
    try:
        if fresh:
            drop_cache(fd, 0, 0)
        return stat.S_ISREG(os.fstat(fd).st_mode) and is_held(store, ranges.file_ranges(store, entry), fd, lose)
    finally:
        os.close(fd)
