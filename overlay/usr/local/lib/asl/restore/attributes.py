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

from asl.formats import tree
from asl.formats.tree import Entry
from asl.sources.base import why

Lose = Callable[[str, str], None]
_SET_ID = stat.S_ISUID | stat.S_ISGID
# What a new file may have got from its directory and the snapshot does not know. Labels of security modules are left alone.
_REMOVABLE = (b"user.", b"trusted.", b"system.posix_acl_", b"security.capability")
_ABSENT = (errno.ENODATA, errno.ENOTSUP, errno.EOPNOTSUPP)


def settle(fd: int, entry: Entry, lose: Lose) -> None:
    """Give the file that FD is open on (O_PATH is enough) the attributes of ENTRY. LOSE(what, why) for each that cannot be set."""
    path = f"/proc/self/fd/{fd}"
    status = os.fstat(fd)
    mode = entry.mode
    if not _owner(lambda: os.chown(path, entry.uid, entry.gid), status, entry, lose):
        # A setuid program of somebody else would become one of ours.
        mode &= ~_SET_ID
    _xattrs(os.fsencode(path), entry, lose, follow=True)
    if stat.S_IMODE(os.fstat(fd).st_mode) != mode:
        try:
            os.chmod(path, mode)
        except OSError as error:
            lose("mode", why(error))
    _times(lambda ns: os.utime(path, ns=ns), entry, lose)


def settle_link(dir_fd: int, entry: Entry, lose: Lose) -> None:
    """As settle(), for a symbolic link; it has no mode of its own."""
    name = entry.name
    status = os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
    _owner(lambda: os.chown(name, entry.uid, entry.gid, dir_fd=dir_fd, follow_symlinks=False), status, entry, lose)
    _xattrs(b"/proc/self/fd/%d/%s" % (dir_fd, name), entry, lose, follow=False)
    _times(lambda ns: os.utime(name, ns=ns, dir_fd=dir_fd, follow_symlinks=False), entry, lose)


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
    wanted = dict(entry.xattrs)
    try:
        present = [os.fsencode(name) for name in os.listxattr(path, follow_symlinks=follow)]
    except OSError:
        present = []
    for name in present:
        if name not in wanted and name.startswith(_REMOVABLE):
            try:
                os.removexattr(path, name, follow_symlinks=follow)
            except OSError as error:
                if error.errno not in _ABSENT:
                    lose("xattrs", f"{os.fsdecode(name)}: {why(error)}")
    for name, value in entry.xattrs:
        try:
            os.setxattr(path, name, value, follow_symlinks=follow)
        except (OSError, ValueError) as error:
            lose("xattrs", f"{os.fsdecode(name)}: {why(error) if isinstance(error, OSError) else error}")
    if entry.flags & tree.XATTRS_LOST:
        lose("xattrs", "some could not be read when the snapshot was made")


def _times(change: Callable[[tuple[int, int]], None], entry: Entry, lose: Lose) -> None:
    try:
        change((mtime(entry), mtime(entry)))
    except (OSError, OverflowError) as error:
        lose("times", why(error) if isinstance(error, OSError) else str(error))
