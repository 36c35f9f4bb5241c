# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The root an overlay is laid on: / of a live system, or a folder that stands for it."""

from __future__ import annotations

import grp
import hashlib
import os
import pwd
import stat
from pathlib import Path
from typing import NamedTuple, Optional


class Root:
    """A root. Paths of the contract are absolute; ``at`` says where they really are."""

    def __init__(self, top: str = "/") -> None:
        self.top = top.rstrip("/") or "/"
        # Only root can give files away; an unprivileged build of an image leaves owners to the image tool.
        self.sets_owners = os.geteuid() == 0

    @property
    def is_system(self) -> bool:
        """True when this is the root of the running system."""
        return self.top == "/"

    def at(self, path: str) -> str:
        """Where PATH of the contract is on this disk."""
        return path if self.is_system else self.top + path


class Seen(NamedTuple):
    """What stands at a path. ``type`` is file, directory, link or other; a followed link counts as what it leads to."""

    type: str
    mode: int
    owner: str
    group: str


def look(path: str, *, follow: bool = False) -> Optional[Seen]:
    """What stands at PATH, or None. Raises OSError when that cannot be found out."""
    try:
        found = Path(path).stat() if follow else Path(path).lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return Seen(_type(found.st_mode), stat.S_IMODE(found.st_mode), _user(found.st_uid), _group(found.st_gid))


def digest(path: str) -> str:
    """SHA-256 of a file's bytes, as hex."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def _type(mode: int) -> str:
    if stat.S_ISREG(mode):
        return "file"
    if stat.S_ISDIR(mode):
        return "directory"
    return "link" if stat.S_ISLNK(mode) else "other"


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
