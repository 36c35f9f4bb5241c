# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names looked at and small files read in batches: both halves against os.stat and the bytes themselves."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from asl.kernel import Kernel
from asl.kernel.files import of

NAMES = [b"a", b"empty", b"folder", b"gone", b"link", b"\xff\xfe", b"fifo", b"attributed"]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[int]:
    (tmp_path / "a").write_bytes(b"content of a")
    (tmp_path / "empty").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("a")
    (Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe"))).write_bytes(b"x" * 5000)
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "attributed").write_bytes(b"has one")
    os.setxattr(tmp_path / "attributed", "user.test", b"value")
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield fd
    os.close(fd)


def test_scan_says_what_stat_says(either: Kernel, folder: int) -> None:
    found = dict(zip(NAMES, either.files.scan(folder, NAMES)))
    assert found.pop(b"gone").error == errno.ENOENT
    attributed = found[b"attributed"].xattrs
    for name, status in found.items():
        real = os.stat(name, dir_fd=folder, follow_symlinks=False)
        assert status == of(real, status.xattrs)
        assert (status.st_mtime_ns, status.st_ctime_ns, status.error) == (real.st_mtime_ns, real.st_ctime_ns, 0)
    assert attributed == len("user.test\0")
    assert found[b"a"].xattrs == found[b"folder"].xattrs == 0
    assert either.files.scan(folder, []) == []


def test_slurp_reads_what_is_as_it_was_seen(either: Kernel, folder: int) -> None:
    names = [b"a", b"gone", b"folder", b"link", b"fifo", b"\xff\xfe", b"attributed"]
    seen = either.files.scan(folder, names)
    into = memoryview(bytearray(8192))
    places = either.files.slurp(folder, names, seen, into)
    assert [place is not None for place in places] == [True, False, False, False, False, True, True]
    contents = [bytes(into[place[0] : place[1]]) for place in places if place]
    assert contents == [b"content of a", b"x" * 5000, b"has one"]


def test_slurp_leaves_what_has_changed_to_the_caller(either: Kernel, folder: int) -> None:
    seen = either.files.scan(folder, [b"a", b"attributed"])
    fd = os.open(b"a", os.O_WRONLY | os.O_APPEND, dir_fd=folder)
    os.write(fd, b" and more")
    os.close(fd)
    into = memoryview(bytearray(100))
    assert either.files.slurp(folder, [b"a", b"attributed"], seen, into) == [None, (0, 7)]


def test_slurp_ends_where_there_is_no_room(either: Kernel, folder: int) -> None:
    names = [b"a", b"\xff\xfe", b"attributed"]
    seen = either.files.scan(folder, names)
    into = memoryview(bytearray(5011))
    assert either.files.slurp(folder, names, seen, into) == [(0, 12)]
    assert either.files.slurp(folder, names, seen, into[:0]) == []
