# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hold a root against what is, or was, laid on it: every deviation, one for each thing that is otherwise than it should be.

missing   a directory of the contract or a file of the index is not there
type      something else stands in its place
changed   the bytes are not the ones that were laid
mode      the mode is another
owner     the owner or the group is another
extra     a file that the overlay did not bring, in a place where everything is the overlay's
state     a file that was made at run time, where none may be: byte code beside the engine, anything unknown in /etc/asl
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from asl.errors import Unavailable
from asl.overlay import index
from asl.overlay.bundle import LAID_CONTRACT, LAID_INDEX
from asl.overlay.contract import Contract, Entry, parse
from asl.overlay.index import Index, Line
from asl.overlay.root import Root, digest, look


class Deviation(NamedTuple):
    """One thing that is otherwise. ``owned``: the path lies where nothing but the overlay's own files may be."""

    path: str
    deviation: str
    expected: str = ""
    found: str = ""
    owned: bool = True

    def document(self) -> dict[str, str]:
        """For ``--json``."""
        return {"path": self.path, "deviation": self.deviation, "expected": self.expected, "found": self.found}


def laid(root: Root) -> tuple[Contract, Index]:
    """The contract and the index of the overlay that is laid on ROOT. Raises Unavailable (NOT_LAID) when there is none."""
    name = root.at(LAID_INDEX)
    if look(name) is None or look(root.at(LAID_CONTRACT)) is None:
        what = f"no overlay is laid on {root.top}: there is no {LAID_INDEX}"
        raise Unavailable(what, reason="NOT_LAID", hint="lay it with the role asl.rescue.overlay")
    contract = parse(Path(root.at(LAID_CONTRACT)).read_text(encoding="utf-8"), LAID_CONTRACT)
    return contract, index.parse(Path(name).read_bytes(), LAID_INDEX)


def compare(root: Root) -> dict[str, Any]:
    """Hold ROOT against the overlay that was laid on it. Raises Unavailable (NOT_LAID), Damaged for a spoilt index."""
    contract, found = laid(root)
    deviations = sorted([*deviations_of(contract, found.lines, root), *strangers_beside(contract, root)])
    return {"ok": not deviations, "digest": found.digest, "deviations": [deviation.document() for deviation in deviations]}


def deviations_of(contract: Contract, lines: Iterable[Line], root: Root) -> list[Deviation]:
    """Every deviation of ROOT from CONTRACT and LINES (absolute paths), sorted by path."""
    wanted = {line.path: line for line in lines}
    found: list[Deviation] = []
    for path, entry in directories(contract, wanted):
        found += _directory(path, entry, root)
    for line in wanted.values():
        found += _file(line, root)
    for entry in contract.entries:
        found += _strangers(entry, contract, wanted, root)
    return sorted(found)


def directories(contract: Contract, wanted: Iterable[str]) -> list[tuple[str, Entry]]:
    """Every directory that has to be there: the contract's, and those of the trees, parents first."""
    found = {entry.path: entry for entry in contract.entries if entry.is_directory}
    for path in wanted:
        entry = contract.entry_for(path)
        parent = posixpath.dirname(path)
        while entry.type == "tree" and parent not in found:
            found[parent] = entry
            parent = posixpath.dirname(parent)
    return sorted(found.items())


def _directory(path: str, entry: Entry, root: Root) -> Iterator[Deviation]:
    # State may be a link to persistent memory, and what is mounted has a mode of its own.
    seen = look(root.at(path), follow=entry.type == "directory")
    if seen is None:
        yield Deviation(path, "missing", "directory")
    elif seen.type != "directory":
        yield Deviation(path, "type", "directory", seen.type)
    elif not os.path.ismount(root.at(path)):
        yield from _rights(path, entry.mode, entry.owner, entry.group, root)


def _file(line: Line, root: Root) -> Iterator[Deviation]:
    seen = look(root.at(line.path))
    if seen is None:
        yield Deviation(line.path, "missing", "file")
    elif seen.type != "file":
        yield Deviation(line.path, "type", "file", seen.type)
    else:
        found = digest(root.at(line.path))
        if found != line.digest:
            yield Deviation(line.path, "changed", line.digest, found)
        yield from _rights(line.path, line.mode, line.owner, line.group, root)


def _rights(path: str, mode: int, owner: str, group: str, root: Root) -> Iterator[Deviation]:
    seen = look(root.at(path), follow=True)
    if seen is None:
        return
    if seen.mode != mode:
        yield Deviation(path, "mode", f"{mode:04o}", f"{seen.mode:04o}")
    if root.sets_owners and (seen.owner, seen.group) != (owner, group):
        yield Deviation(path, "owner", f"{owner}:{group}", f"{seen.owner}:{seen.group}")


def _strangers(entry: Entry, contract: Contract, wanted: dict[str, Line], root: Root) -> Iterator[Deviation]:
    """What stands at or beside ENTRY and was not laid."""
    known = {each.path for each in contract.entries}
    if entry.type == "tree":
        folders = {path for path, _entry in directories(contract, wanted)}
        for path in _below(root, entry.path):
            if path not in wanted and path not in folders and path != LAID_INDEX:
                yield Deviation(path, "state" if "__pycache__" in path or path.endswith(".pyc") else "extra")
    elif entry.type == "file":
        if entry.path not in wanted and look(root.at(entry.path)):
            yield Deviation(entry.path, "extra")
    elif entry.kind in ("config", "mount") and not os.path.ismount(root.at(entry.path)):
        # Below a mount point nothing is said: local and remote hold what the operator has there.
        for path in _inside(root, entry.path) if any(posixpath.dirname(each) == entry.path for each in known) else ():
            if path not in known:
                yield Deviation(path, "state" if entry.kind == "config" else "extra", owned=False)


def strangers_beside(contract: Contract, root: Root) -> list[Deviation]:
    """asl-* files beside the tools and units that the contract does not name."""
    known = {each.path for each in contract.entries}
    found = []
    for folder in sorted({posixpath.dirname(entry.path) for entry in contract.of("tool", "unit")}):
        found += [Deviation(path, "extra", owned=False) for path in _inside(root, folder) if "/asl-" in path and path not in known]
    return found


def _inside(root: Root, folder: str) -> list[str]:
    try:
        return sorted(f"{folder}/{name}" for name in os.listdir(root.at(folder)))
    except (FileNotFoundError, NotADirectoryError):
        return []


def _below(root: Root, folder: str) -> Iterator[str]:
    for path in _inside(root, folder):
        yield path
        seen = look(root.at(path))
        if seen and seen.type == "directory":
            yield from _below(root, path)
