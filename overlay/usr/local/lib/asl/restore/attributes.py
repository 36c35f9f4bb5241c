# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Putting attributes back, in the only order that works: owner, xattrs, mode, times.

chown(2) takes setuid bits and capabilities away; an ACL changes the mode's group bits; everything changes the times.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple, Optional

from asl.formats import tree
from asl.formats.tree import Entry
from asl.sources.base import why

Lose = Callable[[str, str], None]
_SET_ID = stat.S_ISUID | stat.S_ISGID
# What a new file may have got from its directory and the snapshot does not know. Labels of security modules are left alone.
_REMOVABLE = (b"user.", b"trusted.", b"system.posix_acl_", b"security.capability")
_ABSENT = (errno.ENODATA, errno.ENOTSUP, errno.EOPNOTSUPP)
# What setxattr(2) says where it would never set such an attribute: who asks, the file system, or its size stands against it.
_NEVER = (errno.EPERM, errno.EACCES, errno.ENOTSUP, errno.EOPNOTSUPP, errno.E2BIG, errno.ERANGE)


def own(fd: int, entry: Entry, lose: Lose) -> bool:
    """Give the file that FD is open on the owner of ENTRY, before anything is in it: content is never to be had by another one than its
    own. False, listed as a loss, where that cannot be."""
    return _owner(lambda: os.chown(f"/proc/self/fd/{fd}", entry.uid, entry.gid), os.fstat(fd), entry, lose)


def settle(fd: int, entry: Entry, lose: Lose, *, owned: Optional[bool] = None) -> None:
    """Give the file that FD is open on (O_PATH is enough) the attributes of ENTRY: those that it does not have. LOSE(what, why) for each
    that cannot be set. OWNED: what own() said, where it was asked before."""
    path = f"/proc/self/fd/{fd}"
    status = os.fstat(fd)
    mode = entry.mode
    if not (own(fd, entry, lose) if owned is None else owned):
        # A setuid program of somebody else would become one of ours.
        mode &= ~_SET_ID
    _xattrs(os.fsencode(path), entry, lose, follow=True)
    if stat.S_IMODE(os.fstat(fd).st_mode) != mode:
        try:
            os.chmod(path, mode)
        except OSError as error:
            lose("mode", why(error))
    _times(lambda ns: os.utime(path, ns=ns), status, entry, lose)


def settle_link(dir_fd: int, entry: Entry, lose: Lose) -> None:
    """As settle(), for a symbolic link; it has no mode of its own."""
    name = entry.name
    status = os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
    _owner(lambda: os.chown(name, entry.uid, entry.gid, dir_fd=dir_fd, follow_symlinks=False), status, entry, lose)
    _xattrs(b"/proc/self/fd/%d/%s" % (dir_fd, name), entry, lose, follow=False)
    _times(lambda ns: os.utime(name, ns=ns, dir_fd=dir_fd, follow_symlinks=False), status, entry, lose)


class State(NamedTuple):
    """The attributes that a snapshot knows of: owner, mode, time of the last change in nanoseconds, extended attributes."""

    owner: tuple[int, int]
    mode: int
    mtime: int
    xattrs: dict[bytes, bytes]


def state(path: bytes, *, follow: bool = True) -> State:
    """The attributes of what is at PATH. Raises OSError."""
    status = os.stat(path, follow_symlinks=follow)
    found = _present(path, follow=follow)
    return State((status.st_uid, status.st_gid), stat.S_IMODE(status.st_mode), status.st_mtime_ns, found)


def differ(path: bytes, entry: Entry, *, follow: bool = True) -> bool:
    """True where settle(), or settle_link(), would change something at PATH: what we may not set, it would leave. Raises OSError."""
    now = state(path, follow=follow)
    mine = now.owner == (entry.uid, entry.gid) or _may_give(now.owner, entry)
    mode = now.mode if entry.type == tree.SYMLINK else entry.mode if mine else entry.mode & ~_SET_ID
    if (mine and now.owner != (entry.uid, entry.gid)) or (now.mode, now.mtime) != (mode, mtime(entry)):
        return True
    wanted = dict(entry.xattrs)
    unlike = {name: value for name, value in wanted.items() if now.xattrs.get(name) != value}
    unlike.update((name, value) for name, value in now.xattrs.items() if name not in wanted and name.startswith(_REMOVABLE))
    return any(_may_set(path, name, value, follow=follow) for name, value in unlike.items())


def _may_give(owner: tuple[int, int], entry: Entry) -> bool:
    """Whether chown(2) would do it: root may all, others may hand what is theirs to a group of theirs."""
    if os.geteuid() == 0:
        return True
    return owner[0] == entry.uid == os.geteuid() and entry.gid in {os.getegid(), *os.getgroups()}


def _listed(path: bytes, *, follow: bool) -> list[bytes]:
    try:
        return [os.fsencode(name) for name in os.listxattr(path, follow_symlinks=follow)]
    except OSError:
        return []


def _present(path: bytes, *, follow: bool) -> dict[bytes, bytes]:
    found = {}
    for name in _listed(path, follow=follow):
        with suppress(OSError):
            found[name] = os.getxattr(path, name, follow_symlinks=follow)
    return found


def _may_set(path: bytes, name: bytes, value: bytes, *, follow: bool) -> bool:
    """Whether an attribute of this NAME can be changed at PATH, told without a change: none is new and there already, so that
    setxattr(2) always fails, and says by its error whether that alone stood against it.

    ACLs are set whatever the flags say: of them it is only asked whether the file system has any."""
    try:
        if name.startswith(b"system."):
            os.getxattr(path, name, follow_symlinks=follow)
        else:
            os.setxattr(path, name, value, os.XATTR_CREATE | os.XATTR_REPLACE, follow_symlinks=follow)
    except OSError as error:
        return error.errno not in _NEVER
    except ValueError:
        return False
    return True


def mtime(entry: Entry) -> int:
    """The time of ENTRY in nanoseconds since 1970."""
    return entry.mtime_s * 1_000_000_000 + entry.mtime_ns


def _owner(change: Callable[[], None], status: os.stat_result, entry: Entry, lose: Lose) -> bool:
    if (status.st_uid, status.st_gid) == (entry.uid, entry.gid):
        return True
    try:
        change()
    except OSError as error:
        lose("owner", f"{entry.uid}:{entry.gid}: {why(error)}")
        return False
    return True


def _xattrs(path: bytes, entry: Entry, lose: Lose, *, follow: bool) -> None:
    wanted, present = dict(entry.xattrs), _present(path, follow=follow)
    for name in present:
        if name not in wanted and name.startswith(_REMOVABLE):
            try:
                os.removexattr(path, name, follow_symlinks=follow)
            except OSError as error:
                if error.errno not in _ABSENT:
                    lose("xattrs", f"{os.fsdecode(name)}: {why(error)}")
    for name, value in wanted.items():
        if present.get(name) == value:
            continue
        try:
            os.setxattr(path, name, value, follow_symlinks=follow)
        except (OSError, ValueError) as error:
            lose("xattrs", f"{os.fsdecode(name)}: {why(error) if isinstance(error, OSError) else error}")
    if entry.flags & tree.XATTRS_LOST:
        lose("xattrs", "some could not be read when the snapshot was made")


def _times(change: Callable[[tuple[int, int]], None], status: os.stat_result, entry: Entry, lose: Lose) -> None:
    if status.st_mtime_ns == mtime(entry):
        return
    try:
        change((mtime(entry), mtime(entry)))
    except (OSError, OverflowError) as error:
        lose("times", why(error) if isinstance(error, OSError) else str(error))
