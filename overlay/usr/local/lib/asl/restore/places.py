# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reaching directories below the destination without ever following a link, and what a name there would come to."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from typing import Optional

from asl.errors import Refused, Unavailable, Usage
from asl.formats import tree
from asl.formats.tree import Entry
from asl.restore.result import MAKE, REPLACE
from asl.sources.base import why
from asl.store import contents
from asl.store.contents import Payloads

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
NODE = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC


def open_destination(path: str) -> int:
    """The destination, made when it is not there. It is the operator's word: links in PATH itself are followed."""
    try:
        os.makedirs(path, exist_ok=True)
        return os.open(path, DIRECTORY & ~os.O_NOFOLLOW)
    except (FileExistsError, NotADirectoryError) as error:
        raise Usage(f"{path} is no directory", reason="DESTINATION_KIND", hint="choose a directory, or a name that is free") from error
    except OSError as error:
        raise Unavailable(f"{path} cannot be made: {why(error)}", reason="WRITE_FAILED") from error


def target_of(store: Payloads, root: bytes, path: bytes, name: bytes) -> tuple[Entry, list[bytes]]:
    """(what is at PATH of the source with the tree ROOT; where it goes below the destination, name by name, nothing for the source as a
    whole). A source that is a single file is called NAME. Raises NotFound, Damaged."""
    part = part_of(path)
    wanted = contents.resolve(store, root, part)
    if not part and wanted.type != tree.DIRECTORY:
        return wanted, [tree.check_name(name)]
    return wanted, part.split(b"/") if part else []


def part_of(path: bytes) -> bytes:
    """PATH as it stands in a tree: without slashes at its ends, and b"" for all of it."""
    return b"/".join(part for part in path.split(b"/") if part not in (b"", b"."))


def parts_of(path: bytes) -> list[bytes]:
    """The names in PATH, relative to the root of a source. Raises Damaged for one that leads elsewhere."""
    return [tree.check_name(name) for name in path.split(b"/")]


def steps(names: Sequence[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """(path, name) of each directory on the way down to the last of NAMES."""
    for depth, name in enumerate(names[:-1], 1):
        yield b"/".join(names[:depth]), name


def room(dir_fd: int, name: bytes) -> str:
    """How NAME would come to be in the directory, which may be none (-1); empty where a directory with something in it stays in its way.
    Raises OSError."""
    if dir_fd < 0:
        return MAKE
    try:
        status = os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
    except FileNotFoundError:
        return MAKE
    if not stat.S_ISDIR(status.st_mode):
        return REPLACE
    fd = os.open(name, DIRECTORY, dir_fd=dir_fd)
    try:
        return "" if os.listdir(fd) else REPLACE
    finally:
        os.close(fd)


def descend(dir_fd: int, names: Sequence[bytes]) -> int:
    """A descriptor of the directory that NAMES lead to from DIR_FD. Raises OSError, also where one of them is a link."""
    fd = os.dup(dir_fd)
    for name in names:
        above = fd
        try:
            fd = os.open(name, DIRECTORY, dir_fd=above)
        finally:
            os.close(above)
    return fd


def occupied(dir_fd: int, names: Sequence[bytes], destination: str) -> Optional[Refused]:
    """The refusal where there is something in the place that the restore goes to: DESTINATION itself without NAMES, else what they
    lead to. Empty directories do not count."""
    try:
        _refuse_occupied(dir_fd, names, destination)
    except Refused as error:
        return error
    return None


def _refuse_occupied(dir_fd: int, names: Sequence[bytes], destination: str) -> None:
    shown = os.path.join(destination, *[os.fsdecode(name) for name in names])
    hint = "choose another place, or --overwrite to replace what is there (what is right already is left alone)"
    try:
        above = descend(dir_fd, names[:-1])
    except FileNotFoundError:
        return
    except OSError as error:
        raise Refused(f"{shown}: the way there is no plain directory: {why(error)}", reason="EXISTS", hint=hint) from error
    try:
        fd = os.open(names[-1], DIRECTORY, dir_fd=above) if names else os.dup(above)
    except FileNotFoundError:
        return
    except OSError as error:
        raise Refused(f"{shown} exists already", reason="EXISTS", hint=hint) from error
    finally:
        os.close(above)
    try:
        if os.listdir(fd):
            raise Refused(f"{shown} is not empty", reason="DESTINATION_NOT_EMPTY", hint=hint)
    finally:
        os.close(fd)
