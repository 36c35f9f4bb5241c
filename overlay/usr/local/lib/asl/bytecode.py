# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Byte code of the engine, kept in /run/asl/bytecode: what a tool imports is compiled once a boot, not at each start.

Never stale: a file counts only for the very source it was compiled from. The source is read in any case, and held against the hash that
stands in the file (PEP 552, checked); times and inodes are not asked, so it is all the same how the source got there. Never a
stranger's: a folder or a file that others own or could write to is not used (its content would be run). Where there is no
/run/asl, or nothing can be written to it, everything is compiled as without; nothing is ever said about it.

This module and `paths` are compiled at each start: keep them short.
"""

from __future__ import annotations

import contextlib
import marshal
import os
import stat
import sys
from importlib.machinery import FileFinder, SourceFileLoader
from importlib.util import MAGIC_NUMBER, source_hash
from types import CodeType
from typing import Optional

from asl import paths

_HEAD = MAGIC_NUMBER + b"\3\0\0\0"  # a pyc whose source is checked by its hash, which follows in 8 bytes
_TAG = f"{sys.implementation.cache_tag}-{sys.flags.optimize}"
_FOREIGN_WRITE = stat.S_IWGRP | stat.S_IWOTH


def use(library: str) -> None:
    """From now on, modules below the folder LIBRARY are taken from what is kept, or kept. Does nothing where that would not be safe."""
    folder = os.path.abspath(paths.run("bytecode"))
    try:
        if not _ours(os.lstat(os.path.dirname(folder)), stat.S_IFDIR):
            return
        if not os.path.lexists(folder):
            os.mkdir(folder, 0o700)
        if not _ours(os.lstat(folder), stat.S_IFDIR):
            return
    except OSError:
        return

    class Loader(_Loader):
        kept_in = folder

    def finder(path: str) -> FileFinder:
        if not path.startswith(f"{library}/"):
            raise ImportError
        return FileFinder(path, (Loader, [".py"]))

    sys.path_hooks.insert(0, finder)
    sys.path_importer_cache.pop(os.path.dirname(__file__), None)


class _Loader(SourceFileLoader):
    kept_in: str

    def get_code(self, fullname: str) -> CodeType:
        """The code of a module: the kept one where it is that of its source."""
        source = self.get_data(self.path)
        head = _HEAD + source_hash(source)
        place = f"{self.kept_in}/{fullname}.{_TAG}"
        code = _kept(place, head)
        if code is None:
            code = self.source_to_code(source, self.path)
            _keep(place, head + marshal.dumps(code))
        return code if code.co_filename == self.path else _moved(code, self.path)


def _ours(seen: os.stat_result, kind: int) -> bool:
    """Nobody but this user (and root) can have put anything in there. A link is no folder and no file."""
    return stat.S_IFMT(seen.st_mode) == kind and seen.st_uid == os.geteuid() and not seen.st_mode & _FOREIGN_WRITE


def _kept(place: str, head: bytes) -> Optional[CodeType]:
    try:
        handle = os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            seen = os.fstat(handle)
            data = os.read(handle, seen.st_size) if _ours(seen, stat.S_IFREG) else b""
        finally:
            os.close(handle)
        code = marshal.loads(memoryview(data)[len(head) :]) if data.startswith(head) else None
    except (OSError, ValueError, EOFError, TypeError):
        return None
    return code if isinstance(code, CodeType) else None


def _keep(place: str, data: bytes) -> None:
    """Written whole or not at all: under another name first."""
    unfinished = f"{place}.{os.getpid()}"
    try:
        with open(unfinished, "xb", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
            file.write(data)
        os.replace(unfinished, place)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(unfinished)


def _moved(code: CodeType, path: str) -> CodeType:
    """The same for a copy of the source at PATH, for what a traceback says."""
    consts = tuple(_moved(each, path) if isinstance(each, CodeType) else each for each in code.co_consts)
    return code.replace(co_filename=path, co_consts=consts)
