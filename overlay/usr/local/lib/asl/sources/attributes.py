# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a directory entry says of a file: stat(2) and xattr(7) made into an entry of a tree."""

from __future__ import annotations

import errno
import os
import stat
import struct
from typing import Optional, Union

from asl.formats import tree
from asl.formats.tree import Entry
from asl.kernel import Status
from asl.kernel.files import SECOND
from asl.sources.base import why

FINGERPRINT = struct.Struct("<5Q")
# A file written twice within the granularity of its times looks unchanged (2 s is FAT's, the coarsest).
SETTLED_NS = 2_000_000_000
_MASK = 2**64 - 1
_FORMAT = 0o170000  # S_IFMT: the bits of the mode that say what it is
_TYPES = {
    stat.S_IFREG: tree.FILE, stat.S_IFDIR: tree.DIRECTORY, stat.S_IFLNK: tree.SYMLINK, stat.S_IFCHR: tree.CHARACTER,
    stat.S_IFBLK: tree.BLOCK, stat.S_IFIFO: tree.FIFO, stat.S_IFSOCK: tree.SOCKET,
}  # fmt: skip
# What says that there are none.
NO_XATTRS = (errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)

# The attributes that both have are all that is looked at.
Stat = Union[os.stat_result, Status]
Xattrs = tuple[tuple[bytes, bytes], ...]


def fingerprint(status: Status, now_ns: int) -> Optional[bytes]:
    """Device, inode, size, mtime and ctime of a file that has been left alone for SETTLED_NS; None for one that has not."""
    mtime, ctime = status.mtime_s * SECOND + status.mtime_ns, status.ctime_s * SECOND + status.ctime_ns
    if mtime > now_ns - SETTLED_NS or ctime > now_ns - SETTLED_NS:
        return None
    return FINGERPRINT.pack(status.st_dev & _MASK, status.st_ino & _MASK, status.st_size, mtime & _MASK, ctime & _MASK)


def type_of(status: Stat) -> int:
    """The type of formats.tree for a file type of stat(2)."""
    return _TYPES[stat.S_IFMT(status.st_mode)]


def entry(name: bytes, status: Status, *, target: bytes = b"", xattrs: Xattrs = (), flags: int = 0, hardlink: bool = False) -> Entry:
    """The entry called NAME, without content. A hard link keeps the attributes of its file, so that a listing can show them."""
    mode = status.st_mode
    kind = tree.HARDLINK if hardlink else _TYPES[mode & _FORMAT]
    device = (os.major(status.st_rdev), os.minor(status.st_rdev)) if kind in (tree.CHARACTER, tree.BLOCK) else (0, 0)
    size = status.st_size if kind == tree.FILE else 0
    times = status.mtime_s, status.mtime_ns
    return Entry(name, kind, mode & 0o7777, status.st_uid, status.st_gid, *times, size, device, target, xattrs, flags)


def by_name(dir_fd: int, name: bytes) -> bytes:
    """A path for calls that know no directory descriptors (listxattr(2)): safe against renames of what lies above."""
    return b"/proc/self/fd/%d/%s" % (dir_fd, name)


def xattrs(path: Union[bytes, int]) -> tuple[Xattrs, str]:
    """(all extended attributes of PATH, or of a descriptor, in order of their names, why some are missing or ""). Links are not
    followed."""
    follow = isinstance(path, int)  # a descriptor is no link, and must not be asked not to be followed
    try:
        names = os.listxattr(path, follow_symlinks=follow)
    except OSError as error:
        return (), "" if error.errno in NO_XATTRS else why(error)
    if not names:
        return (), ""
    found, lost = [], ""
    for name in sorted(os.fsencode(text) for text in names):
        try:
            found.append((name, os.getxattr(path, name, follow_symlinks=follow)))
        except OSError as error:
            if error.errno != errno.ENODATA:
                lost = f"{os.fsdecode(name)}: {why(error)}"
    return tuple(found), lost
