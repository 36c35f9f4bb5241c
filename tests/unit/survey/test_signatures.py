# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Superblocks: of images that the real tools made, and of members of arrays, groups and pools written byte by byte."""

from __future__ import annotations

import mmap
import random
import struct
import uuid
from pathlib import Path

import pytest
from unit.survey import images

from asl.survey.look import look
from asl.survey.signature import Signature, signatures
from asl.survey.window import Window


def of(data: bytes) -> list[Signature]:
    return signatures(Window(lambda offset, length: data[offset : offset + length], len(data)))


def of_file(path: Path) -> Signature:
    with path.open("rb") as file:
        found = signatures(Window.of(file.fileno(), path.stat().st_size))
    assert len(found) == 1
    return found[0]


def beginning(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(1 << 20)


def blank(size: int, *pieces: tuple[int, bytes]) -> bytes:
    data = bytearray(size)
    for offset, piece in pieces:
        data[offset : offset + len(piece)] = piece
    return bytes(data)


@pytest.mark.parametrize("kind", ["ext2", "ext3", "ext4"])
def test_ext(kind: str, tmp_path: Path) -> None:
    found = of_file(images.ext(tmp_path / "image", kind))
    assert (found.type, found.usage, found.label, found.size) == (kind, "filesystem", "root", 16 << 20)
    assert (found.dirty, found.journal) == (False, False)
    assert str(uuid.UUID(found.uuid)) == found.uuid


def test_ext_that_needs_recovery(tmp_path: Path) -> None:
    found = of_file(images.dirty_ext(tmp_path / "image"))
    assert (found.dirty, found.journal) == (True, True)


def test_ext_with_errors_or_not_unmounted(tmp_path: Path) -> None:
    image = images.ext(tmp_path / "image", "ext2")
    found = of_file(images.poke(image, 1024 + 58, struct.pack("<H", 3)))
    assert (found.dirty, found.journal, found.notes) == (True, False, ("errors were found in it",))
    found = of_file(images.poke(image, 1024 + 58, struct.pack("<H", 0)))
    assert (found.dirty, found.journal, found.notes) == (True, False, ())


def test_xfs_clean_and_with_a_log_that_does_not_end_with_an_unmount(tmp_path: Path) -> None:
    image = images.xfs(tmp_path / "image")
    found = of_file(image)
    assert (found.type, found.label, found.size, found.dirty) == ("xfs", "data", 310 << 20, False)
    with image.open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as data:
        record = data.find(b"\xfe\xed\xba\xbe")
        assert data[record + 512 + 9] == 0x20, "mkfs ends the log with an unmount"
    found = of_file(images.poke(image, record + 512 + 9, b"\x00"))
    assert (found.dirty, found.journal) == (True, True)


def test_xfs_with_its_log_elsewhere(tmp_path: Path) -> None:
    found = of_file(images.poke(images.xfs(tmp_path / "image"), 48, bytes(8)))
    assert (found.dirty, found.notes) == (None, ("its log is on another device",))


def test_btrfs_with_and_without_a_log_tree(tmp_path: Path) -> None:
    image = images.empty(tmp_path / "image", 120)
    images.tool("mkfs.btrfs", "-q", "-L", "pond", str(image))
    found = of_file(image)
    assert (found.type, found.label, found.size, found.dirty, found.notes) == ("btrfs", "pond", 120 << 20, False, ())
    images.poke(image, (64 << 10) + 96, struct.pack("<Q", 1 << 20))
    images.poke(image, (64 << 10) + 136, struct.pack("<Q", 2))
    found = of_file(image)
    assert (found.dirty, found.journal, found.notes) == (True, True, ("one of 2 devices",))


@pytest.mark.parametrize(("bits", "flag"), [("16", 37), ("32", 65)])
def test_vfat(bits: str, flag: int, tmp_path: Path) -> None:
    image = images.empty(tmp_path / "image", 40)
    images.tool("mkfs.vfat", "-F", bits, "-n", "EFI", "-i", "1234abcd", str(image))
    found = of_file(image)
    assert (found.type, found.label, found.uuid, found.size, found.dirty) == ("vfat", "EFI", "1234-ABCD", 40 << 20, False)
    assert of_file(images.poke(image, flag, b"\x01")).dirty is True


def test_swap_and_hibernation(tmp_path: Path) -> None:
    image = images.empty(tmp_path / "image", 8)
    images.tool("mkswap", "-L", "sw", "-p", "4096", str(image))
    found = of_file(image)
    assert (found.type, found.usage, found.label, found.size, found.dirty) == ("swap", "swap", "sw", 8 << 20, False)
    found = of_file(images.poke(image, 4096 - 10, b"S1SUSPEND\0"))
    assert (found.dirty, found.notes) == (True, ("holds a hibernated system",))


def ntfs(flags: int) -> bytes:
    places = struct.pack("<QQ", 2047, 4)
    boot = blank(512, (3, b"NTFS    "), (11, struct.pack("<HB", 512, 8)), (40, places), (64, b"\xf6"), (72, struct.pack("<Q", 0xABC)))
    label = "Windows".encode("utf-16-le")
    name = struct.pack("<IIBBHHHIHH", 0x60, 24 + 16, 0, 0, 0, 0, 0, len(label), 24, 0) + label.ljust(16, b"\0")
    info = struct.pack("<IIBBHHHIHH", 0x70, 24 + 16, 0, 0, 0, 0, 0, 12, 24, 0) + struct.pack("<QBBH", 0, 3, 1, flags).ljust(16, b"\0")
    record = blank(1024, (0, b"FILE"), (20, struct.pack("<H", 56)), (56, name + info + b"\xff\xff\xff\xff"))
    return blank(1 << 20, (0, boot), (510, b"\x55\xaa"), (4 * 4096 + 3 * 1024, record))


@pytest.mark.parametrize(("flags", "dirty"), [(0, False), (1, True)])
def test_ntfs(flags: int, dirty: bool) -> None:
    [found] = of(ntfs(flags))
    assert (found.type, found.label, found.uuid, found.size, found.dirty) == ("ntfs", "Windows", "0000000000000ABC", 2047 * 512, dirty)


def test_exfat() -> None:
    boot = blank(
        512, (3, b"EXFAT   "), (72, struct.pack("<Q", 4096)), (100, struct.pack("<IHHB", 0x12345678, 0x100, 2, 9)), (510, b"\x55\xaa")
    )
    [found] = of(blank(1 << 20, (0, boot)))
    assert (found.type, found.uuid, found.size, found.dirty) == ("exfat", "1234-5678", 2 << 20, True)


@pytest.mark.parametrize("at", [0, 4096, ((1 << 20 >> 9) - 16) << 9])
def test_md_version_1(at: int) -> None:
    own = uuid.uuid4()
    head = struct.pack("<II8x16s32s", 0xA92B4EFC, 1, own.bytes, b"host:0")
    shape = struct.pack("<i16xI", 1, 2)  # level 1, two disks
    block = blank(256, (0, head), (72, shape), (208, struct.pack("<Q", (1 << 64) - 1)))
    [found] = of(blank(1 << 20, (at, block)))
    assert (found.type, found.usage, found.label, found.uuid, found.dirty) == ("md", "member", "host:0", str(own), False)
    assert "raid1 of 2" in found.notes


def test_md_version_0_and_the_file_system_in_front_of_it(tmp_path: Path) -> None:
    image = images.ext(tmp_path / "image")
    block = blank(256, (0, struct.pack("<II", 0xA92B4EFC, 0)), (28, struct.pack("<i", 1)), (40, struct.pack("<I", 2)))
    images.poke(image, (16 << 20) - (64 << 10), block)
    assert [each.type for each in of(image.read_bytes())] == ["md", "ext4"]
    volume = look(str(image))["volume"]
    assert (volume["type"], volume["also"]) == ("md", ["ext4"])


def test_lvm_and_its_group() -> None:
    name = b"AbCdEfGhIjKlMnOpQrStUvWxYz012345"
    label = b"LABELONE" + struct.pack("<QII", 1, 0, 32) + b"LVM2 001"
    header = name + struct.pack("<Q", 1 << 30) + struct.pack("<QQ", 1 << 20, 0) + bytes(16) + struct.pack("<QQ", 4096, 8192) + bytes(16)
    area = blank(512, (4, b" LVM2 x[5A%r0N*>"), (24, struct.pack("<IQQ", 1, 4096, 8192)), (40, struct.pack("<QQ", 1024, 100)))
    [found] = of(blank(1 << 20, (512, label + header), (4096, area), (4096 + 1024, b"vg_old {\nid = 1")))
    assert (found.type, found.usage, found.label, found.size) == ("lvm", "member", "vg_old", 1 << 30)
    assert found.uuid == "AbCdEf-GhIj-KlMn-OpQr-StUv-WxYz-012345"


def test_luks() -> None:
    own = str(uuid.uuid4())
    [found] = of(blank(1 << 20, (0, b"LUKS\xba\xbe\x00\x02"), (24, b"secret"), (168, own.encode())))
    assert (found.type, found.usage, found.label, found.uuid, found.notes) == ("luks", "encrypted", "secret", own, ("LUKS2",))


@pytest.mark.parametrize("order", ["<Q", ">Q"])
def test_zfs_by_any_label_that_is_left(order: str) -> None:
    size, label = (8 << 20) + 4096, 256 << 10
    magic = struct.pack(order, 0xBAB10C)
    last = size // label * label - label
    [found] = of(blank(size, (last + (128 << 10) + 7 * 1024, magic)))
    assert (found.type, found.usage, found.notes) == ("zfs_member", "member", ("1 of 4 labels",))


def test_images_of_live_systems() -> None:
    assert [each.type for each in of(blank(1 << 20, (0, b"hsqs")))] == ["squashfs"]
    [found] = of(blank(1 << 20, (32768, b"\x01CD001"), (32768 + 40, b"RESCUE1200".ljust(32))))
    assert (found.type, found.label) == ("iso9660", "RESCUE1200")


def test_bitlocker_and_f2fs() -> None:
    assert [each.type for each in of(blank(1 << 20, (3, b"-FVE-FS-")))] == ["bitlocker"]
    assert [each.type for each in of(blank(1 << 20, (1024, b"\x10\x20\xf5\xf2")))] == ["f2fs"]


@pytest.mark.parametrize("size", [0, 1, 511, 512, 1024, 4096, 65536 + 100])
def test_nothing_on_short_or_empty_volumes(size: int) -> None:
    assert of(bytes(size)) == []
    assert of(b"\xff" * size) == []


def test_damaged_superblocks_never_raise(tmp_path: Path) -> None:
    """Every parser behind its own magic number, with everything around it changed."""
    seeds = [beginning(images.xfs(tmp_path / "x")), beginning(images.ext(tmp_path / "e")), ntfs(0)]
    generator = random.Random(7)
    types: set[str] = set()
    for seed in seeds:
        for _ in range(60):
            data = bytearray(seed)
            for _ in range(40):
                data[
                    generator.choice((generator.randrange(8, 600), generator.randrange(1024, 2048), generator.randrange(16000, 20000)))
                ] = generator.randrange(256)
            types.update(each.type for each in of(bytes(data)))
    assert {"xfs", "ntfs"} <= types


def test_unreadable_places_are_remembered_and_not_fatal() -> None:
    def fetch(offset: int, length: int) -> bytes:
        if offset >= 4096:
            raise OSError(5, "Input/output error")
        return bytes(length)

    disk = Window(fetch, 1 << 20)
    assert signatures(disk) == []
    assert "byte 65536: input/output error" in disk.errors
