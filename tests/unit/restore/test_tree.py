# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Trees written back: as they were, past damage, and without being led astray."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from unit.restore.support import Shelf, link, symlink

from asl.errors import NotFound, Refused, Unavailable, Usage
from asl.formats import recipe, tree
from asl.formats.artifact import TAG_RECIPE
from asl.formats.tree import Entry
from asl.restore import RestoreResult, restore_tree

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="owners, devices and mounts need root")
NS = 1_234_567_890_987_654_321
TIME: dict[str, Any] = {"mtime_s": NS // 10**9, "mtime_ns": NS % 10**9}
MINE: dict[str, Any] = {"uid": os.geteuid(), "gid": os.getegid()}
NOT_READ = "it could not be read when the snapshot was made"


def restore(shelf: Shelf, root: bytes, back: Path, path: bytes = b"", *, overwrite: bool = False) -> RestoreResult:
    return restore_tree(shelf, root, path, str(back), overwrite=overwrite)


def lost(result: RestoreResult) -> list[tuple[str, str]]:
    return [(loss.what, loss.where) for loss in result.losses]


def allocated(path: Path) -> int:
    return path.stat().st_blocks * 512


@needs_root
def test_everything_a_tree_holds_is_made_again(shelf: Shelf, back: Path) -> None:
    xattrs = ((b"trusted.t", b"\0"), (b"user.\xff", b"value"))
    root = shelf.root(
        shelf.file(b"plain \xff", b"content", mode=0o6711, uid=123, gid=4_294_967_000, xattrs=xattrs, **TIME),
        link(b"same", b"plain \xff"),
        symlink(b"symlink", b"to \xff"),
        Entry(b"null", tree.CHARACTER, 0o666, rdev=(1, 3), **TIME),
        Entry(b"disk", tree.BLOCK, 0o660, 1, 6, rdev=(259, 1_000_000)),
        Entry(b"pipe", tree.FIFO, 0o1640, **TIME),
        Entry(b"sock", tree.SOCKET, 0o755),
        shelf.directory(b"sub", shelf.file(b"x", b"1"), mode=0o1755, uid=7, gid=8, xattrs=((b"user.d", b""),), **TIME),
        **TIME,
    )
    result = restore(shelf, root, back)
    assert result.losses == [] and result.files == 8 and result.bytes == 8
    plain = back / os.fsdecode(b"plain \xff")
    status = plain.stat()
    assert (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid, status.st_mtime_ns) == (0o6711, 123, 4_294_967_000, NS)
    assert plain.read_bytes() == b"content" and status.st_ino == (back / "same").stat().st_ino
    assert os.getxattr(plain, b"user.\xff") == b"value" and os.getxattr(plain, "trusted.t") == b"\0"
    assert os.readlink(os.fsencode(back / "symlink")) == b"to \xff"
    kinds = {name: (back / name).lstat() for name in ("null", "disk", "pipe", "sock")}
    assert stat.S_ISCHR(kinds["null"].st_mode) and kinds["null"].st_rdev == os.makedev(1, 3) and kinds["null"].st_mtime_ns == NS
    assert stat.S_ISBLK(kinds["disk"].st_mode) and kinds["disk"].st_rdev == os.makedev(259, 1_000_000) and kinds["disk"].st_gid == 6
    assert stat.S_ISFIFO(kinds["pipe"].st_mode) and stat.S_IMODE(kinds["pipe"].st_mode) == 0o1640
    assert stat.S_ISSOCK(kinds["sock"].st_mode)
    sub = (back / "sub").stat()
    assert (stat.S_IMODE(sub.st_mode), sub.st_uid, sub.st_mtime_ns, os.getxattr(back / "sub", "user.d")) == (0o1755, 7, NS, b"")
    assert back.stat().st_mtime_ns == NS


@needs_root
def test_what_a_default_acl_would_add_is_taken_away(shelf: Shelf, back: Path) -> None:
    back.mkdir()
    subprocess.run(["setfacl", "-m", "d:u:1234:rwx", str(back)], check=True)
    root = shelf.root(shelf.file(b"f", b"x", mode=0o640), shelf.directory(b"d"))
    assert restore(shelf, root, back).losses == []
    for name in ("f", "d"):
        assert [each for each in os.listxattr(back / name) if "acl" in each] == []
    assert stat.S_IMODE((back / "f").stat().st_mode) == 0o640


def test_holes_unread_ranges_and_zero_pages_are_holes(shelf: Shelf, back: Path) -> None:
    data = b"\1" * 4096
    parts = (data, (recipe.HOLE, 8 << 20), data, (recipe.UNREAD, 4096 * 3), data, bytes(4096 * 10) + data + bytes(4096 * 10))
    result = restore(shelf, shelf.root(shelf.file(b"f", *parts, flags=tree.UNREAD, **MINE), **MINE), back)
    file = back / "f"
    expected = b"".join(part if isinstance(part, bytes) else bytes(part[1]) for part in parts)
    assert file.read_bytes() == expected and allocated(file) == 4 * 4096
    assert [loss.document() for loss in result.losses] == [
        {"what": "unread", "where": f"f: {4096 * 3} bytes at {4096 * 2 + (8 << 20)}", "why": NOT_READ}
    ]


def test_a_file_of_which_nothing_was_read_comes_back_as_a_hole(shelf: Shelf, back: Path) -> None:
    entry = Entry(b"f", tree.FILE, size=100_000, flags=tree.UNREAD, **MINE)
    result = restore(shelf, shelf.root(entry, **MINE), back)
    assert (back / "f").stat().st_size == 100_000 and lost(result) == [("unread", "f: 100000 bytes at 0")]


def test_a_part_keeps_its_path(shelf: Shelf, back: Path) -> None:
    inner = shelf.directory(b"b", shelf.file(b"f", b"1", **MINE), mode=0o700, **MINE, **TIME)
    root = shelf.root(shelf.directory(b"a", inner, shelf.file(b"other", b"2"), mode=0o751, **MINE, **TIME), shelf.file(b"z", b"3"), **MINE)
    result = restore(shelf, root, back, b"/a/b/")
    assert sorted(str(path.relative_to(back)) for path in back.rglob("*")) == ["a", "a/b", "a/b/f"]
    assert result.files == 1 and not result.losses
    assert stat.S_IMODE((back / "a").stat().st_mode) == 0o751 and (back / "a").stat().st_mtime_ns == NS == (back / "a/b").stat().st_mtime_ns
    # Another part goes beside it, into the directory that is there.
    assert restore(shelf, root, back, b"a/other").files == 1
    assert (back / "a/other").read_bytes() == b"2"
    with pytest.raises(NotFound):
        restore(shelf, root, back, b"a/../z")


def test_a_link_whose_first_name_is_outside_the_part_gets_the_content(shelf: Shelf, back: Path) -> None:
    part = shelf.directory(b"part", link(b"one", b"a/first"), link(b"two", b"a/first"), **MINE)
    root = shelf.root(shelf.directory(b"a", shelf.file(b"first", b"content", mode=0o600, **MINE)), part, **MINE)
    result = restore(shelf, root, back, b"part")
    one, two = back / "part/one", back / "part/two"
    assert one.read_bytes() == b"content" and one.stat().st_ino == two.stat().st_ino and not result.losses
    # A file of that name that is there already is not the one.
    other = back.parent / "other"
    (other / "a").mkdir(parents=True)
    (other / "a/first").write_bytes(b"somebody else's")
    restore(shelf, root, other, b"part/two")
    assert (other / "part/two").read_bytes() == b"content"


def test_a_single_file_source_gets_its_name(shelf: Shelf, back: Path) -> None:
    root = shelf.nodes([shelf.file(b".", b"content", **MINE)])
    result = restore_tree(shelf, root, b"", str(back), name=b"thesis.txt")
    assert (back / "thesis.txt").read_bytes() == b"content" and result.files == 1
    (back / "thesis.txt").write_bytes(b"another")
    with pytest.raises(Refused):
        restore_tree(shelf, root, b"", str(back), name=b"thesis.txt")


def test_what_is_there_is_not_touched_unless_told(shelf: Shelf, back: Path) -> None:
    root = shelf.root(shelf.file(b"f", b"new", **MINE), shelf.directory(b"d", **MINE), **MINE)
    back.mkdir()
    (back / "f").write_bytes(b"old")
    with pytest.raises(Refused) as refused:
        restore(shelf, root, back)
    assert refused.value.reason == "DESTINATION_NOT_EMPTY" and (back / "f").read_bytes() == b"old"
    with pytest.raises(Refused) as refused:
        restore(shelf, root, back, b"f")
    assert refused.value.reason == "EXISTS"
    (back / "extra").write_bytes(b"stays")
    result = restore(shelf, root, back, overwrite=True)
    assert (back / "f").read_bytes() == b"new" and (back / "extra").read_bytes() == b"stays" and not result.losses
    with pytest.raises(Usage):
        restore(shelf, root, back / "f")


def test_a_second_run_finishes_and_rewrites_only_what_differs(shelf: Shelf, back: Path) -> None:
    names = [b"a", b"b", b"c", b"d"]
    files = [shelf.file(name, name * 5000, (recipe.HOLE, 4096), name, **MINE, **TIME) for name in names]
    root = shelf.root(*files, link(b"e", b"d"), **MINE, **TIME)
    restore(shelf, root, back)
    inodes = {name: (back / os.fsdecode(name)).stat().st_ino for name in names}
    with (back / "b").open("r+b") as file:  # a bit flips, the times stay
        file.write(b"X")
    os.utime(back / "b", ns=(NS, NS))
    os.truncate(back / "c", 10)
    (back / "d").unlink()
    result = restore(shelf, root, back, overwrite=True)
    assert not result.losses and result.files == 5
    assert all((back / os.fsdecode(name)).read_bytes() == name * 5000 + bytes(4096) + name for name in names)
    assert (back / "a").stat().st_ino == inodes[b"a"] and (back / "e").stat().st_ino == (back / "d").stat().st_ino
    assert result.skipped == 1 and result.bytes == 3 * (5000 + 4096 + 1)
    again = restore(shelf, root, back, overwrite=True)
    assert (again.skipped, again.bytes) == (5, 0)


def test_overwriting_never_writes_through_another_name(shelf: Shelf, back: Path) -> None:
    precious = back.parent / "precious"
    precious.write_bytes(b"precious")
    back.mkdir()
    os.link(precious, back / "hard")
    (back / "soft").symlink_to(precious)
    (back / "dir").symlink_to(back.parent)
    root = shelf.root(
        shelf.file(b"hard", b"new", **MINE), shelf.file(b"soft", b"new", **MINE),
        shelf.directory(b"dir", shelf.file(b"precious", b"new", **MINE), **MINE), **MINE,
    )  # fmt: skip
    result = restore(shelf, root, back, overwrite=True)
    assert precious.read_bytes() == b"precious" and not result.losses
    assert not (back / "dir").is_symlink() and (back / "dir/precious").read_bytes() == b"new"
    assert (back / "soft").read_bytes() == b"new" and not (back / "soft").is_symlink()


def test_a_part_is_not_restored_through_a_link_that_is_there(shelf: Shelf, back: Path) -> None:
    outside = back.parent / "outside"
    outside.mkdir()
    back.mkdir()
    (back / "a").symlink_to(outside)
    root = shelf.root(shelf.directory(b"a", shelf.file(b"f", b"x", **MINE), **MINE), **MINE)
    with pytest.raises(Refused):
        restore(shelf, root, back, b"a/f")
    assert list(outside.iterdir()) == []
    restore(shelf, root, back, b"a/f", overwrite=True)
    assert list(outside.iterdir()) == [] and (back / "a/f").read_bytes() == b"x"


@pytest.mark.parametrize("name", [b"..", b"../../escaped", b"/escaped", b"a/b", b"", b"nul\0"])
def test_forbidden_names_are_damage(shelf: Shelf, back: Path, name: bytes) -> None:
    evil = shelf.directory(b"evil", shelf.file(name, b"x"), **MINE)
    result = restore(shelf, shelf.root(evil, shelf.file(b"good", b"1", **MINE), **MINE), back)
    assert lost(result) == [("damaged", "evil")]
    assert sorted(path.name for path in back.parent.rglob("*")) == ["back", "evil", "good"]


def test_a_link_and_then_a_directory_of_the_same_name(shelf: Shelf, back: Path) -> None:
    outside = back.parent / "outside"
    outside.mkdir()
    through = shelf.directory(b"d", shelf.file(b"owned", b"x", **MINE), **MINE)
    evil = shelf.split(b"evil", [symlink(b"d", os.fsencode(outside))], [through])
    result = restore(shelf, shelf.root(evil, **MINE), back)
    assert list(outside.iterdir()) == [] and ("exists", "evil/d") in lost(result)
    restore(shelf, shelf.root(evil, **MINE), back, overwrite=True)
    assert list(outside.iterdir()) == [] and (back / "evil/d/owned").read_bytes() == b"x"


@pytest.mark.parametrize(
    "target", [b"/etc/passwd", b"../outside", b"a/../../outside", b"", b".", b"sub", b"self", b"missing", b"way/outside"]
)
def test_hostile_hard_links_link_nothing_outside(shelf: Shelf, back: Path, target: bytes) -> None:
    outside = back.parent / "outside"
    outside.write_bytes(b"secret")
    root = shelf.root(symlink(b"a-way", b".."), link(b"self", target), shelf.directory(b"sub", **MINE), symlink(b"way", b".."), **MINE)
    for overwrite in (False, True):
        result = restore(shelf, root, back, overwrite=overwrite)
        assert outside.stat().st_nlink == 1 and not (back / "self").exists()
        assert [loss.where for loss in result.losses if loss.what in ("damaged", "hostile")] == ["self"]


def test_a_hard_link_through_a_restored_link_is_not_followed(shelf: Shelf, back: Path) -> None:
    (back.parent / "outside").write_bytes(b"secret")
    root = shelf.root(symlink(b"a", b".."), link(b"b", b"a/outside"), **MINE)
    result = restore(shelf, root, back)
    assert (back.parent / "outside").stat().st_nlink == 1 and ("damaged", "b") in lost(result)


def test_damaged_chunks_cost_their_bytes_only(shelf: Shelf, back: Path) -> None:
    bad = b"b" * 5000
    file = shelf.file(b"f", b"a" * 5000, bad, b"c" * 5000, **MINE)
    whole, last = shelf.file(b"whole", bad, **MINE, **TIME), shelf.file(b"z", b"z", **MINE, **TIME)
    root = shelf.root(file._replace(**TIME), whole, last, **MINE, **TIME)
    shelf.broken.add(shelf.put(bad))
    result = restore(shelf, root, back)
    assert (back / "f").read_bytes() == b"a" * 5000 + bytes(5000) + b"c" * 5000
    assert (back / "whole").read_bytes() == bytes(5000) and (back / "z").read_bytes() == b"z"
    assert lost(result) == [("damaged", "f: 5000 bytes at 5000"), ("damaged", "whole: 5000 bytes at 0")]
    # There is nothing more to be had: a second run changes nothing, and tells it again.
    again = restore(shelf, root, back, overwrite=True)
    assert not again.changes and again.skipped == 3 and lost(again) == lost(result)
    # Repaired, the same command with --overwrite fills the gap.
    shelf.broken.clear()
    assert not restore(shelf, root, back, overwrite=True).losses
    assert (back / "f").read_bytes() == b"a" * 5000 + bad + b"c" * 5000


def test_a_damaged_recipe_node_costs_its_range(shelf: Shelf, back: Path) -> None:
    children = [shelf.recipe(letter * 1000, letter * 10) for letter in (b"a", b"b", b"c")]
    upper = shelf.put(recipe.encode(1, [recipe.Entry(recipe.CHILD, 1010, child) for child in children]), TAG_RECIPE)
    root = shelf.root(Entry(b"f", tree.FILE, size=3030, content=tree.RECIPE, digest=upper, **MINE), **MINE)
    shelf.broken.add(children[1])
    result = restore(shelf, root, back)
    assert (back / "f").read_bytes() == b"a" * 1010 + bytes(1010) + b"c" * 1010
    assert lost(result) == [("damaged", "f: 1010 bytes at 1010")]


def test_a_damaged_tree_node_costs_its_entries(shelf: Shelf, back: Path) -> None:
    parts = [[shelf.file(b"%d-%d" % (part, number), b"x", **MINE) for number in range(3)] for part in range(3)]
    directory = shelf.split(b"d", *parts)
    shelf.broken.add(shelf.nodes(parts[1]))
    gone = shelf.directory(b"gone", shelf.file(b"f", b"gone"))
    shelf.broken.add(gone.digest)
    result = restore(shelf, shelf.root(directory, gone, **MINE), back)
    assert sorted(path.name for path in (back / "d").iterdir()) == ["0-0", "0-1", "0-2", "2-0", "2-1", "2-2"]
    assert lost(result) == [("damaged", "d"), ("damaged", "gone")] and "3 entries" in result.losses[0].why
    assert (back / "gone").is_dir()


def test_a_recipe_that_lies_about_its_size_is_damage(shelf: Shelf, back: Path) -> None:
    liar = Entry(b"f", tree.FILE, size=10, content=tree.RECIPE, digest=shelf.recipe((recipe.HOLE, 2**56 - 1)), **MINE)
    short = Entry(b"g", tree.FILE, size=10, content=tree.CHUNK, digest=shelf.put(b"x"), **MINE)
    result = restore(shelf, shelf.root(liar, short, **MINE), back)
    assert (back / "f").read_bytes() == (back / "g").read_bytes() == bytes(10)
    assert lost(result) == [("damaged", "f: 10 bytes at 0"), ("damaged", "g: 10 bytes at 0")]


def test_a_file_too_large_for_the_destination_is_listed(shelf: Shelf, back: Path) -> None:
    size = 2**55
    huge = Entry(b"f", tree.FILE, size=size, content=tree.RECIPE, digest=shelf.recipe((recipe.HOLE, size)), **MINE)
    result = restore(shelf, shelf.root(huge, shelf.file(b"g", b"x", **MINE), **MINE), back)
    assert lost(result) == [("not_restored", "f")] and (back / "g").read_bytes() == b"x"


def test_deep_trees_need_few_descriptors(shelf: Shelf, back: Path) -> None:
    import resource

    entry = shelf.directory(b"d", shelf.file(b"f", b"x", **MINE), **MINE)
    for _ in range(599):
        entry = shelf.directory(b"d", entry, shelf.file(b"f", b"x", **MINE), **MINE, **TIME)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, hard))
    try:
        result = restore(shelf, shelf.root(entry, **MINE), back)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert result.files == 600 and not result.losses
    assert (back / "d/d/d").stat().st_mtime_ns == NS


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MiB."""
    point = tmp_path / "small"
    point.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2M", "tmpfs", str(point)], check=True)
    try:
        yield point
    finally:
        subprocess.run(["umount", str(point)], check=True)


@needs_root
def test_a_full_destination_ends_the_restore_and_a_second_run_goes_on(shelf: Shelf, small: Path) -> None:
    files = [shelf.file(b"%d" % number, os.urandom(600_000), **TIME) for number in range(4)]
    root = shelf.root(*files)
    with pytest.raises(Unavailable) as error:
        restore(shelf, root, small / "back")
    assert error.value.reason == "NO_SPACE" and "--overwrite" in (error.value.hint or "")
    subprocess.run(["mount", "-o", "remount,size=4M", str(small)], check=True)
    result = restore(shelf, root, small / "back", overwrite=True)
    assert not result.losses and result.skipped == 3 and result.files == 4


@needs_root
def test_anybody_but_root_loses_owners_and_devices_only(tmp_path: Path) -> None:
    library = str(Path(__file__).parents[3] / "overlay/usr/local/lib")
    program = f"""
import os, sys
sys.path[:0] = [{library!r}, {str(Path(__file__).parents[2])!r}]
from unit.restore.support import Shelf, symlink
from asl.formats import tree
from asl.formats.tree import Entry
from asl.restore import restore_tree
os.setresgid(12345, 12345, 12345); os.setresuid(12345, 12345, 12345)
shelf = Shelf()
root = shelf.root(shelf.file(b"f", b"x", mode=0o4755), Entry(b"n", tree.CHARACTER, rdev=(1, 3)),
    Entry(b"p", tree.FIFO, 0o600, 12345, 12345),
    shelf.file(b"mine", b"y", mode=0o400, uid=12345, gid=12345, xattrs=((b"user.x", b"1"),)), uid=12345, gid=12345)
result = restore_tree(shelf, root, b"", {str(tmp_path / "open" / "back")!r})
print(sorted((loss.what, loss.where) for loss in result.losses), oct(os.stat({str(tmp_path / "open" / "back" / "f")!r}).st_mode))
"""
    (tmp_path / "open").mkdir()
    os.chown(tmp_path / "open", 12345, 12345)
    for above in (tmp_path, *list(tmp_path.parents)[:2]):
        above.chmod(above.stat().st_mode | 0o011)
    done = subprocess.run([sys.executable, "-B", "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout == "[('device', 'n'), ('owner', 'f')] 0o100755\n", done.stderr
    assert (tmp_path / "open/back/mine").read_bytes() == b"y"
