# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every file below a store's root, and whether it may be there."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Optional

from asl.backends import layout
from asl.backends.base import Reads
from asl.backends.posix import failure
from asl.errors import NotFound
from asl.names import BlockID
from asl.store.check.findings import Findings

# A file system puts these into its own root; they are no part of a store.
OF_THE_FILE_SYSTEM = ("lost+found", ".zfs")
_SHELF = re.compile(r"blocks/[0-9a-f]{2}\Z")
_SINGLE = (layout.MARKER, layout.HEAD, layout.LOCK, layout.LOG)


@dataclass
class Inventory:
    """The objects of a store by name, as they were listed once: the log is read after this, so it knows them all."""

    blocks: dict[BlockID, int] = field(default_factory=dict)  # size in bytes
    segments: list[int] = field(default_factory=list)
    snapshots: list[int] = field(default_factory=list)


def take(backend: Reads, findings: Findings) -> Inventory:
    """List BACKEND. Foreign names become faults. Raises NotFound when there is nothing that looks like a store."""
    found = Inventory()
    _folders(backend, findings)
    for name, size in _files(backend, findings):
        _place(name, size, found, findings)
    findings.counts.update(blocks=len(found.blocks), block_bytes=sum(found.blocks.values()))
    return found


def _folders(backend: Reads, findings: Findings) -> None:
    root = backend.path("")
    if root is None:
        return
    missing = [name for name in layout.FOLDERS if not os.path.isdir(os.path.join(root, name))]
    if len(missing) == len(layout.FOLDERS):
        raise NotFound(
            f"there is no store at {backend.location}", reason="NO_STORE", hint=f"asl-admin init {backend.location} makes an empty one"
        )
    for name in missing:
        findings.fault(name, "this folder of the store is missing", "MISSING_FOLDER")


def _files(backend: Reads, findings: Findings) -> Iterator[tuple[str, int]]:
    root = backend.path("")
    if root is not None:
        yield from _local(root, "", findings)
        return
    for folder in layout.FOLDERS:
        for name in backend.names(folder):
            yield name, backend.size(name)


def _local(root: str, folder: str, findings: Findings) -> Iterator[tuple[str, int]]:
    """(name, size) of the regular files in FOLDER and in those below it that may have files; other things are faults."""
    try:
        entries = sorted(os.scandir(os.path.join(root, folder)), key=lambda entry: entry.name)
        for entry in entries:
            name = f"{folder}/{entry.name}" if folder else entry.name
            if entry.is_dir(follow_symlinks=False):
                if name in layout.FOLDERS or _SHELF.match(name):
                    yield from _local(root, name, findings)
                elif name not in OF_THE_FILE_SYSTEM:
                    findings.fault(name, "a folder that no store has", "FOREIGN")
            elif entry.is_file(follow_symlinks=False):
                size = _size(entry)
                if size is not None:
                    yield name, size
            else:
                findings.fault(name, "not a regular file", "FOREIGN")
    except OSError as error:
        with findings.catching(folder or "."):
            raise failure(f"{root}: cannot list {folder or 'it'}", error) from error


def _size(entry: os.DirEntry[str]) -> Optional[int]:
    try:
        return entry.stat(follow_symlinks=False).st_size
    except FileNotFoundError:
        return None  # a writer is at work, and what it had in tmp/ is gone again


def _place(name: str, size: int, found: Inventory, findings: Findings) -> None:
    block_id, number = layout.parse_block(name), layout.parse_number(name)
    folder = name.partition("/")[0]
    findings.count("files")
    findings.count("bytes", size)
    if block_id is not None:
        found.blocks[BlockID(block_id)] = size
    elif number is not None and name in (layout.segment(number), layout.snapshot(number)):
        (found.segments if folder == "segments" else found.snapshots).append(number)
    elif folder == "tmp":
        findings.note(name, f"{size} bytes that a writer is at work on, or that a crash left; the next writer sees to it", "TEMPORARY")
    elif name == layout.LOCK and size:
        findings.fault(name, f"the lock has {size} bytes in it, but is always empty", "FOREIGN")
    elif name not in _SINGLE:
        findings.fault(name, "a file that no store has", "FOREIGN")
