# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Labels that OpenZFS wrote, read by us and by its own zdb."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import archive
import pytest

from asl.survey import uberblock
from asl.survey.labels import RING_AT, Label, offsets, read_labels

from .support import flat, parse_zdb, swapped

FIXTURES = sorted((Path(__file__).resolve().parents[2] / "fixtures" / "zfs").glob("*/*.json"))
DEVICES = [
    pytest.param(device, id=f"{path.parent.name}-{path.stem}-{device.name}") for path in FIXTURES for device in archive.read(path)[1]
]


def test_there_are_fixtures() -> None:
    assert len(FIXTURES) >= 25


def by_zdb(device: archive.Device) -> dict[int, dict[str, Any]]:
    """What zdb read from each label it could read."""
    return {number: part for part in parse_zdb(device.zdb.splitlines()) for number in part["labels"]}


@pytest.mark.parametrize("device", DEVICES)
def test_configurations(device: archive.Device) -> None:
    """Every label's list, value by value. zdb shows equal ones once, and says of the first of them whether its checksum is right."""
    ours = {label.index: label for label in read_labels(device.fetch, device.size)}
    theirs = by_zdb(device)
    assert {number for number, label in ours.items() if label.config is not None} == set(theirs)
    for number, part in theirs.items():
        assert flat(ours[number].config or {}) == part["config"]
        if number == int(part["title"].split()[1]):
            assert ours[number].valid == ("Bad label cksum" not in part["title"])


@pytest.mark.parametrize("device", DEVICES)
def test_uberblocks(device: archive.Device) -> None:
    """As many in each label as zdb lists, and the best one is the same.

    zdb checks no checksum, so it also lists the uberblock of txg 0 that is written with a new ring. It leaves out the last slot when
    multihost is on; that slot is hidden from our reader here.
    """
    shown = [each for part in parse_zdb(device.zdb.splitlines()) for each in part["uberblocks"] if each["txg"] != "0"]
    hidden = slot_size(device) if any(int(each["mmp_delay"]) for each in shown) else 0

    def fetch(offset: int, length: int) -> bytes:
        data = device.fetch(offset, length)
        return data[: len(data) - hidden] + bytes(hidden) if length == uberblock.RING else data

    intact = {label.index: label for label in read_labels(fetch, device.size) if label.uberblock is not None}
    counted = Counter(number for each in shown for number in each["labels"])
    assert {number: label.uberblocks for number, label in intact.items()} == dict(counted)
    for number, label in intact.items():
        best = max((each for each in shown if number in each["labels"]), key=rank)
        assert label.uberblock is not None
        same_as(best, label.uberblock)


def rank(shown: dict[str, Any]) -> tuple[int, int, int]:
    return int(shown["txg"]), int(shown["timestamp"].split()[0]), int(shown.get("mmp_seq", "0"), 16)


def same_as(shown: dict[str, Any], block: uberblock.Uberblock) -> None:
    assert rank(shown) == block.rank
    assert int(shown["guid_sum"]) == block.guid_sum
    assert int(shown["version"]) == block.version
    assert int(shown["checkpoint_txg"]) == block.checkpoint_txg
    assert int(shown["mmp_delay"]) == block.multihost_delay
    if block.multihost:
        assert int(shown["mmp_write"]) == block.multihost_interval
        assert int(shown["mmp_fail"]) == block.multihost_failures


@pytest.mark.parametrize("device", DEVICES)
def test_the_other_byte_order(device: archive.Device) -> None:
    """The same device as if a big-endian machine had written its uberblocks."""

    def fetch(offset: int, length: int) -> bytes:
        data = device.fetch(offset, length)
        starts = [each + RING_AT for each in offsets(device.size)]
        return swapped(data, offset, slot_size(device)) if offset in starts else data

    was, now = read_labels(device.fetch, device.size), read_labels(fetch, device.size)
    assert [label.uberblocks for label in now] == [label.uberblocks for label in was]
    for before, after in zip(was, now):
        assert without_order(after) == without_order(before)
        assert after.uberblock is None or after.uberblock.byte_order == "big"


def slot_size(device: archive.Device) -> int:
    configs = [label.config or {} for label in read_labels(device.fetch, device.size)]
    shifts = [config["vdev_tree"]["ashift"] for config in configs if "vdev_tree" in config]
    return 1 << min(max([10, *shifts]), 13)


def without_order(label: Label) -> Any:
    document = label.document()
    (document["uberblock"] or {}).pop("byte_order", None)
    return document
