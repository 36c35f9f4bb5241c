# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""fs: on real filesystems, clean and as a power cut leaves them. Nothing may ever be written to them."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from asl import system
from asl.errors import Refused, Unavailable, Usage
from asl.sources.fs import NO_REPLAY, NOT_REPLAYED, FilesystemSource
from asl.sources.guard import Guard, is_read_only, set_read_only
from asl.sources.open import open_source

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
MKFS = {
    "ext4": ["mkfs.ext4", "-q", "-F", "-L", "crashed"],
    "xfs": ["mkfs.xfs", "-q", "-f", "-L", "crashed"],
    "btrfs": ["mkfs.btrfs", "-q", "-f", "-L", "crashed"],
}


def run(*argv: str) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()


def digest(path: Path) -> str:
    hasher = hashlib.sha256()
    with path.open("rb") as file:
        while data := file.read(1 << 20):
            hasher.update(data)
    return hasher.hexdigest()


def write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


@pytest.fixture(scope="module", params=sorted(MKFS))
def images(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path, Path]:
    """(type, clean image, the same as it was while mounted: 20 files in place, 5 in the journal only)."""
    kind, folder = request.param, tmp_path_factory.mktemp(request.param)
    live, dirty, point = folder / "clean.img", folder / "dirty.img", folder / "mnt"
    point.mkdir()
    with live.open("wb") as file:
        file.truncate(320 << 20)
    run(*MKFS[kind], str(live))
    run("mount", "-o", "loop", str(live), str(point))
    try:
        (point / "dir").mkdir()
        for number in range(20):
            write(point / "dir" / f"old-{number}", b"old" * number)
        # Unmounted once, all of that is in its place: after a mere sync xfs has it in its log only.
        run("umount", str(point))
        run("mount", "-o", "loop", str(live), str(point))
        for number in range(5):
            write(point / f"new-{number}", b"new")
        run("cp", "--sparse=always", str(live), str(dirty))
    finally:
        run("umount", str(point))
    return kind, live, dirty


@pytest.fixture(autouse=True)
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ASL_RUN_DIR", str(tmp_path / "run"))
    return tmp_path / "run"


@pytest.fixture
def loop(images: tuple[str, Path, Path]) -> Iterator[str]:
    """A writable loop device over the dirty image."""
    device = run("losetup", "-f", "--show", str(images[2]))
    set_read_only(device, False)
    try:
        yield device
    finally:
        set_read_only(device, False)
        run("losetup", "-d", device)


def files(source: FilesystemSource) -> dict[bytes, bytes]:
    found = {}
    for visit in source.walk():
        content = b"".join(bytes(piece.data) for piece in visit.pieces() if piece.data is not None)
        if visit.kind == "node":
            found[visit.path] = content
    return found


def opened(spec: str) -> FilesystemSource:
    source = open_source(spec)
    assert isinstance(source, FilesystemSource)
    return source


def loops_over(image: Path) -> list[str]:
    return [device.path for device in system.block_devices() if device.backing_file == str(image)]


def nothing_is_left(runtime: Path) -> bool:
    mounted = any(mount.mount_point.startswith(str(runtime)) for mount in system.mounts())
    left = [path.name for path in (runtime / "mnt").iterdir() if path.suffix != ".lock"]
    return not mounted and not left


def test_a_clean_image_is_seen_whole_and_stays_as_it_is(images: tuple[str, Path, Path], runtime: Path) -> None:
    kind, clean, _ = images
    before = digest(clean)
    with opened(f"fs:{clean}") as source:
        found = files(source)
        told = source.details()
        assert source.estimate()
    assert source.view is None and not source.losses
    assert len([path for path in found if b"new-" in path]) == 5 and found[b"dir/old-3"] == b"old" * 3
    assert (told["filesystem"], told["label"], source.kind, source.root_kind) == (kind, "crashed", "fs", "tree")
    assert digest(clean) == before and nothing_is_left(runtime) and not loops_over(clean)


def test_a_dirty_device_is_seen_without_its_journal_and_stays_as_it_is(images: tuple[str, Path, Path], loop: str, runtime: Path) -> None:
    before = digest(images[2])
    with opened(f"fs:{loop}") as source:
        assert is_read_only(loop)
        found = files(source)
        assert source.details()["view"] == NOT_REPLAYED
    assert source.view == NOT_REPLAYED and source.notes
    assert sorted(path for path in found if path.startswith(b"dir/")) == sorted(b"dir/old-%d" % number for number in range(20))
    assert not is_read_only(loop)
    run("blockdev", "--flushbufs", loop)
    assert digest(images[2]) == before and nothing_is_left(runtime)


def test_a_dirty_image_file_is_seen_the_same_way(images: tuple[str, Path, Path], runtime: Path) -> None:
    before = digest(images[2])
    with opened(f"fs:{images[2]}") as source:
        assert b"dir/old-19" in files(source)
    assert source.view == NOT_REPLAYED and digest(images[2]) == before and nothing_is_left(runtime)


def test_a_device_that_was_read_only_stays_read_only(loop: str) -> None:
    set_read_only(loop, True)
    with opened(f"fs:{loop}"):
        pass
    assert is_read_only(loop)


def test_everything_is_put_back_after_an_error(loop: str, runtime: Path) -> None:
    with pytest.raises(ZeroDivisionError), opened(f"fs:{loop}") as source:
        next(source.walk())
        raise ZeroDivisionError
    assert not is_read_only(loop) and nothing_is_left(runtime)


def test_a_reader_that_stops_within_a_file_does_not_keep_the_mount(loop: str, runtime: Path) -> None:
    with opened(f"fs:{loop}") as source:
        half_read = next(pieces for visit in source.walk() for pieces in [visit.pieces()] if next(pieces, None))
    assert nothing_is_left(runtime) and not is_read_only(loop)
    half_read.close()  # type: ignore[attr-defined]


def test_a_device_mounted_read_write_is_refused(images: tuple[str, Path, Path], tmp_path: Path) -> None:
    copy, point = tmp_path / "copy.img", tmp_path / "elsewhere"
    point.mkdir()
    run("cp", "--sparse=always", str(images[1]), str(copy))
    device = run("losetup", "-f", "--show", str(copy))
    set_read_only(device, False)
    run("mount", "-o", "nouuid" if images[0] == "xfs" else "rw", device, str(point))
    try:
        for spec in (f"fs:{device}", f"fs:{copy}"):
            with pytest.raises(Refused) as refused, opened(spec):
                pass
            assert refused.value.reason == "SOURCE_MOUNTED_RW" and str(point) in refused.value.message
        assert not is_read_only(device)
    finally:
        run("umount", str(point))
        run("losetup", "-d", device)


def test_a_device_that_is_mounted_without_its_journal_already_is_labelled(
    images: tuple[str, Path, Path], loop: str, tmp_path: Path, runtime: Path
) -> None:
    point = tmp_path / "elsewhere"
    point.mkdir()
    set_read_only(loop, True)
    run("mount", "-t", images[0], "-o", f"ro,{NO_REPLAY[images[0]]}", loop, str(point))
    try:
        with opened(f"fs:{loop}") as source:
            assert b"dir/old-1" in files(source)
        assert source.view == NOT_REPLAYED and nothing_is_left(runtime)
    finally:
        run("umount", str(point))


def test_what_a_killed_run_left_is_put_back(loop: str, runtime: Path) -> None:
    killed = opened(f"fs:{loop}")
    killed.__enter__()
    # A kill takes the lock away and leaves all else.
    assert killed._guard is not None
    killed._guard.abandon()
    assert is_read_only(loop) and not nothing_is_left(runtime)
    with opened(f"fs:{loop}") as source:
        assert b"dir/old-1" in files(source)
    assert not is_read_only(loop) and nothing_is_left(runtime)


def test_a_source_that_is_being_read_is_busy(loop: str) -> None:
    with opened(f"fs:{loop}"):
        with pytest.raises(Unavailable) as busy, opened(f"fs:{loop}"):
            pass
        assert busy.value.reason == "SOURCE_BUSY"
        assert is_read_only(loop)


def test_the_record_says_what_to_put_back(loop: str, tmp_path: Path) -> None:
    guard = Guard(str(tmp_path / "guards" / "one"))
    guard.protect(loop)
    assert json.loads((tmp_path / "guards" / "one.json").read_text()) == {"devices": {loop: False}, "loop": None}
    guard.release()
    assert not is_read_only(loop) and not (tmp_path / "guards" / "one.json").exists()


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (["truncate", "-s", "4M"], "NO_FILESYSTEM"),
        (["mkswap", "-q"], "NOT_A_FILESYSTEM"),
    ],
)
def test_what_holds_no_filesystem_says_what_to_do(tmp_path: Path, runtime: Path, make: list[str], reason: str) -> None:
    image = tmp_path / "disk.img"
    image.write_bytes(bytes(4 << 20))
    run(*make, str(image))
    with pytest.raises((Unavailable, Usage)) as error, opened(f"fs:{image}"):
        pass
    assert error.value.reason == reason and error.value.hint
    assert nothing_is_left(runtime) and not loops_over(image)


def test_a_partition_table_is_told_apart(tmp_path: Path) -> None:
    image = tmp_path / "disk.img"
    image.write_bytes(bytes(8 << 20))
    subprocess.run(["sfdisk", "-q", str(image)], input=b"label: gpt\nsize=4MiB\n", check=True)
    with pytest.raises(Usage) as error, opened(f"fs:{image}"):
        pass
    assert error.value.reason == "NOT_A_FILESYSTEM" and "partition" in error.value.message


def test_a_broken_filesystem_gives_the_words_of_mount(tmp_path: Path, runtime: Path) -> None:
    broken = tmp_path / "broken.img"
    broken.write_bytes(bytes(8 << 20))
    run(*MKFS["ext4"], str(broken))
    with broken.open("r+b") as file:
        file.seek(1024 + 96)  # s_feature_incompat: a feature nobody knows
        file.write(b"\x00\x00\x00\x40")
    with pytest.raises(Unavailable) as error, opened(f"fs:{broken}"):
        pass
    assert error.value.reason in ("MOUNT_FAILED", "NO_FILESYSTEM") and nothing_is_left(runtime)


def test_a_btrfs_on_two_devices_has_both_protected(tmp_path: Path, runtime: Path) -> None:
    loops = []
    for number in range(2):
        image = tmp_path / f"{number}.img"
        with image.open("wb") as file:
            file.truncate(128 << 20)
        loops.append(run("losetup", "-f", "--show", str(image)))
        set_read_only(loops[-1], False)
    point = tmp_path / "mnt"
    point.mkdir()
    try:
        run("mkfs.btrfs", "-q", "-f", "-d", "raid0", "-m", "raid1", *loops)
        run("mount", "-o", f"device={loops[1]}", loops[0], str(point))
        write(point / "file", b"x" * 500_000)
        run("umount", str(point))
        before = [digest(tmp_path / f"{number}.img") for number in range(2)]
        with opened(f"fs:{loops[0]}") as source:
            assert all(is_read_only(loop) for loop in loops)
            assert files(source) == {b"file": b"x" * 500_000}
        assert not any(is_read_only(loop) for loop in loops) and nothing_is_left(runtime)
        assert [digest(tmp_path / f"{number}.img") for number in range(2)] == before
    finally:
        for loop in loops:
            run("losetup", "-d", loop)


@pytest.fixture
def disks(tmp_path: Path) -> Iterator[list[tuple[str, Path]]]:
    """Two writable loop devices, and the images below them."""
    found = []
    for number in range(2):
        image = tmp_path / f"disk{number}.img"
        with image.open("wb") as file:
            file.truncate(128 << 20)
        found.append((run("losetup", "-f", "--show", str(image)), image))
        set_read_only(found[-1][0], False)
    try:
        yield found
    finally:
        for device, _image in found:
            set_read_only(device, False)
            run("losetup", "-d", device)


def test_a_copy_of_a_btrfs_is_protected_too(disks: list[tuple[str, Path]], runtime: Path) -> None:
    (one, _), (copy, _) = disks
    run("mkfs.btrfs", "-q", "-f", one)
    run("dd", f"if={one}", f"of={copy}", "bs=1M", "status=none")
    with opened(f"fs:{one}") as source:
        assert is_read_only(one) and is_read_only(copy)
        assert "device=" not in source.details()["options"]
    assert not is_read_only(one) and not is_read_only(copy) and nothing_is_left(runtime)


def test_a_copy_of_a_btrfs_that_is_mounted_is_refused(disks: list[tuple[str, Path]], tmp_path: Path, runtime: Path) -> None:
    (one, _), (copy, _) = disks
    run("mkfs.btrfs", "-q", "-f", one)
    run("dd", f"if={one}", f"of={copy}", "bs=1M", "status=none")
    point = tmp_path / "elsewhere"
    point.mkdir()
    run("mount", copy, str(point))
    try:
        with pytest.raises(Refused) as refused, opened(f"fs:{one}"):
            pass
        assert refused.value.reason == "SOURCE_MOUNTED_RW" and f"put together with {copy}" in refused.value.message
        assert not is_read_only(one) and not is_read_only(copy) and nothing_is_left(runtime)
    finally:
        run("umount", str(point))


def test_a_journal_on_another_device_is_not_opened(disks: list[tuple[str, Path]], runtime: Path) -> None:
    (disk, _), (journal, image) = disks
    run("mkfs.ext4", "-q", "-b", "4096", "-O", "journal_dev", journal)
    run("mkfs.ext4", "-q", "-b", "4096", "-J", f"device={journal}", disk)
    before = digest(image)
    with opened(f"fs:{disk}") as source:
        holder = os.open(journal, os.O_RDONLY | os.O_EXCL)  # nobody else has it
        os.close(holder)
        assert source.view == NOT_REPLAYED and "another device" in source.notes[0]
    assert digest(image) == before and nothing_is_left(runtime)


@pytest.mark.parametrize("part", ["-l", "-r"])
def test_an_xfs_of_two_devices_is_refused_with_the_reason(part: str, disks: list[tuple[str, Path]], runtime: Path) -> None:
    (_, small), (other, _) = disks
    with small.open("r+b") as file:
        file.truncate(320 << 20)
    words = f"logdev={other},size=64m" if part == "-l" else f"rtdev={other}"
    run("mkfs.xfs", "-q", "-f", part, words, str(small))
    with pytest.raises(Refused) as refused, opened(f"fs:{small}"):
        pass
    assert refused.value.reason == "SEVERAL_DEVICES" and nothing_is_left(runtime)
