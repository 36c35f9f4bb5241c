# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Partition tables that sfdisk wrote, and what becomes of them when they are damaged."""

from __future__ import annotations

import struct
import uuid
import zlib
from pathlib import Path
from typing import Optional

import pytest
from unit.survey import images

from asl.survey.tables import Table, read_table
from asl.survey.window import Window

GPT = """label: gpt
label-id: 11111111-2222-3333-4444-555555555555
size=20M, type=U, name=ESP
size=16M, type=L, name=root
size=4M, type=V
"""
MBR = """label: dos
label-id: 0x1234abcd
1 : size=20M, type=83, bootable
2 : size=4M, type=82
4 : size=30M, type=5
5 : size=5M, type=83
6 : size=6M, type=8e
"""
SECTORS = 64 * images.MIB // 512


def table_of(path: Path, sector: int = 512) -> Optional[Table]:
    data = path.read_bytes()
    return read_table(Window(lambda offset, length: data[offset : offset + length], len(data)), sector)


def disk(path: Path, script: str) -> Path:
    images.tool("sfdisk", "-q", str(images.empty(path, 64)), given=script)
    return path


def read(path: Path, sector: int = 512) -> Table:
    table = table_of(path, sector)
    assert table is not None
    return table


def test_gpt(tmp_path: Path) -> None:
    table = read(disk(tmp_path / "disk", GPT))
    assert (table.kind, table.identifier, table.problems) == ("gpt", "11111111-2222-3333-4444-555555555555", [])
    assert [(each.number, each.start, each.size, each.type_name, each.name) for each in table.partitions] == [
        (1, 1 << 20, 20 << 20, "EFI system", "ESP"),
        (2, 21 << 20, 16 << 20, "Linux", "root"),
        (3, 37 << 20, 4 << 20, "Linux LVM", None),
    ]


def test_gpt_with_a_damaged_first_header(tmp_path: Path) -> None:
    path = disk(tmp_path / "disk", GPT)
    whole = read(path).partitions
    images.poke(path, 512 + 40, b"\xff")
    table = read(path)
    assert table.partitions == whole
    assert table.problems == ["the first GPT header is damaged; read from the second one"]


def test_gpt_without_the_second_header(tmp_path: Path) -> None:
    path = images.poke(disk(tmp_path / "disk", GPT), (SECTORS - 1) * 512, bytes(512))
    assert read(path).problems == ["there is no valid second GPT header at the end of the disk"]


def test_gpt_with_a_damaged_entry(tmp_path: Path) -> None:
    table = read(images.poke(disk(tmp_path / "disk", GPT), 1024 + 56, b"X"))
    assert table.problems == ["the GPT's entries do not match their checksum"]
    assert len(table.partitions) == 3


def test_gpt_of_4096_byte_sectors_in_an_image(tmp_path: Path) -> None:
    """An image of a disk with 4096-byte sectors: nothing but the header's place tells."""
    entry = struct.pack("<16s16sQQQ72s", uuid.uuid4().bytes_le, uuid.uuid4().bytes_le, 256, 511, 0, "root".encode("utf-16-le"))
    entries = entry.ljust(128 * 128, b"\0")
    count = 64 * images.MIB // 4096
    own = (b"EFI PART", 0x10000, 92, 0, 1, count - 1, 6, count - 6, uuid.uuid4().bytes_le, 2, 128, 128, zlib.crc32(entries))
    header = bytearray(struct.pack("<8sIIIxxxxQQQQ16sQIII", *own))
    header[16:20] = struct.pack("<I", zlib.crc32(header))
    path = images.poke(images.poke(images.empty(tmp_path / "disk", 64), 4096, bytes(header)), 8192, entries)
    table = read(path, 512)
    assert (table.kind, table.sector) == ("gpt", 4096)
    assert [(each.start, each.size, each.name) for each in table.partitions] == [(1 << 20, 1 << 20, "root")]


def test_both_gpt_headers_lost(tmp_path: Path) -> None:
    path = images.poke(images.poke(disk(tmp_path / "disk", GPT), 512, bytes(8)), (SECTORS - 1) * 512, bytes(8))
    table = read(path)
    assert (table.kind, table.partitions) == ("mbr", [])
    assert table.problems == ["the MBR says GPT, but no valid GPT header was found"]


def test_mbr_with_logical_partitions(tmp_path: Path) -> None:
    table = read(disk(tmp_path / "disk", MBR))
    assert (table.kind, table.identifier, table.problems) == ("mbr", "1234abcd", [])
    assert [(each.number, each.size, each.type, each.type_name) for each in table.partitions] == [
        (1, 20 << 20, "0x83", "Linux"),
        (2, 4 << 20, "0x82", "Linux swap"),
        (5, 5 << 20, "0x83", "Linux"),
        (6, 6 << 20, "0x8e", "Linux LVM"),
    ]
    assert table.partitions[0].uuid == "1234abcd-01"


def test_a_chain_of_logical_partitions_that_is_a_loop(tmp_path: Path) -> None:
    path = disk(tmp_path / "disk", MBR)
    extended = struct.unpack_from("<I", path.read_bytes(), 446 + 3 * 16 + 8)[0] * 512
    images.poke(path, extended + 446 + 16 + 8, bytes(4))  # the next link is the first one again
    table = read(path)
    assert [each.number for each in table.partitions] == [1, 2, 5]
    assert "breaks at sector" in table.problems[0]


@pytest.mark.parametrize("make", [images.ext, images.dirty_ext])
def test_a_file_system_is_no_table(make: object, tmp_path: Path) -> None:
    assert callable(make)
    assert table_of(make(tmp_path / "image")) is None


def test_an_empty_or_tiny_disk_has_no_table(tmp_path: Path) -> None:
    assert table_of(images.empty(tmp_path / "disk", 1)) is None
    (tmp_path / "tiny").write_bytes(b"\x55\xaa")
    assert table_of(tmp_path / "tiny") is None
