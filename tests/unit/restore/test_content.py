# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks and streams written back to files and devices."""

from __future__ import annotations

import os
import random
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Optional

import pytest
from unit.restore.support import Shelf

from asl.errors import Damaged, Refused, Unavailable, Usage
from asl.formats import recipe
from asl.formats.artifact import TAG_RECIPE
from asl.restore import content_changes, plan_content, restore_content, sinks
from asl.restore.content import pour
from asl.restore.ranges import recipe_ranges
from asl.restore.sinks import PAGE, Device, NewFile, OldFile, stretches

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="loop devices need root")
PARTS = (b"a" * 70_000, (recipe.HOLE, 8 << 20), b"b" * 70_000, (recipe.UNREAD, 8192), b"c" * 1536)
SIZE = sum(len(part) if isinstance(part, bytes) else part[1] for part in PARTS)
CONTENT = b"".join(part if isinstance(part, bytes) else bytes(part[1]) for part in PARTS)
UNREAD_AT = 140_000 + (8 << 20)


@pytest.fixture
def loop(tmp_path: Path) -> Iterator[str]:
    image = tmp_path / "disk"
    image.write_bytes(os.urandom(10 << 20))
    device = subprocess.run(["losetup", "-f", "--show", str(image)], check=True, capture_output=True, text=True).stdout.strip()
    subprocess.run(["blockdev", "--setrw", device], check=True)
    try:
        yield device
    finally:
        subprocess.run(["losetup", "-d", device], check=True)


def test_a_disk_goes_into_a_sparse_file(shelf: Shelf, tmp_path: Path) -> None:
    file = tmp_path / "disk.img"
    result = restore_content(shelf, shelf.recipe(*PARTS), str(file), size=SIZE)
    assert file.read_bytes() == CONTENT and file.stat().st_blocks * 512 < 300_000
    assert (result.files, result.bytes) == (1, SIZE)
    assert [(loss.what, loss.where) for loss in result.losses] == [("unread", f"{file}: 8192 bytes at {UNREAD_AT}")]


def test_a_file_that_is_there_is_refused_and_with_overwrite_completed(shelf: Shelf, tmp_path: Path) -> None:
    file, digest = tmp_path / "disk.img", shelf.recipe(*PARTS)
    file.write_bytes(b"a" * 70_000 + b"junk" * 10_000)
    with pytest.raises(Refused) as refused:
        restore_content(shelf, digest, str(file), size=SIZE)
    assert refused.value.reason == "EXISTS"
    restore_content(shelf, digest, str(file), size=SIZE, overwrite=True)
    assert file.read_bytes() == CONTENT
    # What is right already is not fetched again: the store may even have lost it.
    shelf.broken.add(shelf.put(b"a" * 70_000))
    assert [loss.what for loss in restore_content(shelf, digest, str(file), size=SIZE, overwrite=True).losses] == ["unread"]
    file.write_bytes(b"longer" * 3_000_000)
    assert [loss.what for loss in restore_content(shelf, digest, str(file), size=SIZE, overwrite=True).losses] == ["damaged", "unread"]
    assert file.read_bytes() == bytes(70_000) + CONTENT[70_000:]


def test_wrong_kinds_of_destination_are_usage_errors(shelf: Shelf, tmp_path: Path) -> None:
    digest = shelf.recipe(*PARTS)
    for path, device in ((str(tmp_path), False), ("/dev/null", False), (str(tmp_path / "none"), True), ("/dev/null", True)):
        with pytest.raises(Usage):
            restore_content(shelf, digest, path, size=SIZE, device=device, overwrite=True)


@needs_root
def test_a_device_is_named_before_it_is_overwritten(shelf: Shelf, loop: str, tmp_path: Path) -> None:
    digest, before = shelf.recipe(*PARTS), (tmp_path / "disk").read_bytes()
    with pytest.raises(Refused) as refused:
        restore_content(shelf, digest, loop, size=SIZE, device=True)
    assert refused.value.reason == "EXISTS" and str(tmp_path / "disk") in refused.value.message and str(10 << 20) in refused.value.message
    assert (tmp_path / "disk").read_bytes() == before
    for named in (None, "WD-123"):
        with pytest.raises(Refused) as refused:
            restore_content(shelf, digest, loop, size=SIZE, device=True, overwrite=True, serial=named)
        assert refused.value.reason == "SERIAL_NEEDED" and str(tmp_path / "disk") in str(refused.value.hint)
    assert (tmp_path / "disk").read_bytes() == before
    serial = str(tmp_path / "disk")
    result = restore_content(shelf, digest, loop, size=SIZE, device=True, overwrite=True, serial=serial, verify=True)
    unread = [tuple(map(int, loss.where.rsplit(": ", 1)[1].split(" bytes at "))) for loss in result.losses]
    wanted = bytearray(CONTENT + before[SIZE:])
    for length, at in unread:
        wanted[at : at + length] = before[at : at + length]  # what nobody could read is left as it is
    assert unread and (tmp_path / "disk").read_bytes() == wanted and result.verified
    with pytest.raises(Refused) as refused:
        restore_content(shelf, digest, loop, size=11 << 20, device=True, overwrite=True, serial=serial)
    assert refused.value.reason == "TOO_SMALL"


@needs_root
def test_a_blank_device_needs_no_naming(shelf: Shelf, loop: str, tmp_path: Path) -> None:
    (tmp_path / "disk").write_bytes(bytes(10 << 20))
    assert restore_content(shelf, shelf.recipe(*PARTS), loop, size=SIZE, device=True, verify=True).verified
    assert (tmp_path / "disk").read_bytes()[:SIZE] == CONTENT


def test_what_the_disk_does_not_give_back_is_a_loss(shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from asl.restore import content

    digest, file = shelf.recipe(*PARTS), tmp_path / "file"

    def spoil(fd: int, _at: int, _length: int) -> None:
        os.pwrite(fd, b"spoilt", 1000)

    monkeypatch.setattr(content, "drop_cache", spoil)
    losses = restore_content(shelf, digest, str(file), size=SIZE, verify=True).losses
    assert [loss.what for loss in losses] == ["unread", "not_written"]


def test_a_plan_says_what_would_be_written(shelf: Shelf) -> None:
    plan = plan_content(shelf, shelf.recipe(*PARTS), SIZE)
    assert sum(plan.values()) == SIZE and plan["unread"] and plan["data"] and not plan["lost"]


@needs_root
def test_a_mounted_device_is_never_overwritten(shelf: Shelf, loop: str, tmp_path: Path) -> None:
    point = tmp_path / "mnt"
    point.mkdir()
    subprocess.run(["mkfs.ext4", "-q", "-F", loop], check=True)
    subprocess.run(["mount", loop, str(point)], check=True)
    try:
        with pytest.raises(Refused) as refused:
            restore_content(shelf, shelf.recipe(*PARTS), loop, size=SIZE, device=True, overwrite=True)
        assert refused.value.reason == "DESTINATION_MOUNTED" and str(point) in refused.value.message
    finally:
        subprocess.run(["umount", str(point)], check=True)


def test_only_zero_pages_of_the_file_are_left_out() -> None:
    chance = random.Random(7)
    for _ in range(300):
        size = chance.randrange(1, 60_000)
        data = bytearray(chance.randbytes(size))
        for _ in range(chance.randrange(4)):
            start = chance.randrange(size)
            data[start : start + chance.randrange(20_000)] = bytes(len(data[start : start + 20_000]))
        at, whole = chance.randrange(20_000), bytes(data)
        back, last = bytearray(len(whole)), 0
        for start, end in stretches(at, whole):
            assert last <= start < end <= len(whole)
            assert not any(whole[last:start]), "only zeros are left out"
            back[start:end] = whole[start:end]
            last = end
        assert bytes(back) == whole
        # Whole pages of zeros are left out, wherever the data begins.
        written = {page for start, end in stretches(at, whole) for page in range((at + start) // PAGE, (at + end - 1) // PAGE + 1)}
        first = -(-at // PAGE)
        for page in range(first, (at + len(whole)) // PAGE):
            if not any(whole[page * PAGE - at : (page + 1) * PAGE - at]):
                assert page not in written


@pytest.mark.parametrize("sink", [NewFile, OldFile, Device])
def test_what_lies_together_is_written_together_however_little_the_system_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sink: type[NewFile]
) -> None:
    monkeypatch.setattr(sinks, "_VECTORS", 5)
    chance = random.Random(3)
    parts = [chance.randbytes(chance.randrange(1, 9000)) for _ in range(40)] + [bytes(20_000), b"", b"end"]
    calls: list[int] = []
    real = os.pwritev

    def short(fd: int, buffers: list[memoryview], at: int) -> int:
        calls.append(len(buffers))
        whole = b"".join(buffers)
        return real(fd, [whole[: max(1, len(whole) // 2)]], at)

    monkeypatch.setattr(os, "pwritev", short)
    fd = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    try:
        made = sink(fd)
        made.write(100, parts)
        assert made.written == sum(map(len, parts)) - (20_000 if sink is NewFile else 0)
    finally:
        os.close(fd)
    assert (tmp_path / "file").read_bytes() == bytes(100) + b"".join(parts)
    assert max(calls) == 5


class Moody(Shelf):
    """It cannot read one chunk the first time, and can the second time."""

    def __init__(self) -> None:
        super().__init__()
        self.moods: set[bytes] = set()

    def payload(self, digest: bytes, type_tag: Optional[int] = None) -> bytes:
        if digest in self.moods:
            self.moods.remove(digest)
            raise Damaged("it cannot be read just now")
        return super().payload(digest, type_tag)


@needs_root
@pytest.mark.parametrize("overwrite", [False, True], ids=["EXISTS", "SERIAL_NEEDED"])
def test_a_device_that_nobody_named_is_not_written_to_when_the_store_changes_its_mind(loop: str, tmp_path: Path, overwrite: bool) -> None:
    shelf, data = Moody(), (tmp_path / "disk").read_bytes()
    digest = shelf.recipe(data[:70_000], b"another" * 10_000, data[140_000:200_000])
    shelf.moods.add(shelf.put(b"another" * 10_000))
    result = restore_content(shelf, digest, loop, size=200_000, device=True, overwrite=overwrite)
    assert (tmp_path / "disk").read_bytes() == data
    assert result.skipped == 1 and not result.changes
    assert [(loss.what, loss.where) for loss in result.losses] == [("damaged", f"{loop}: 70000 bytes at 70000")]
    with pytest.raises(Refused) as refused:
        restore_content(shelf, digest, loop, size=200_000, device=True, overwrite=overwrite)
    assert refused.value.reason == ("SERIAL_NEEDED" if overwrite else "EXISTS")
    assert (tmp_path / "disk").read_bytes() == data


@needs_root
def test_what_must_not_be_overwritten_is_never_open_for_writing(shelf: Shelf, loop: str, tmp_path: Path) -> None:
    data = (tmp_path / "disk").read_bytes()
    same, other = shelf.recipe(data[:70_000]), shelf.recipe(b"other" * 14_000)
    subprocess.run(["blockdev", "--setro", loop], check=True)
    assert restore_content(shelf, same, loop, size=70_000, device=True, verify=True).skipped == 1
    for ask in (restore_content, content_changes):
        with pytest.raises(Refused) as refused:
            ask(shelf, other, loop, size=70_000, device=True)
        assert refused.value.reason == "EXISTS"
        with pytest.raises(Refused) as refused:
            ask(shelf, other, loop, size=70_000, device=True, overwrite=True, serial=str(tmp_path / "disk"))
        assert refused.value.reason == "DESTINATION_IN_USE" and "write-protected" in refused.value.message
    point = tmp_path / "point"
    point.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(point)], check=True)
    try:
        (point / "file").write_bytes(data[:70_000])
        subprocess.run(["mount", "-o", "remount,ro", str(point)], check=True)
        assert restore_content(shelf, same, str(point / "file"), size=70_000, verify=True).skipped == 1
        for ask in (restore_content, content_changes):
            with pytest.raises(Refused) as refused:
                ask(shelf, other, str(point / "file"), size=70_000)
            assert refused.value.reason == "EXISTS"
            with pytest.raises(Unavailable) as unavailable:
                ask(shelf, other, str(point / "file"), size=70_000, overwrite=True)
            assert unavailable.value.reason == "WRITE_FAILED"
    finally:
        subprocess.run(["umount", str(point)], check=True)


def test_the_first_difference_is_the_refusal(tmp_path: Path) -> None:
    class Counting(Shelf):
        asked = 0

        def payload(self, digest: bytes, type_tag: Optional[int] = None) -> bytes:
            self.asked += type_tag == TAG_RECIPE
            return super().payload(digest, type_tag)

    shelf, part = Counting(), bytes([7]) * 300_000
    children = [recipe.Entry(recipe.CHILD, 8 * len(part), shelf.recipe(*[bytes([n]) + part[1:]] * 8)) for n in range(1, 60)]
    digest = shelf.put(recipe.encode(1, children), TAG_RECIPE)
    size = sum(each.length for each in children)
    file = tmp_path / "file"
    with file.open("wb") as empty:
        empty.truncate(size)
    for ask in (restore_content, content_changes):
        shelf.asked = 0
        with pytest.raises(Refused):
            ask(shelf, digest, str(file), size=size)
        assert 0 < shelf.asked < 20


def test_nobody_writes_any_more_when_pouring_has_failed(tmp_path: Path) -> None:
    began, failed, ended = threading.Event(), threading.Event(), threading.Event()
    slow, bad = b"slow" * 500_000, b"bad" * 500_000

    class Uneven(Shelf):
        def payload(self, digest: bytes, type_tag: Optional[int] = None) -> bytes:
            found = super().payload(digest, type_tag)
            if found == bad:
                began.wait()
                raise Unavailable("the store is gone")
            if found == slow:
                began.set()
                failed.wait(0.5)  # whoever returns before this thread has ended is caught below
                ended.set()
            return found

    shelf = Uneven()
    digest = shelf.recipe(bad, slow)
    fd = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    try:
        with ThreadPoolExecutor(2) as pool:
            with pytest.raises(Unavailable):
                wanted = recipe_ranges(shelf, digest, len(bad + slow))
                pour(shelf, wanted, NewFile(fd), lambda *_loss: None, lambda _length: None, pool=pool)
            there = ended.is_set()
            failed.set()
        assert there, "a thread still had the descriptor"
    finally:
        os.close(fd)


def test_a_chunk_that_nobody_has_is_one_loss_and_an_unread_range_is_read_back_too(
    shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from asl.restore import content

    digest, file = shelf.recipe(*PARTS), tmp_path / "file"
    shelf.broken.add(shelf.put(b"b" * 70_000))
    assert [loss.what for loss in restore_content(shelf, digest, str(file), size=SIZE, verify=True).losses] == ["damaged", "unread"]
    file.unlink()
    monkeypatch.setattr(content, "drop_cache", lambda fd, _at, _length: os.pwrite(fd, b"spoilt", UNREAD_AT))
    losses = restore_content(shelf, digest, str(file), size=SIZE, verify=True).losses
    assert [loss.what for loss in losses] == ["damaged", "unread", "not_written"] and losses[-1].where.endswith(f" at {UNREAD_AT}")


@needs_root
def test_a_full_disk_ends_in_one_sentence_and_a_second_run_goes_on(shelf: Shelf, tmp_path: Path) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4M", "tmpfs", str(tmp_path)], check=True)
    try:
        parts = [os.urandom(300_000) for _ in range(20)]
        digest, size, file = shelf.recipe(*parts), 6_000_000, tmp_path / "file"
        with pytest.raises(Unavailable) as error:
            restore_content(shelf, digest, str(file), size=size)
        assert error.value.reason == "NO_SPACE" and str(file) in error.value.message and "--overwrite" in str(error.value.hint)
        subprocess.run(["mount", "-o", "remount,size=8M", str(tmp_path)], check=True)
        result = restore_content(shelf, digest, str(file), size=size, overwrite=True, verify=True)
        assert file.read_bytes() == b"".join(parts) and not result.losses
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)
