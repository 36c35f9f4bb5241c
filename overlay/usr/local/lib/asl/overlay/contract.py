# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""overlay.yml: the paths of the overlay in data.

The file is YAML, but only this much of it: blank lines, comment lines, ``---``, ``contract: 1``, ``entries:`` and one flow mapping
of plain or double-quoted scalars per line. The target has no YAML parser; whatever else stands in the file is an error.
"""

from __future__ import annotations

import posixpath
import re
from typing import NamedTuple

from asl.errors import Unsupported, Usage

VERSION = 1
KINDS = ("tool", "library", "config", "unit", "state", "mount")
TYPES = ("file", "directory", "tree")
KEYS = ("path", "type", "kind", "owner", "group", "mode", "optional")
REQUIRED = KEYS[:6]

_ENTRY = re.compile(r"  - \{(.*)\}")
_PAIR = re.compile(r'([a-z]+): (?:"([^"\\]*)"|([A-Za-z0-9_./@-]+))(?:, |$)')
_NAME = re.compile(r"[a-z_][a-z0-9_-]*")


class Entry(NamedTuple):
    """One path of the contract. A tree is a directory with files of its own, to any depth."""

    path: str
    type: str
    kind: str
    owner: str
    group: str
    mode: int
    optional: bool = False

    @property
    def is_directory(self) -> bool:
        """True for directories and for the root of a tree."""
        return self.type != "file"


class Contract(NamedTuple):
    """All entries, sorted by path: a directory stands before what lies in it."""

    entries: tuple[Entry, ...]

    def entry_for(self, path: str) -> Entry:
        """The entry that PATH is, or the tree it lies in. Raises Usage when the contract does not name it."""
        for entry in self.entries:
            if path == entry.path or (entry.type == "tree" and path.startswith(entry.path + "/")):
                return entry
        raise Usage(f"{path} is not in the overlay contract", reason="NOT_IN_CONTRACT", hint="add it to overlay.yml, or remove the file")

    def of(self, *kinds: str) -> tuple[Entry, ...]:
        """The entries of these kinds, in order."""
        return tuple(entry for entry in self.entries if entry.kind in kinds)


def parse(text: str, name: str = "overlay.yml") -> Contract:
    """Read a contract. Raises Usage with ``name:line`` for anything outside the subset, Unsupported for another version."""
    entries: list[Entry] = []
    seen_version = seen_entries = False
    for number, line in enumerate(text.splitlines(), start=1):
        where = f"{name}:{number}"
        if not line.strip() or line.startswith("#") or line == "---":
            continue
        if line.startswith("contract: "):
            seen_version = True
            if line != f"contract: {VERSION}":
                raise Unsupported(f"{where}: {line!r} is not the version this engine knows ({VERSION})")
        elif line == "entries:":
            seen_entries = True
        elif seen_entries and (match := _ENTRY.fullmatch(line)):
            entries.append(_entry(match.group(1), where))
        else:
            raise _wrong(where, f"not a line of a contract: {line!r}")
    if not seen_version or not entries:
        raise _wrong(name, "a contract has 'contract: 1' and at least one entry")
    entries.sort()
    for before, after in zip(entries, entries[1:]):
        if before.path == after.path:
            raise _wrong(name, f"{after.path} is named twice")
    return Contract(tuple(entries))


def _entry(body: str, where: str) -> Entry:
    pairs: dict[str, str] = {}
    position = 0
    while position < len(body):
        match = _PAIR.match(body, position)
        if not match or match.group(1) in pairs or match.group(1) not in KEYS:
            raise _wrong(where, f"not a 'key: value' of a contract entry, or given twice: {body[position:]!r}")
        pairs[match.group(1)] = match.group(3) if match.group(2) is None else match.group(2)
        position = match.end()
    if body.endswith(", "):
        raise _wrong(where, "a comma with nothing after it")
    for key in REQUIRED:
        if key not in pairs:
            raise _wrong(where, f"the entry has no {key!r}")
    return Entry(
        _path(pairs["path"], where),
        _one_of(pairs["type"], TYPES, where),
        _one_of(pairs["kind"], KINDS, where),
        _name(pairs["owner"], where),
        _name(pairs["group"], where),
        parse_mode(pairs["mode"], where),
        _one_of(pairs.get("optional", "false"), ("true", "false"), where) == "true",
    )


def _path(value: str, where: str) -> str:
    if not value.startswith("/") or posixpath.normpath(value) != value or value.startswith("//"):
        raise _wrong(where, f"{value!r} is not an absolute, normal path")
    return value


def _one_of(value: str, allowed: tuple[str, ...], where: str) -> str:
    if value not in allowed:
        raise _wrong(where, f"{value!r} is none of {', '.join(allowed)}")
    return value


def _name(value: str, where: str) -> str:
    if not _NAME.fullmatch(value):
        raise _wrong(where, f"{value!r} is not the name of a user or group")
    return value


def parse_mode(value: str, where: str) -> int:
    """An octal mode of four digits, as "0755". Raises Usage."""
    if not re.fullmatch(r"0[0-7]{3}", value):
        raise _wrong(where, f"{value!r} is not a mode of four octal digits")
    return int(value, 8)


def _wrong(where: str, what: str) -> Usage:
    return Usage(f"{where}: {what}", reason="CONTRACT_INVALID")
