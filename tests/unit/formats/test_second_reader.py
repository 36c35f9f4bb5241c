# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The reader that was written from docs/formats.md alone reads back what the engine wrote: every artifact of every snapshot."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import os
import random
import sys
from pathlib import Path
from typing import Any

import pytest
from rig import hostile

from asl.intake.request import Request
from asl.intake.run import run
from asl.store import init_store, open_store
from asl.verify import verify

SOURCE = Path(__file__).resolve().parents[2] / "vectors" / "reader.py"


def load() -> Any:
    spec = importlib.util.spec_from_file_location("second_reader", SOURCE)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["second_reader"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def store(tmp_path: Path) -> str:
    location = str(tmp_path / "store")
    init_store(location)
    return location


def grow(folder: Path, rng: random.Random) -> Path:
    """A tree with folders of many names, files of every form, and one that needs parts in the store."""
    (folder / "many").mkdir(parents=True)
    for number in range(700):
        (folder / "many" / f"{number:05}").write_bytes(rng.randbytes(number % 40))
    (folder / "large").write_bytes(rng.randbytes(9 << 20))
    with (folder / "sparse").open("wb") as file:
        file.write(rng.randbytes(200_000))
        file.seek(50 << 20)
        file.write(rng.randbytes(100_001))
    (folder / "link").symlink_to("many/00001")
    os.link(folder / "large", folder / "other name")
    (folder / os.fsdecode(b"no \xff utf-8 \n")).write_bytes(b"x")
    return folder


def sums(top: Path) -> dict[str, str]:
    """SHA-256 of every regular file, by its path below TOP; names of a hard link but the first are left out."""
    found: dict[str, str] = {}
    seen: set[int] = set()
    for folder, folders, names in os.walk(top):
        folders.sort()
        for name in names:
            path = Path(folder, name)
            if path.is_file() and not path.is_symlink():
                found[f"0:/{path.relative_to(top)}"] = hashlib.sha256(path.read_bytes()).hexdigest()
                seen.add(path.stat().st_ino)
    return found


def test_it_reads_back_every_artifact_of_every_snapshot(tmp_path: Path, store: str) -> None:
    rng = random.Random(11)
    tree, disk = grow(tmp_path / "tree", rng), tmp_path / "disk"
    disk.write_bytes(rng.randbytes(3 << 20) + bytes(2 << 20) + rng.randbytes((1 << 20) + 512))
    results = []
    # Several, so that segments are merged and some are dropped from the log.
    for turn in range(6):
        (tree / "many" / f"new-{turn}").write_bytes(rng.randbytes(70_000))
        results.append(run(Request((f"tree:{tree}", f"device:{disk}"), store, "d", labels=(("turn", str(turn)),))))
    module = load()
    reader = module.Reader(Path(store))
    assert sorted(reader.anchors) == list(range(1, 7))
    for number, result in enumerate(results, start=1):
        assert module.Snapshot(reader, number).digest.hex() == result["digest"]
    last = module.Snapshot(reader, 6)
    theirs = {path: found["sha256"] for path, found in last.paths.items() if "sha256" in found and path.startswith("0:")}
    ours = sums(tree)
    assert {path: ours[path] for path in theirs} == theirs
    # The one name that is missing is a hard link, whose content stands at the first.
    assert len(ours) - len(theirs) == sum(1 for found in last.paths.values() if found.get("type") == 4) == 1
    assert last.paths["1:"]["sha256"] == hashlib.sha256(disk.read_bytes()).hexdigest()
    fresh = module.Reader(Path(store))
    module.Snapshot(fresh, 6)
    checked = verify(open_store(store), open_store(store).find_snapshot("6"))
    # The engine does not count the receipt, which the manifest does not lead to; the bytes are those of the same artifacts.
    assert len(fresh.seen) - checked["artifacts"] in (0, 1)


def test_it_reads_what_a_careless_copy_loses(tmp_path: Path, store: str) -> None:
    if os.geteuid() == 0:
        hostile.make(tmp_path / "hostile")
    else:
        grow(tmp_path / "hostile", random.Random(3))
    run(Request((f"tree:{tmp_path / 'hostile'}",), store, "d"))
    module = load()
    paths = module.Snapshot(module.Reader(Path(store)), 1).paths
    for path in (tmp_path / "hostile").rglob("*"):
        status, found = path.lstat(), paths[f"0:/{path.relative_to(tmp_path / 'hostile')}"]
        assert (found["mode"], found["uid"], found["gid"]) == (status.st_mode & 0o7777, status.st_uid, status.st_gid)
        assert found["mtime"] == (status.st_mtime_ns // 10**9, status.st_mtime_ns % 10**9)


def test_it_refuses_a_store_in_which_one_bit_of_the_way_is_wrong(tmp_path: Path, store: str) -> None:
    (tmp_path / "file").mkdir()
    (tmp_path / "file" / "a").write_bytes(os.urandom(300_000))
    run(Request((f"tree:{tmp_path / 'file'}",), store, "d"))
    module = load()
    for path in [*Path(store, "blocks").rglob("*"), *Path(store, "segments").iterdir(), Path(store, "logs/asl.log")]:
        if path.is_file():
            whole = path.read_bytes()
            path.chmod(0o600)
            path.write_bytes(whole[: len(whole) // 2] + bytes([whole[len(whole) // 2] ^ 1]) + whole[len(whole) // 2 + 1 :])
            with pytest.raises(module.Wrong):
                module.Snapshot(module.Reader(Path(store)), 1)
            path.write_bytes(whole)
    assert module.Snapshot(module.Reader(Path(store)), 1).paths


def test_it_shares_nothing_with_the_engine_and_is_short() -> None:
    text = SOURCE.read_text()
    imported = {
        (node.module or "").split(".")[0] if isinstance(node, ast.ImportFrom) else name.name.split(".")[0]
        for node in ast.walk(ast.parse(text))
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for name in node.names
    }
    assert "asl" not in imported
    assert imported <= set(sys.stdlib_module_names) if sys.version_info >= (3, 10) else True
    assert len(text.splitlines()) <= 300
