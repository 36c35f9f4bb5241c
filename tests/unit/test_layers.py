# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may import whom, and how long files and functions may be. Rules that are only written down do not hold."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
ENGINE = CHECKOUT / "overlay" / "usr" / "local" / "lib" / "asl"
MAX_LINES, MAX_FUNCTION = 400, 40

# Room → the rooms it may import, beside itself. Not named here means: nothing of the engine. Imports lead downwards only.
COMMON = {"errors", "names", "paths"}
MACHINE = {"errors", "names", "paths", "system", "config", "deadline", "endpoint"}
STORING = {*COMMON, "formats", "kernel", "backends", "store"}
ALLOWED: dict[str, set[str]] = {
    "errors": set(),
    "paths": set(),
    "names": {"errors"},
    "bytecode": {"paths"},
    "formats": {"errors", "names"},
    "kernel": {"errors"},
    "endpoint": {"errors", "deadline"},
    "tokens": {"errors", "names", "formats"},
    "signing": {"errors"},
    "backends": {"errors", "names", "formats", "endpoint"},
    "store": {*COMMON, "formats", "kernel", "backends"},
    "zfs": {"errors", "system"},
    "ground": {"system"},
    "imported": {"errors", "paths", "system"},
    "sources": {*MACHINE, "formats", "kernel", "survey", "imported", "zfs"},
    "intake": {*STORING, "hits", "system", "ground", "deadline", "sources", "zfs", "config", "logs", "signing"},
    "restore": {*STORING, "sources", "system", "deadline"},
    "hits": {*STORING, "restore", "sources", "survey", "system", "deadline"},
    "verify": {*STORING},
    "prove": {*STORING, "verify", "signing"},
    "compare": {*STORING, "sources", "intake", "restore"},
    "bench": {"errors", "kernel"},
    "config": {"errors", "names", "paths"},
    "system": {"errors", "paths"},
    "deadline": {"errors"},
    "logs": {"errors", "paths", "config"},
    "survey": {*MACHINE, "zfs"},
    "preflight": {*MACHINE, "ground", "survey", "imported"},
    "pools": {*MACHINE, "imported", "sources", "survey", "preflight"},
    "overlay": {"errors", "system", "config", "preflight", "imported", "sources"},
}
FREE = {"cli"}  # on top of all, and imported by nobody


def modules() -> list[Path]:
    return sorted(ENGINE.rglob("*.py"))


def room(path: Path) -> str:
    parts = path.relative_to(ENGINE).with_suffix("").parts
    return parts[0]


def rooms_imported(path: Path) -> Iterator[tuple[int, str]]:
    """(line, room) of every import of the engine in PATH, also those within functions and for types only."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for name in node.names:
                if name.name.split(".")[0] == "asl":
                    yield node.lineno, name.name.partition(".")[2].partition(".")[0] or "asl"
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import hides which room is meant"
            if node.module == "asl":
                yield from ((node.lineno, name.name) for name in node.names)
            elif (node.module or "").startswith("asl."):
                yield node.lineno, str(node.module).split(".")[1]


def test_every_room_has_its_rule() -> None:
    rooms = {room(path) for path in modules()} - {"__init__"}
    assert rooms == set(ALLOWED) | FREE


def test_the_rules_themselves_lead_downwards() -> None:
    """No two rooms may import each other, directly or around."""
    known: set[str] = set()
    while len(known) < len(ALLOWED):
        free = {name for name, below in ALLOWED.items() if name not in known and below <= known}
        assert free, f"these rooms import each other in a ring: {set(ALLOWED) - known}"
        known |= free


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ENGINE)))
def test_imports_lead_downwards(path: Path) -> None:
    own = room(path)
    if own in FREE:
        return
    allowed = ALLOWED.get(own, set()) | {own}
    wrong = [f"{path}:{line} imports asl.{name}" for line, name in rooms_imported(path) if name not in allowed]
    assert not wrong


def test_nobody_imports_the_command_line() -> None:
    users = [str(path) for path in modules() if room(path) != "cli" and "cli" in {name for _, name in rooms_imported(path)}]
    assert not users


def test_what_touches_disks_knows_nothing_of_stores() -> None:
    for name in ("survey", "preflight", "pools", "imported", "config", "system", "overlay", "sources"):
        assert "store" not in ALLOWED[name]


def test_the_engine_needs_the_standard_library_only() -> None:
    """Of what is imported from elsewhere, nothing may need an installation. (zfs bindings of a distribution are asked for softly.)"""
    import sys

    if sys.version_info < (3, 10):
        pytest.skip("sys.stdlib_module_names came with Python 3.10")
    found = set()
    for path in modules():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {name.name.split(".")[0] for name in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found.add(node.module.split(".")[0])
    assert found - set(sys.stdlib_module_names) == {"asl"}


def measured() -> list[Path]:
    folders = [CHECKOUT / "overlay", CHECKOUT / "plugins"]
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file() and (path.suffix == ".py" or "bin" in path.parts)]
    return sorted(path for path in files if path.suffix in (".py", ""))


@pytest.mark.parametrize("path", measured(), ids=lambda path: str(path.relative_to(CHECKOUT)))
def test_files_and_functions_stay_short(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= MAX_LINES
    functions = [node for node in ast.walk(ast.parse(text)) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
    lengths = {node.name: (node.end_lineno or 0) - node.lineno + 1 for node in functions}
    long = {name: length for name, length in lengths.items() if length > MAX_FUNCTION}
    assert not long
