# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A restored tree that is read again: what the disk does not give back as it was written is a loss, and ends nothing."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from unit.restore.support import Shelf, link, symlink

from asl.errors import Unavailable
from asl.formats import recipe, tree
from asl.formats.tree import Entry
from asl.restore import RestoreResult, restore_tree

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounts need root")
NS = 1_234_567_890_987_654_321
MINE: dict[str, Any] = {"uid": os.geteuid(), "gid": os.getegid(), "mtime_s": NS // 10**9, "mtime_ns": NS % 10**9}
OTHER, UNSET = "the disk gives back something else than was written", "it does not have the attributes that it was given"


def sample(shelf: Shelf) -> bytes:
    sub = shelf.directory(b"sub", shelf.file(b"x", b"1" * 9000, **MINE), link(b"y", b"plain"), mode=0o750, **MINE)
    return shelf.root(
        sub, shelf.file(b"holes", b"a" * 5000, (recipe.HOLE, 9000), (recipe.UNREAD, 512), **MINE), shelf.file(b"plain", b"content", **MINE),
        symlink(b"way", b"plain")._replace(**MINE), Entry(b"zpipe", tree.FIFO, 0o600, **MINE), **MINE,
    )  # fmt: skip


def verified(shelf: Shelf, root: bytes, back: Path, meanwhile: Callable[[], object], path: bytes = b"", *, files: int = 6) -> RestoreResult:
    """Restore and read back; MEANWHILE happens when the last of so many FILES is made."""

    def progress(result: RestoreResult) -> None:
        if result.files == files:
            meanwhile()

    result = restore_tree(shelf, root, path, str(back), verify=True, progress=progress)
    assert result.files == files and result.verified
    return result


def spoil(path: Path, at: int = 0) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(b"X")
    os.utime(path, ns=(NS, NS))


def unwritten(result: RestoreResult) -> list[tuple[str, str]]:
    return [(loss.where, loss.why) for loss in result.losses if loss.what == "not_written"]


def test_what_is_right_is_no_loss(shelf: Shelf, back: Path) -> None:
    for _ in range(2):
        result = verified(shelf, sample(shelf), back, lambda: None)
        assert [loss.what for loss in result.losses] == ["unread"]
    part = verified(shelf, sample(shelf), back.parent / "part", lambda: None, b"sub/x", files=1)
    assert part.losses == []


@pytest.mark.parametrize(
    ("change", "where", "why"),
    [
        (lambda at: spoil(at / "plain"), "plain", OTHER),
        (lambda at: spoil(at / "holes", 6000), "holes", OTHER),
        (lambda at: spoil(at / "holes", 14_100), "holes", OTHER),
        (lambda at: (at / "way").unlink(), "way", OTHER),
        (lambda at: (at / "zpipe").chmod(0o666), "zpipe", UNSET),
        (lambda at: (at / "plain").chmod(0o600), "plain", UNSET),
    ],
    ids=["data", "hole", "unread", "gone", "mode of a fifo", "mode of a file"],
)
def test_what_is_not_given_back_is_a_loss_and_stays(
    shelf: Shelf, back: Path, change: Callable[[Path], object], where: str, why: str
) -> None:
    result = verified(shelf, sample(shelf), back, lambda: change(back))
    assert (where, why) in unwritten(result)
    assert {each for each, _why in unwritten(result)} <= {where, "sub/y"}
    assert not list(back.glob("*.asl"))
    again = restore_tree(shelf, sample(shelf), b"", str(back), overwrite=True, verify=True)
    assert unwritten(again) == [] and where in [each.path for each in again.changes.listed]


def test_a_directory_that_is_gone_is_a_loss_of_all_in_it(shelf: Shelf, back: Path) -> None:
    # Its descriptor is open until its attributes are set, which is done to what is gone.
    result = verified(shelf, sample(shelf), back, lambda: shutil.rmtree(back / "sub"))
    assert unwritten(result) == [(name, OTHER) for name in ("sub", "sub/x", "sub/y")]
    result = verified(shelf, sample(shelf), back.parent / "part", lambda: shutil.rmtree(back.parent / "part/sub"), b"sub/x", files=1)
    assert ("sub/x", OTHER) in unwritten(result)


@pytest.fixture
def lowest() -> Iterator[int]:
    """The number that the next descriptor gets; from it on all are free, whatever was open before."""
    highest = max(int(name) for name in os.listdir("/proc/self/fd"))
    taken = [os.open("/", os.O_PATH)]
    while taken[-1] <= highest:
        taken.append(os.dup(taken[0]))
    os.close(taken[-1])
    yield taken.pop()
    for fd in taken:
        os.close(fd)


def test_what_cannot_be_looked_at_is_a_loss_and_the_end_of_nothing(shelf: Shelf, back: Path, lowest: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    why = "it cannot be read again: Too many open files"
    cases: tuple[tuple[int, list[tuple[str, str]]], ...] = (
        (1, [(".", why)]),
        # The destination gets the lowest number.
        (lowest + 2, [("holes", OTHER), ("plain", OTHER), ("sub", why)]),  # one more: the directory itself
    )
    for most, wanted in cases:
        try:
            result = verified(shelf, sample(shelf), back, lambda most=most: resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard)))
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert unwritten(result) == wanted
        shutil.rmtree(back)


def test_what_was_told_before_is_not_told_twice(shelf: Shelf, back: Path) -> None:
    bad = b"b" * 5000
    root = shelf.root(
        shelf.file(b"damaged", b"a", bad, **MINE), link(b"hostile", b"sub"), shelf.directory(b"sub", **MINE), link(b"zmissing", b"nowhere"),
        **MINE,
    )  # fmt: skip
    shelf.broken.add(shelf.put(bad))
    result = verified(shelf, root, back, lambda: None, files=1)
    assert [(loss.what, loss.where) for loss in result.losses] == [
        ("damaged", "damaged: 5000 bytes at 1"), ("hostile", "hostile"), ("damaged", "zmissing"),
    ]  # fmt: skip


@needs_root
def test_what_the_disk_does_not_take_in_the_end_is_not_called_done(shelf: Shelf, tmp_path: Path) -> None:
    small, point = tmp_path / "small", tmp_path / "point"
    small.mkdir()
    point.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3M", "tmpfs", str(small)], check=True)
    try:
        with (small / "image").open("wb") as file:
            file.truncate(32 << 20)
        subprocess.run(["mkfs.ext4", "-q", "-O", "^has_journal", "-N", "64", str(small / "image")], check=True)
        device = subprocess.run(["losetup", "-f", "--show", str(small / "image")], check=True, capture_output=True, text=True)
        loop = device.stdout.strip()
        subprocess.run(["blockdev", "--setrw", loop], check=True)
        subprocess.run(["mount", loop, str(point)], check=True)
        try:
            root = shelf.root(shelf.file(b"f", os.urandom(8 << 20), **MINE), **MINE)
            with pytest.raises(Unavailable) as error:
                restore_tree(shelf, root, b"", str(point / "back"))
            assert error.value.reason in ("IO_ERROR", "NO_SPACE") and str(point / "back") in error.value.message
        finally:
            subprocess.run(["umount", str(point)], check=True)
            subprocess.run(["losetup", "-d", loop], check=True)
    finally:
        subprocess.run(["umount", str(small)], check=True)
