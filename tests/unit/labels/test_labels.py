# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The four labels: where they are, what is wrong with them, and bytes that want to do harm."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asl.survey import uberblock
from asl.survey.labels import CONFIG_AT, LABEL, RING_AT, Label, newest, offsets, read_labels

from .support import block, label, sealed

SIZE = 64 << 20
CONFIG = {"name": "tank", "pool_guid": 2**64 - 1, "guid": 11, "txg": 4, "state": 0, "vdev_tree": {"type": "disk", "id": 0, "guid": 11}}


def disk(size: int = SIZE, *blocks: bytes) -> bytearray:
    """A device whose four labels are all well."""
    data = bytearray(size)
    for at in offsets(size):
        data[at : at + LABEL] = label(CONFIG, at, *(blocks or (block(4, 100),)))
    return data


def read(data: bytes) -> list[Label]:
    return read_labels(lambda offset, length: bytes(data[offset : offset + length]), len(data))


def test_places() -> None:
    assert offsets(SIZE) == [0, LABEL, SIZE - 2 * LABEL, SIZE - LABEL]
    assert offsets(SIZE + LABEL - 1) == offsets(SIZE)
    assert offsets(4 * LABEL - 1) == []


@pytest.mark.parametrize("size", [4 * LABEL, SIZE, SIZE + 4096])
def test_a_whole_device(size: int, tmp_path: Path) -> None:
    (tmp_path / "disk").write_bytes(disk(size))
    handle = os.open(tmp_path / "disk", os.O_RDONLY)
    try:
        found = read_labels(handle, size)
    finally:
        os.close(handle)
    assert [each.index for each in found] == [0, 1, 2, 3]
    assert all(each.valid and each.problem is None and each.config == CONFIG for each in found)


def test_no_zfs() -> None:
    assert read(bytes(SIZE)) == []
    assert read(bytes(1000)) == []
    assert read(bytes(range(256)) * (1 << 14)) == []


def test_one_wrong_bit_is_seen() -> None:
    data = disk()
    data[CONFIG_AT + 8000] ^= 1
    first = read(data)[0]
    assert not first.valid
    assert first.config == CONFIG
    assert first.problem == "its checksum is wrong"


def test_the_uberblock_counts_without_its_configuration() -> None:
    data = disk()
    data[CONFIG_AT : CONFIG_AT + 4096] = b"\xff" * 4096
    first = read(data)[0]
    assert (first.valid, first.config) == (False, None)
    assert first.uberblock is not None
    assert first.uberblock.txg == 4


def test_a_copy_at_another_offset_is_not_valid() -> None:
    data = disk()
    data[LABEL : 2 * LABEL] = data[:LABEL]
    second = read(data)[1]
    assert (second.valid, second.uberblock) == (False, None)


def test_a_disk_that_was_cut_keeps_two() -> None:
    assert [each.index for each in read(disk()[: SIZE // 2])] == [0, 1]


def test_an_unreadable_label_is_named() -> None:
    data = disk()

    def fetch(offset: int, length: int) -> bytes:
        if offset < LABEL:
            raise OSError(errno.EIO, "Input/output error")
        return bytes(data[offset : offset + length])

    found = read_labels(fetch, SIZE)
    assert [each.valid for each in found] == [False, True, True, True]
    assert found[0].problem == "cannot be read: input/output error"


def test_the_best_uberblock() -> None:
    blocks = [
        block(9, 100),
        block(10, 99),
        block(10, 100, delay=5, sequence=3),
        block(10, 100, delay=5, sequence=40),
        block(10, 100, delay=5, sequence=7, order=">"),
    ]
    best = newest(read(disk(SIZE, *blocks)))
    assert best is not None
    assert best.rank == (10, 100, 40)
    assert (best.multihost, best.multihost_interval, best.multihost_failures) == (True, 1000, None)


def test_multihost_off() -> None:
    best = newest(read(disk(SIZE, block(1, 1, delay=0))))
    assert best is not None
    assert not best.multihost


@pytest.mark.parametrize("size", uberblock.SLOTS)
@pytest.mark.parametrize("order", uberblock.ORDERS)
def test_slots_of_every_size(size: int, order: str) -> None:
    slots = [sealed(block(number, 5, order=order).ljust(size, b"\0"), RING_AT + number * size, order) for number in range(8)]
    found = uberblock.read_ring(b"".join(slots).ljust(uberblock.RING, b"\0"), RING_AT)
    assert [each.txg for each in found] == list(range(8))
    assert {each.byte_order for each in found} == {"little" if order == "<" else "big"}


def test_through_json() -> None:
    for each in read(disk()):
        assert Label.from_document(json.loads(json.dumps(each.document()))) == each


GOOD = disk(4 * LABEL, block(4, 100), block(5, 101, delay=9))
USED = [*range(CONFIG_AT, CONFIG_AT + 600), *range(RING_AT, RING_AT + 2048), *range(RING_AT - 40, RING_AT)]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(USED), st.integers(0, 255)), min_size=1, max_size=8))
def test_flipped_bytes_never_pass_for_good_ones(changes: list[tuple[int, int]]) -> None:
    data = bytearray(GOOD)
    for at, value in changes:
        data[at] = value
    for was, now in zip(read(GOOD), read(data)):
        assert not now.valid or now.config == was.config
        assert now.uberblock in (was.uberblock, None) or now.uberblocks < was.uberblocks
