# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names looked at and small files read in batches: both halves against os.stat and the bytes themselves."""

from __future__ import annotations

import errno
import os
import random
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Optional

import pytest
from unit.watch import ATTRIBUTES, CREATED, MODIFY, Watch

from asl.formats import artifact
from asl.kernel import Kernel
from asl.kernel.files import UNASKED, Content, New, of

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


def test_scan_leaves_the_attributes_of_short_files_to_slurp(either: Kernel, folder: int) -> None:
    os.link(b"a", b"linked", src_dir_fd=folder, dst_dir_fd=folder)
    names = [b"attributed", b"\xff\xfe", b"folder", b"link", b"fifo", b"linked", b"empty", b"gone"]
    asked, later = either.files.scan(folder, names), either.files.scan(folder, names, 5000)
    assert [status.xattrs for status in later] == [UNASKED, *(status.xattrs for status in asked[1:])]
    assert [status[:14] for status in later] == [status[:14] for status in asked]
    assert either.files.scan(folder, names, 5001)[1].xattrs == UNASKED


def test_slurp_reads_what_is_as_it_was_seen(either: Kernel, folder: int) -> None:
    names = [b"a", b"attributed", b"\xff\xfe"]
    into = memoryview(bytearray(8192))
    assert either.files.slurp(folder, names, either.files.scan(folder, names), into) == 3
    assert bytes(into[: 12 + 7 + 5000]) == b"content of a" + b"has one" + b"x" * 5000
    assert either.files.slurp(folder, [], [], into) == 0


@pytest.mark.parametrize("changed", [None, 0, 1, 150, 299])
def test_many_names_come_in_their_order(either: Kernel, tmp_path: Path, changed: Optional[int]) -> None:
    names = [b"%03d" % number for number in range(300)]
    for number, name in enumerate(names):
        (tmp_path / name.decode()).write_bytes(name * (number % 7))
    folder = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        seen = either.files.scan(folder, names, 10_000)
        assert [status[:13] for status in seen] == [of(os.stat(name, dir_fd=folder))[:13] for name in names]
        if changed is not None:
            seen[changed] = seen[changed]._replace(st_size=1, mtime_s=1)
        into = memoryview(bytearray(10_000))
        count = 300 if changed is None else changed
        assert either.files.slurp(folder, names, seen, into) == count
        expected = b"".join(name * (number % 7) for number, name in enumerate(names[:count]))
        assert bytes(into[: len(expected)]) == expected
    finally:
        os.close(folder)


def test_slurp_opens_no_empty_file(either: Kernel, folder: int) -> None:
    names = [b"empty", b"a", b"empty"]
    seen = either.files.scan(folder, names, 5000)
    os.unlink(b"empty", dir_fd=folder)
    assert either.files.slurp(folder, names, seen, memoryview(bytearray(100))) == 3


@pytest.mark.parametrize("other", [b"gone", b"folder", b"link", b"fifo"])
def test_slurp_ends_before_what_is_no_file(either: Kernel, folder: int, other: bytes) -> None:
    names = [b"a", other, b"attributed"]
    into = memoryview(bytearray(8192))
    assert either.files.slurp(folder, names, either.files.scan(folder, names), into) == 1
    assert either.files.slurp(folder, names[1:], either.files.scan(folder, names[1:]), into) == 0


def test_slurp_ends_before_attributes_that_nobody_asked_for(either: Kernel, folder: int) -> None:
    names = [b"a", b"\xff\xfe", b"attributed", b"a"]
    into = memoryview(bytearray(8192))
    assert either.files.slurp(folder, names, either.files.scan(folder, names, 10_000), into) == 2
    os.removexattr(b"/proc/self/fd/%d/attributed" % folder, "user.test")
    assert either.files.slurp(folder, names, either.files.scan(folder, names, 10_000), into) == 4


def test_slurp_leaves_what_has_changed_to_the_caller(either: Kernel, folder: int) -> None:
    names = [b"attributed", b"a", b"\xff\xfe"]
    seen = either.files.scan(folder, names)
    fd = os.open(b"a", os.O_WRONLY | os.O_APPEND, dir_fd=folder)
    os.write(fd, b" and more")
    os.close(fd)
    into = memoryview(bytearray(10_000))
    assert either.files.slurp(folder, names, seen, into) == 1
    assert bytes(into[:7]) == b"has one"


def test_slurp_ends_where_there_is_no_room(either: Kernel, folder: int) -> None:
    names = [b"a", b"\xff\xfe", b"attributed"]
    seen = either.files.scan(folder, names)
    into = memoryview(bytearray(5011))
    assert either.files.slurp(folder, names, seen, into) == 1
    assert either.files.slurp(folder, names, seen, into[:0]) == 0


FILE = New(-1, 0, 1, 0o640, os.geteuid(), os.getegid(), -5, 999_999_999)


def content(*parts: bytes) -> Content:
    spans, at = array("Q"), 0
    for part in parts:
        spans.extend((at, at + len(part)))
        at += len(part)
    digests = b"".join(artifact.digest(part) for part in parts)
    return Content(memoryview(bytearray(b"".join(parts))), spans, digests)


def test_make_makes_files_with_all_that_belongs_to_them(either: Kernel, folder: int) -> None:
    names = [b"one", b"two", b"three", b"\xff"]
    files = [FILE, FILE._replace(first=1, spans=2, mode=0o4755), FILE._replace(spans=0, uid=12, gid=34), FILE._replace(first=2)]
    assert either.files.make(names, _in(folder, files), content(b"first", b"second", b"third")) == b"\1\1\1\1"
    for name, file in zip(names, files):
        found = os.stat(name, dir_fd=folder)
        assert (found.st_mode & 0o7777, found.st_uid, found.st_gid) == (file.mode, file.uid, file.gid)
        assert found.st_mtime_ns == found.st_atime_ns == -4_000_000_001
    assert [_read(folder, name) for name in names] == [b"first", b"secondthird", b"", b"third"]
    assert either.files.make([], [], content()) == b""


@pytest.mark.skipif(os.geteuid() != 0, reason="files of others need root")
def test_make_gives_a_file_to_its_owner_before_anything_is_in_it(either: Kernel, folder: int, tmp_path: Path) -> None:
    watch = Watch(str(tmp_path))
    assert either.files.make([b"new"], _in(folder, [FILE._replace(uid=12, gid=34, mode=0o4755)]), content(b"theirs")) == b"\1"
    assert watch.events(b"new") == [CREATED, ATTRIBUTES, MODIFY, ATTRIBUTES]
    assert os.stat(b"new", dir_fd=folder).st_mode & 0o7777 == 0o4755


def test_make_leaves_nothing_of_what_is_not_usual(either: Kernel, folder: int) -> None:
    made = content(b"right", b"wrong")
    made.data[5:6] = b"W"
    before = sorted(os.listdir(folder))
    names = [b"a", b"folder", b"link", b"fifo", b"folder/inside", b".", b"..", b"n" * 256, b"damaged", b"owner"]
    files = [FILE] * 8 + [FILE._replace(spans=2), FILE._replace(uid=2**32 - 1)]
    assert either.files.make(names, _in(folder, files), made) == bytes(10)
    assert sorted(os.listdir(folder)) == before
    assert _read(folder, b"a") == b"content of a"


def test_make_takes_no_file_that_its_folder_gave_attributes(either: Kernel, folder: int, tmp_path: Path) -> None:
    entries = ((1, 7, 0xFFFFFFFF), (2, 7, 12345), (4, 5, 0xFFFFFFFF), (16, 7, 0xFFFFFFFF), (32, 5, 0xFFFFFFFF))
    acl = (2).to_bytes(4, "little") + b"".join(
        tag.to_bytes(2, "little") + bits.to_bytes(2, "little") + who.to_bytes(4, "little") for tag, bits, who in entries
    )
    os.setxattr(tmp_path, "system.posix_acl_default", acl)
    assert either.files.make([b"new"], _in(folder, [FILE]), content(b"x")) == b"\0"
    assert not (tmp_path / "new").exists()


def test_make_leaves_holes_where_pages_are_zero(native: Kernel, twin: Kernel, folder: int) -> None:
    rng = random.Random(9)
    parts = [rng.randbytes(4096) + bytes(8192), bytes(100), rng.randbytes(5000), bytes(4096 * 3 + 7)]
    files = [FILE._replace(spans=4)]
    for kernel, name in ((native, b"native"), (twin, b"twin")):
        assert kernel.files.make([name], _in(folder, files), content(*parts)) == b"\1"
        assert _read(folder, name) == b"".join(parts)
    blocks = {os.stat(name, dir_fd=folder).st_blocks * 512 for name in (b"native", b"twin")}
    assert len(blocks) == 1
    assert blocks.pop() < sum(map(len, parts)) - 3 * 4096


@pytest.mark.parametrize(
    "wrong", [FILE._replace(first=2), FILE._replace(spans=2), FILE._replace(mode=0o10000), FILE._replace(mtime_ns=10**9)]
)
def test_make_refuses_what_cannot_be(either: Kernel, folder: int, wrong: New) -> None:
    with pytest.raises(ValueError):
        either.files.make([b"x"], _in(folder, [wrong]), content(b"one"))
    outside = content(b"one")
    with pytest.raises(ValueError):
        either.files.make([b"x"], _in(folder, [FILE]), Content(outside.data, array("Q", (0, 4)), outside.digests))
    assert b"x" not in os.listdir(os.fsencode(f"/proc/self/fd/{folder}"))


def _in(folder: int, files: list[New]) -> list[New]:
    return [file._replace(directory=folder) for file in files]


def _read(folder: int, name: bytes) -> bytes:
    with open(os.open(name, os.O_RDONLY, dir_fd=folder), "rb") as file:
        return file.read()
