# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks and streams written back to files and devices."""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from unit.restore.support import Shelf

from asl.errors import Refused, Usage
from asl.formats import recipe
from asl.restore import plan_content, restore_content
from asl.restore.sinks import PAGE, stretches

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="loop devices need root")
PARTS = (b"a" * 70_000, (recipe.HOLE, 8 << 20), b"b" * 70_000, (recipe.UNREAD, 8192), b"c" * 1536)
SIZE = sum(len(part) if isinstance(part, bytes) else part[1] for part in PARTS)
CONTENT = b"".join(part if isinstance(part, bytes) else bytes(part[1]) for part in PARTS)
UNREAD_AT = 140_000 + (8 << 20)


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


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
