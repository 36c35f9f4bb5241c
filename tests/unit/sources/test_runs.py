# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs: the same names, attributes and contents as one by one; whatever is not usual comes alone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Callable, Union

import pytest
from unit.sources.walks import read, tree_of, walk

from asl.kernel.files import UNASKED, Status
from asl.sources.files import SMALL
from asl.sources.runs import Run
from asl.sources.tree import TreeSource
from asl.sources.visit import Visit

BELOW = SMALL + 1
Meet = Callable[[Union[Visit, Run]], None]


def _no_more(_step: Union[Visit, Run]) -> None:
    pass


def contents(source: TreeSource, meet: Meet = _no_more, *, later: bool = True, room: int = 1 << 20) -> Iterator[tuple[bytes, bytes, bool]]:
    """(path, content, whether in a run) of everything, in the order of the walk."""
    memory = memoryview(bytearray(room))
    for step in source.walk_in_runs(BELOW, later=later):
        meet(step)
        if isinstance(step, Visit):
            yield step.path, read(step).content, False
            continue
        while left := step.left():
            paths, at = list(step.paths(step.taken)), 0
            sizes = step.read(left, memory)
            for path, size in zip(paths, sizes):
                yield path, bytes(memory[at : at + size]), True
                at += size


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "d").mkdir()
    for number in range(40):
        (tmp_path / "d" / f"{number:02d}").write_bytes(b"%d" % number * number)
    return tmp_path


@pytest.mark.parametrize("later", [True, False])
@pytest.mark.parametrize("room", [90, 1 << 20])
def test_a_walk_in_runs_is_the_same_walk(folder: Path, later: bool, room: int) -> None:
    found = list(contents(tree_of(folder), later=later, room=room))
    assert [each[:2] for each in found] == [(seen.path, seen.content) for seen in walk(tree_of(folder))]
    assert sum(each[2] for each in found) == 40


def unusual(folder: Path, kind: str) -> None:
    file = folder / "d" / "20"
    if kind == "attribute":
        os.setxattr(file, "user.a", b"b")
    elif kind == "link":
        os.link(file, folder / "d" / "20a")
    elif kind == "long":
        file.write_bytes(b"x" * BELOW)
    elif kind == "holes":
        file.write_bytes(b"")
        os.truncate(file, 40_000)
    else:
        file.unlink()
        os.mkfifo(file)


@pytest.mark.parametrize("later", [True, False])
@pytest.mark.parametrize("kind", ["attribute", "link", "long", "holes", "fifo"])
def test_what_is_not_usual_comes_alone(folder: Path, kind: str, later: bool) -> None:
    unusual(folder, kind)
    source = tree_of(folder)
    found = list(contents(source, later=later))
    seen = walk(tree_of(folder))
    assert [each[:2] for each in found] == [(each.path, each.content) for each in seen]
    assert {path: in_run for path, _content, in_run in found}[b"d/20"] is False
    assert sum(each[2] for each in found) >= 20
    assert source.losses == []


def test_a_visit_knows_the_attributes_that_were_not_asked_for_before(folder: Path) -> None:
    os.setxattr(folder / "d" / "20", "user.a", b"b")
    visits: dict[bytes, Visit] = {}

    def meet(step: Union[Visit, Run]) -> None:
        if isinstance(step, Visit):
            visits[step.path] = step

    list(contents(tree_of(folder), meet))
    assert visits[b"d/20"].entry.xattrs == ((b"user.a", b"b"),)


def test_where_files_have_attributes_they_are_asked_for_at_once(tmp_path: Path) -> None:
    for number in range(300):
        (tmp_path / f"{number:03d}").write_bytes(b"x")
        if number < 290:
            os.setxattr(tmp_path / f"{number:03d}", "user.label", b"x")
    runs: list[list[Status]] = []
    found = list(contents(tree_of(tmp_path), lambda step: runs.append(step.seen) if isinstance(step, Run) else None))
    assert [path for path, _content, in_run in found if in_run] == [b"%d" % number for number in range(290, 300)]
    assert len(runs) == 2 and runs[0][0].xattrs == UNASKED and runs[1][0].xattrs == 0


@pytest.mark.parametrize("change", ["grows", "vanishes", "is replaced"])
def test_what_changed_meanwhile_is_looked_at_again(folder: Path, change: str) -> None:
    file, changed = folder / "d" / "20", []

    def meet(step: Union[Visit, Run]) -> None:
        if isinstance(step, Run) and b"20" in step.names and not changed:
            changed.append(step)
            if change == "grows":
                file.write_bytes(b"more")
            else:
                file.unlink()
                if change == "is replaced":
                    file.symlink_to("19")

    source = tree_of(folder)
    found = list(contents(source, meet))
    expected = [(f"d/{number:02d}".encode(), b"%d" % number * number) for number in range(40)]
    if change == "vanishes":
        del expected[20]
    else:
        expected[20] = (b"d/20", b"more" if change == "grows" else b"")
    assert changed and [each[:2] for each in found if each[0] not in (b"", b"d")] == expected
    assert [(loss.what, loss.where) for loss in source.losses] == ([("vanished", "d/20")] if change == "vanishes" else [])


def test_a_run_that_nobody_takes_comes_name_by_name(folder: Path) -> None:
    steps = list(tree_of(folder).walk_in_runs(BELOW, later=True))
    assert [step.path for step in steps if isinstance(step, Visit)] == [visit.path for visit in walk(tree_of(folder))]
    assert any(isinstance(step, Run) for step in steps)


def test_a_file_that_is_left_out_is_in_no_run(folder: Path) -> None:
    source = tree_of(folder, exclude=(str(folder / "d" / "20"),))
    assert [path for path, _content, _in_run in contents(source)] == [each.path for each in walk(tree_of(folder)) if each.path != b"d/20"]


def test_what_was_seen_long_ago_is_looked_at_anew(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("asl.sources.runs.FRESH", -1.0)
    monkeypatch.setattr("asl.sources.tree.FRESH", -1.0)
    found = list(contents(tree_of(folder), room=90))
    assert [each[:2] for each in found] == [(seen.path, seen.content) for seen in walk(tree_of(folder))]
