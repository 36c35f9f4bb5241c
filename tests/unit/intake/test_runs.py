# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Intakes of many small files: what goes in runs comes to the same snapshot as what goes file by file."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

import pytest
from unit.intake.support import intake, settle

from asl import kernel
from asl.store import init_store


@pytest.fixture
def store(tmp_path: Path) -> str:
    location = str(tmp_path / "store")
    init_store(location)
    return location


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """Small files of every kind: of one chunk and of several, equal ones, with holes in them, with attributes, and much of a directory."""
    rng, folder = random.Random(3), tmp_path / "many"
    for name, count in (("few", 5), ("large", 700)):
        (folder / name).mkdir(parents=True)
        for number in range(count):
            size = rng.choice([1, 100, 4000, 16_384, 60_000]) if number % 30 == 0 else rng.randrange(1, 300)
            (folder / name / f"{number}").write_bytes(rng.randbytes(size) if number % 7 else bytes(size))
    (folder / "few" / "hole").write_bytes(rng.randbytes(20_000) + bytes(40_000) + b"end")
    (folder / "large" / "hole").write_bytes(bytes(17_000) + b"end")
    os.setxattr(folder / "large" / "100", "user.a", b"b")
    settle(folder)
    return folder


@pytest.mark.parametrize("average", [1024, 65_536])
@pytest.mark.parametrize("native", [True, False])
def test_a_snapshot_is_the_same(many: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, native: bool, average: int) -> None:
    monkeypatch.setenv("ASL_NO_NATIVE", "" if native else "1")
    kernel.load.cache_clear()
    taken = []
    try:
        for number, shortest in enumerate((2, 1000)):
            monkeypatch.setattr("asl.sources.tree.SHORTEST_RUN", shortest)
            store = str(tmp_path / f"store-{number}")
            init_store(store)
            taken.append(intake(many, store, request={"chunk_average": average}))
    finally:
        kernel.load.cache_clear()
    assert taken[0]["digest"] == taken[1]["digest"]
    for name in ("files", "size", "bytes_read", "bytes_new", "bytes_duplicate", "losses"):
        assert taken[0][name] == taken[1][name], name


def test_what_is_unchanged_is_not_read_again(many: Path, store: str, tmp_path: Path) -> None:
    first = intake(many, store)
    (many / "large" / "50").write_bytes(b"changed")
    (many / "large" / "200").unlink()
    (many / "large" / "51a").write_bytes(b"new")
    second = intake(many, store)
    assert (second["files_unchanged"], second["bytes_read"]) == (first["files"] - 2, len(b"changed") + len(b"new"))
    init_store(str(tmp_path / "other"))
    assert second["digest"] == intake(many, str(tmp_path / "other"))["digest"]
    settle(many)
    third, fourth = intake(many, store), intake(many, store)
    assert third["bytes_read"] == second["bytes_read"] and fourth["files_unchanged"] == fourth["files"]


@pytest.mark.parametrize("number", [0, 3, 699])
def test_a_file_that_fails_within_what_is_known_leaves_the_rest_known(
    many: Path, store: str, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    first = intake(many, store)
    name = sorted(os.listdir(many / "large"))[number]
    (many / "large" / name).write_bytes(b"not what it was")
    real = kernel.load().files.slurp

    def fails(directory: int, names: Any, seen: Any, into: memoryview) -> int:
        return 0 if names and names[0] == os.fsencode(name) else real(directory, names, seen, into)

    monkeypatch.setattr(kernel.load().files, "slurp", fails)
    second = intake(many, store)
    assert second["files_unchanged"] == first["files"] - 1 and second["losses"] == []
