# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""tree: what a walk tells of real directories that nobody changes."""

from __future__ import annotations

import os
import resource
import socket
import stat
from pathlib import Path

import pytest
from unit.sources.walks import OLD_NS, by_path, settle, tree_of, walk

from asl.errors import Refused, Usage
from asl.formats import tree
from asl.formats.tree import Entry
from asl.sources.base import DATA, HOLE
from asl.sources.open import open_source
from asl.sources.tree import TreeSource
from asl.sources.visit import ENTER, LEAVE, NODE

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="owners, devices and trusted attributes need root")


def test_a_tree_is_walked_depth_first_in_byte_order(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "z").write_bytes(b"1")
    (tmp_path / "b.c").write_bytes(b"22")
    (tmp_path / "a").write_bytes(b"")
    odd = os.fsencode(tmp_path) + b"/\xff"
    astral = os.fsencode(tmp_path) + "/\U0001f600".encode()
    for name in (odd, astral):
        Path(os.fsdecode(name)).write_bytes(b"n")
    seen = [(visit.kind, visit.path) for visit in walk(tree_of(tmp_path))]
    assert seen == [
        (ENTER, b""), (NODE, b"a"), (ENTER, b"b"), (NODE, b"b/z"), (LEAVE, b"b"), (NODE, b"b.c"),
        (NODE, "\U0001f600".encode()), (NODE, b"\xff"), (LEAVE, b""),
    ]  # fmt: skip


def test_the_root_is_called_dot_and_directories_have_no_size(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir(mode=0o751)
    settle(tmp_path / "d")
    seen = by_path(tree_of(tmp_path))
    assert seen[b""].entry.name == b"." and seen[b""].entry.type == tree.DIRECTORY
    inner = seen[b"d"].entry
    assert (inner.size, inner.mode, inner.mtime_s, inner.mtime_ns) == (0, 0o751, OLD_NS // 10**9, OLD_NS % 10**9)


def test_equal_trees_give_equal_walks(tmp_path: Path) -> None:
    for name in ("one", "two"):
        root = tmp_path / name
        order = ["x", "a", "m", "k"] if name == "one" else ["k", "m", "a", "x"]
        root.mkdir()
        for part in order:
            (root / part).mkdir()
            for number in range(20):
                (root / part / f"{number}").write_bytes(part.encode() * number)
                settle(root / part / f"{number}")
            settle(root / part)
        settle(root)

    def plain(path: Path) -> list[tuple[str, bytes, Entry, bytes]]:
        return [seen[:4] for seen in walk(tree_of(path))]

    assert plain(tmp_path / "one") == plain(tmp_path / "two")


def test_a_single_file_is_a_tree_with_the_one_entry_dot(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    (seen,) = walk(tree_of(tmp_path / "file"))
    assert (seen.kind, seen.path, seen.entry.name, seen.entry.type, seen.content) == (NODE, b"", b".", tree.FILE, b"content")


@needs_root
def test_every_kind_of_node_is_told(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("file \udcff")
    os.mkfifo(tmp_path / "fifo", 0o600)
    os.mknod(tmp_path / "zero", stat.S_IFCHR | 0o640, os.makedev(1, 5))
    os.mknod(tmp_path / "disk", stat.S_IFBLK | 0o660, os.makedev(259, 1_000_000))
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "sock"))
    (tmp_path / "setuid").write_bytes(b"x")
    os.chown(tmp_path / "setuid", 12345, 4_294_967_000)
    (tmp_path / "setuid").chmod(0o6711)
    seen = by_path(tree_of(tmp_path))
    assert seen[b"link"].entry.type == tree.SYMLINK and seen[b"link"].entry.target == b"file \xff"
    assert seen[b"fifo"].entry.type == tree.FIFO and seen[b"sock"].entry.type == tree.SOCKET
    assert seen[b"zero"].entry.type == tree.CHARACTER and seen[b"zero"].entry.rdev == (1, 5)
    assert seen[b"disk"].entry.type == tree.BLOCK and seen[b"disk"].entry.rdev == (259, 1_000_000)
    owned = seen[b"setuid"].entry
    assert (owned.mode, owned.uid, owned.gid) == (0o6711, 12345, 4_294_967_000)
    assert all(item.entry.size == 0 and not item.kinds for path, item in seen.items() if path not in (b"setuid",))


def test_the_first_name_of_a_file_carries_its_content(tmp_path: Path) -> None:
    (tmp_path / "b").write_bytes(b"content")
    (tmp_path / "a").mkdir()
    os.link(tmp_path / "b", tmp_path / "a" / "first")
    os.link(tmp_path / "b", tmp_path / "c")
    os.mkfifo(tmp_path / "p")
    os.link(tmp_path / "p", tmp_path / "q")
    seen = by_path(tree_of(tmp_path))
    assert seen[b"a/first"].entry.type == tree.FILE and seen[b"a/first"].content == b"content"
    for later in (b"b", b"c"):
        assert (seen[later].entry.type, seen[later].entry.target, seen[later].content) == (tree.HARDLINK, b"a/first", b"")
    assert (seen[b"p"].entry.type, seen[b"q"].entry.type, seen[b"q"].entry.target) == (tree.FIFO, tree.HARDLINK, b"p")


def test_holes_are_told_as_the_filesystem_knows_them(tmp_path: Path) -> None:
    with (tmp_path / "sparse").open("wb") as file:
        file.write(b"x" * 4096)
        file.seek(8 << 20)
        file.write(b"y" * 4096)
        file.truncate(16 << 20)
    seen = by_path(tree_of(tmp_path))[b"sparse"]
    assert seen.content == (tmp_path / "sparse").read_bytes()
    assert seen.kinds[0] == DATA and seen.kinds.count(HOLE) == 2 and seen.size == 16 << 20


def test_a_large_file_comes_back_in_aligned_pieces(tmp_path: Path) -> None:
    data = os.urandom((1 << 20) + 12345)
    (tmp_path / "large").write_bytes(data)
    seen = by_path(tree_of(tmp_path))[b"large"]
    assert seen.content == data and seen.kinds == (DATA, DATA)


@needs_root
def test_extended_attributes_of_files_links_and_directories(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"")
    (tmp_path / "d").mkdir()
    (tmp_path / "l").symlink_to("nowhere")
    os.setxattr(tmp_path / "f", b"user.\xff", b"\0\1")
    os.setxattr(tmp_path / "f", "user.a", b"")
    os.setxattr(tmp_path / "d", "user.d", b"dir")
    os.setxattr(tmp_path / "l", "trusted.l", b"link", follow_symlinks=False)
    seen = by_path(tree_of(tmp_path))
    assert seen[b"f"].entry.xattrs == ((b"user.a", b""), (b"user.\xff", b"\0\1"))
    assert seen[b"d"].entry.xattrs == ((b"user.d", b"dir"),)
    assert seen[b"l"].entry.xattrs == ((b"trusted.l", b"link"),)


@needs_root
def test_pseudo_filesystems_are_kept_as_empty_directories(tmp_path: Path) -> None:
    source = TreeSource("tree:/", "/")
    told, inside = {}, []
    for visit in source.walk():
        top = visit.path.split(b"/")[0]
        if visit.kind == ENTER and visit.path in (b"dev", b"proc"):
            told[visit.path] = visit.entry.type
        if visit.path.startswith((b"dev/", b"proc/")):
            inside.append(visit.path)
        if top > b"dev" and visit.kind == ENTER:
            break
    assert told[b"dev"] == tree.DIRECTORY and not inside
    assert "dev: kept as an empty directory, devtmpfs is mounted there" in source.notes and not source.losses


def test_excluded_directories_are_left_out_with_a_note(tmp_path: Path) -> None:
    (tmp_path / "store" / "blocks").mkdir(parents=True)
    (tmp_path / "data").write_bytes(b"x")
    source = tree_of(tmp_path, exclude=(str(tmp_path / "store"), "/does/not/exist"))
    assert [seen.path for seen in walk(source)] == [b"", b"data", b""]
    assert source.notes == ["store: left out, it is where the store is"] and not source.losses
    with pytest.raises(Refused) as refused:
        walk(tree_of(tmp_path / "store", exclude=(str(tmp_path / "store"),)))
    assert refused.value.reason == "STORE_ON_SOURCE"


def test_deep_trees_need_few_descriptors(tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)
    depth = 600
    for _ in range(depth):
        os.mkdir("d", dir_fd=fd)
        Path(f"/proc/self/fd/{fd}/e").write_bytes(b"x")
        below = os.open("d", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(fd)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, hard))
    try:
        source = tree_of(tmp_path)
        seen = walk(source)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert len(seen) == 2 * (depth + 1) + depth and not source.losses
    assert sum(1 for item in seen if item.content == b"x") == depth


def test_a_walk_left_early_closes_its_descriptors(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    before = len(os.listdir("/proc/self/fd"))
    for visit in tree_of(tmp_path).walk():
        if visit.path == b"a/b":
            break
    del visit
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_visit_can_be_made_into_what_is_stored(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"x")
    entry = by_path(tree_of(tmp_path))[b"f"].entry
    stored = entry._replace(content=tree.CHUNK, digest=b"d" * 32)
    assert tree.decode(tree.encode([tree.encode_entry(stored)])).entries == [stored]


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ("/plain/path", "BAD_SOURCE"), ("tree:", "BAD_SOURCE"), ("ftp:/x", "BAD_SOURCE"), ("tree:relative", "BAD_SOURCE"),
        ("tree:-", "BAD_SOURCE"), ("tree:/a\0b", "BAD_SOURCE"), ("tree:/does/not/exist", "SOURCE_NOT_FOUND"),
        ("tree:/dev/null", "SOURCE_KIND"), ("tree:/proc", "SOURCE_KIND"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_a_usage_error(spec: str, reason: str) -> None:
    with pytest.raises(Usage) as usage:
        open_source(spec)
    assert usage.value.reason == reason
