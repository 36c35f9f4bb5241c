# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""tree: what a walk tells of directories that change under it, and of what it cannot read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from unit.sources.walks import OLD_NS, by_path, read, settle, tree_of

from asl.formats import tree
from asl.kernel.files import of
from asl.sources import attributes
from asl.sources.base import UNREAD, Source
from asl.sources.tree import TreeSource
from asl.sources.visit import NODE


def test_when_the_first_name_vanishes_the_next_one_carries_the_content(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"content")
    os.link(tmp_path / "a", tmp_path / "b")
    os.link(tmp_path / "a", tmp_path / "c")
    source, seen = tree_of(tmp_path), {}
    for visit in source.walk():
        if visit.path == b"a":
            (tmp_path / "a").unlink()
        seen[visit.path] = read(visit)
    assert seen[b"a"].vanished and seen[b"b"].content == b"content" and seen[b"b"].entry.type == tree.FILE
    assert seen[b"c"].entry.target == b"b"
    assert [(loss.what, loss.where) for loss in source.losses] == [("vanished", "a")]


def test_names_that_vanish_before_they_are_looked_at_are_losses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("asl.sources.tree.LONGEST_LOOK", 1)
    for name in ("a", "b", "d"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "c").mkdir()
    source, paths = tree_of(tmp_path), []
    for visit in source.walk():
        if visit.path == b"a":
            (tmp_path / "b").unlink()
            (tmp_path / "c").rmdir()
        paths.append(visit.path)
    assert paths == [b"", b"a", b"d", b""]
    assert [(loss.what, loss.where, loss.why) for loss in source.losses] == [
        ("vanished", "b", "No such file or directory"), ("vanished", "c", "No such file or directory"),
    ]  # fmt: skip


@pytest.mark.parametrize("swap", ["symlink", "fifo", "directory"])
def test_a_file_swapped_for_something_else_is_not_followed(tmp_path: Path, swap: str) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"mine")
    (tmp_path / "zsecret").write_bytes(b"not mine")
    source, found = tree_of(tmp_path), None
    for visit in source.walk():
        if visit.path == b"victim":
            victim.unlink()
            if swap == "symlink":
                victim.symlink_to("zsecret")
            elif swap == "fifo":
                os.mkfifo(victim)
            else:
                victim.mkdir()
            found = read(visit)
    assert found is not None and found.vanished and found.content == b""
    assert [loss.what for loss in source.losses] == ["vanished"]


@pytest.mark.parametrize("look", [1, 256])
def test_a_directory_swapped_for_a_link_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, look: int) -> None:
    monkeypatch.setattr("asl.sources.tree.LONGEST_LOOK", look)
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_bytes(b"x")
    root = tmp_path / "root"
    (root / "b").mkdir(parents=True)
    (root / "a").write_bytes(b"x")
    source, paths = tree_of(root), []
    for visit in source.walk():
        if visit.path == b"a":
            (root / "b").rmdir()
            (root / "b").symlink_to(tmp_path / "outside")
        paths.append((visit.kind, visit.path))
    # Looked at when its turn comes it is a link, and a link is what is told; looked at before, a directory that is not there any more.
    assert (NODE, b"b") in paths or [loss.what for loss in source.losses] == ["vanished"]
    assert not any(b"secret" in path for _, path in paths)


def test_a_file_that_grows_gives_what_it_had_and_is_flagged(tmp_path: Path) -> None:
    file = tmp_path / "log"
    file.write_bytes(b"a" * 3_000_000)
    settle(file)
    source = tree_of(tmp_path)
    for visit in source.walk():
        if visit.path == b"log":
            assert visit.fingerprint is None or visit.kind == NODE
            total = 0
            for number, piece in enumerate(visit.pieces()):
                total += piece.length
                if number == 0:
                    with file.open("ab") as more:
                        more.write(b"b" * 100)
            assert (total, visit.size, visit.flags, visit.fingerprint) == (3_000_000, 3_000_000, tree.CHANGED, None)
    assert [(loss.what, loss.where) for loss in source.losses] == [("changed", "log")]


@pytest.mark.parametrize("sparse", [False, True])
def test_a_file_that_shrinks_gives_fewer_bytes_and_is_flagged(tmp_path: Path, sparse: bool) -> None:
    file = tmp_path / "log"
    with file.open("wb") as handle:
        if sparse:
            handle.write(b"a")
            handle.truncate(3_000_000)
        else:
            handle.write(b"a" * 3_000_000)
    source = tree_of(tmp_path)
    for visit in source.walk():
        if visit.path == b"log":
            total = 0
            for number, piece in enumerate(visit.pieces()):
                total += piece.length
                if number == 0:
                    os.truncate(file, 1_500_000)
            assert (total, visit.size) == (1_500_000, 1_500_000)
            assert visit.flags == tree.CHANGED
    assert [loss.what for loss in source.losses] == ["changed"]


def test_attributes_that_cannot_be_read_are_flagged(tmp_path: Path) -> None:
    # A path whose last part is too long is refused by the kernel with something else than "not supported".
    found, lost = attributes.xattrs(os.fsencode(tmp_path) + b"/" + b"x" * 300)
    assert found == () and lost == "File name too long"
    source = TreeSource("tree:/x", "/x")
    assert source._xattrs_lost(b"p", lost) == tree.XATTRS_LOST
    assert [loss.document() for loss in source.losses] == [{"what": "xattrs", "where": "p", "why": "File name too long"}]


def test_fingerprints_name_a_settled_state_only(tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.write_bytes(b"1234")
    status = file.stat()
    later = status.st_ctime_ns + 2 * attributes.SETTLED_NS
    settled = attributes.fingerprint(of(status), later)
    assert settled is not None and settled == attributes.fingerprint(of(file.stat()), later + 1)
    assert attributes.fingerprint(of(status), status.st_ctime_ns + 1) is None
    os.utime(file, ns=(later * 2, later * 2))
    assert attributes.fingerprint(of(file.stat()), later) is None
    os.utime(file, ns=(OLD_NS, OLD_NS))
    changed = attributes.fingerprint(of(file.stat()), file.stat().st_ctime_ns + 2 * attributes.SETTLED_NS)
    assert changed is not None and changed != settled


def test_losses_are_bounded() -> None:
    source = Source("tree:/x")
    for number in range(10_007):
        source.lose("vanished", str(number), "gone")
    assert (len(source.losses), source.losses_omitted) == (10_000, 7)


def test_unreadable_files_and_directories_are_listed_and_kept(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir()
    (tmp_path / "closed" / "x").write_bytes(b"x")
    (tmp_path / "file").write_bytes(b"12345")
    (tmp_path / "readable").write_bytes(b"r")
    (tmp_path / "closed").chmod(0)
    (tmp_path / "file").chmod(0)
    child = os.fork() if os.geteuid() == 0 else 0
    if child == 0:
        code = 1
        try:
            if os.geteuid() == 0:
                _parents(tmp_path)
                os.setresuid(12345, 12345, 12345)
            source = tree_of(tmp_path)
            seen = by_path(source)
            assert seen[b"closed"].entry.flags == tree.UNREAD and seen[b"closed"].entry.type == tree.DIRECTORY
            kept = seen[b"file"]
            assert (kept.flags, kept.size, kept.kinds, kept.fingerprint) == (tree.UNREAD, 5, (UNREAD,), None)
            assert seen[b"readable"].content == b"r"
            assert [(loss.what, loss.where, loss.why) for loss in source.losses] == [
                ("unreadable", "closed", "Permission denied"), ("unreadable", "file", "Permission denied"),
            ]  # fmt: skip
            code = 0
        finally:
            if os.getpid() != _PARENT:
                os._exit(code)
    else:
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


_PARENT = os.getpid()


def _parents(path: Path) -> None:
    """Let another user through to PATH, which pytest makes for ourselves alone."""
    for part in [path, *path.parents]:
        if part != part.parent and part.stat().st_uid == os.geteuid() and part.parts[:2] == ("/", "tmp") and len(part.parts) > 2:
            part.chmod(part.stat().st_mode | 0o055)
