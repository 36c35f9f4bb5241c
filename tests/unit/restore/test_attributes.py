# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attributes that a destination does not take: told each time, and no difference for ever."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from unit.restore.support import Shelf, symlink
from unit.watch import ATTRIBUTES, CREATED, MODIFY, Watch

from asl.restore import attributes, restore_tree, tree_changes

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounts, and attributes of others, need root")
TIME: dict[str, Any] = {"mtime_s": 1_234_567_890, "mtime_ns": 987_654_321}
# An ACL of its own: the owner, user 1234, the group, the mask, others.
ENTRIES = ((1, 6, 0xFFFFFFFF), (2, 4, 1234), (4, 4, 0xFFFFFFFF), (16, 4, 0xFFFFFFFF), (32, 0, 0xFFFFFFFF))
ACL = b"\2\0\0\0" + b"".join(
    tag.to_bytes(2, "little") + bits.to_bytes(2, "little") + who.to_bytes(4, "little") for tag, bits, who in ENTRIES
)


@pytest.fixture
def plain(tmp_path: Path) -> Iterator[Path]:
    """A file system without extended attributes."""
    subprocess.run(["mount", "-t", "ramfs", "ramfs", str(tmp_path)], check=True)
    try:
        yield tmp_path
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Path]:
    """A file system that takes them all."""
    image, point = tmp_path / "image", tmp_path / "point"
    with image.open("wb") as file:
        file.truncate(8 << 20)
    point.mkdir()
    subprocess.run(["mkfs.ext4", "-q", str(image)], check=True)
    device = subprocess.run(["losetup", "-f", "--show", str(image)], check=True, capture_output=True, text=True).stdout.strip()
    try:
        subprocess.run(["blockdev", "--setrw", device], check=True)
        subprocess.run(["mount", device, str(point)], check=True)
        try:
            point.chmod(0o711)
            yield point
        finally:
            subprocess.run(["umount", str(point)], check=True)
    finally:
        subprocess.run(["losetup", "-d", device], check=True)


def sample(shelf: Shelf) -> bytes:
    xattrs = ((b"system.posix_acl_access", ACL), (b"trusted.t", b"1"), (b"user.u", b"2"))
    sub = shelf.directory(b"sub", shelf.file(b"inside", b"x", mode=0o640, xattrs=xattrs, **TIME), xattrs=((b"user.d", b"3"),), **TIME)
    return shelf.root(shelf.file(b"f", b"content", mode=0o640, xattrs=xattrs, **TIME), sub, symlink(b"way", b"f")._replace(**TIME), **TIME)


def test_what_the_file_system_refuses_is_told_each_time_and_changes_nothing(plain: Path) -> None:
    shelf, back = Shelf(), str(plain / "back")
    root = sample(shelf)
    first = restore_tree(shelf, root, b"", back)
    told = [(loss.what, loss.where, loss.why.split(":")[0]) for loss in first.losses]
    names = ["system.posix_acl_access", "trusted.t", "user.u"]
    assert told == [("xattrs", where, name) for where in ("f", "sub/inside") for name in names] + [("xattrs", "sub", "user.d")]
    for overwrite in (False, True):
        assert not tree_changes(shelf, root, b"", back, overwrite=overwrite)
        again = restore_tree(shelf, root, b"", back, overwrite=overwrite, verify=True)
        assert not again.changes and again.losses == first.losses and again.skipped == again.files
    # Everything else is a difference all the same.
    (plain / "back/f").chmod(0o600)
    predicted = tree_changes(shelf, root, b"", back, overwrite=True)
    assert predicted.listed == [("f", "attributes")] == restore_tree(shelf, root, b"", back, overwrite=True).changes.listed


def test_asking_whether_an_attribute_may_be_set_sets_none(full: Path) -> None:
    shelf, back = Shelf(), full / "back"
    root = sample(shelf)
    assert not restore_tree(shelf, root, b"", str(back)).losses
    os.removexattr(back / "f", "user.u")
    os.removexattr(back / "f", "system.posix_acl_access")
    (back / "f").chmod(0o640)
    os.setxattr(back / "f", "trusted.t", b"other")
    os.setxattr(back / "f", "user.more", b"one too many")
    os.setxattr(back / "sub", "user.d", b"other")
    before = {name: (attributes.state(os.fsencode(back / name)), (back / name).stat().st_ctime_ns) for name in ("f", "sub")}
    assert [each.path for each in tree_changes(shelf, root, b"", str(back), overwrite=True).listed] == ["f", "sub"]
    assert {name: (attributes.state(os.fsencode(back / name)), (back / name).stat().st_ctime_ns) for name in ("f", "sub")} == before
    restore_tree(shelf, root, b"", str(back), overwrite=True)
    assert not tree_changes(shelf, root, b"", str(back))


def test_a_file_has_its_owner_before_anything_is_in_it(full: Path) -> None:
    shelf, back = Shelf(), full / "back"
    back.mkdir()
    watch = Watch(str(back))
    entry = shelf.file(b"f", b"theirs", mode=0o4750, uid=12, gid=34, xattrs=((b"user.u", b"1"),), **TIME)
    assert not restore_tree(shelf, shelf.root(entry, **TIME), b"", str(back)).losses
    assert watch.events(b"f") == [CREATED, ATTRIBUTES, MODIFY, ATTRIBUTES]
    assert (back / "f").stat().st_mode & 0o7777 == 0o4750


def test_what_only_root_may_set_is_no_difference_to_others(full: Path) -> None:
    (full / "open").mkdir(mode=0o777)
    os.chown(full / "open", 12345, 12345)
    library = str(Path(__file__).parents[3] / "overlay/usr/local/lib")
    program = f"""
import os, sys
sys.path[:0] = [{library!r}, {str(Path(__file__).parents[2])!r}]
from unit.restore.support import Shelf
from asl.restore import restore_tree, tree_changes
os.chdir({str(full / "open")!r})
os.setresgid(12345, 12345, 12345); os.setresuid(12345, 12345, 12345)
shelf, mine = Shelf(), dict(uid=12345, gid=12345)
root = shelf.root(shelf.file(b"f", b"x", xattrs=((b"trusted.t", b"1"), (b"user.u", b"2")), **mine), **mine)
for overwrite in (False, False, True):
    result = restore_tree(shelf, root, b"", "back", overwrite=overwrite)
    print([(loss.what, loss.where) for loss in result.losses], [tuple(each) for each in result.changes.listed])
os.setxattr("back/f", "user.u", b"3")
print([tuple(each) for each in tree_changes(shelf, root, b"", "back", overwrite=True).listed])
"""
    done = subprocess.run([sys.executable, "-B", "-c", program], capture_output=True, text=True, check=False)
    lost = "[('xattrs', 'f')]"
    assert done.stdout == f"{lost} [('.', 'make'), ('f', 'make')]\n{lost} []\n{lost} []\n[('f', 'attributes')]\n", done.stderr
