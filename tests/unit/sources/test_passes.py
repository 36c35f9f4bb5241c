# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The passes over a failing disk, and the map that they keep. The process that reads for them: test_patient."""

from __future__ import annotations

import errno
import random
from collections.abc import Sequence
from typing import Any, Optional

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asl.errors import Usage
from asl.sources import passes
from asl.sources.mapfile import BAD, FAILED, NEW, READ, STATUSES, UNSCRAPED, RescueMap
from asl.sources.media import Media
from asl.sources.passes import Block, Passes, Stop, losses
from asl.sources.patient import Step, Swept

SECTOR = 512


class Disk:
    """A disk of random bytes in memory, some sectors of which are bad. Stands in for the process that reads a real one."""

    abandoned = 0

    def __init__(self, size: int, bad: Sequence[tuple[int, int]], seed: int = 1) -> None:
        self.data = random.Random(seed).randbytes(size)
        self.bad = bad
        self.failures: list[tuple[int, int]] = []
        self.prepared: Optional[tuple[int, int, bool]] = None

    def _fails(self, at: int, size: int) -> bool:
        return any(start < at + size and at < end for start, end in self.bad)

    def prepare(self, at: int, size: int, step: Step, *, backward: bool) -> None:
        """It is read when it is asked for, which has to come next."""
        self.prepared = (at, size, backward)

    def sweep(self, at: int, size: int, step: Step, *, backward: bool, ahead: Sequence[tuple[int, int]] = ()) -> Swept:
        assert self.prepared in (None, (at, size, backward)), "what was prepared was read for nothing"
        self.prepared, sector = None, step.size
        edges = list(range(at - at % sector, at + size, sector))
        start, end = (at + size, at + size) if backward else (at, at)
        bad = 0
        for edge in reversed(edges) if backward else edges:
            low, high = max(edge, at), min(edge + sector, at + size)
            if self._fails(low, high - low):
                self.failures.append((low, high - low))
                bad += 1
            elif bad:
                break
            else:
                start, end = (low, end) if backward else (start, high)
            if bad == step.most_bad:
                break
        return Swept(memoryview(self.data)[start:end], bad, errno.EIO if bad else 0, step=step.size)

    def close(self) -> None:
        """Nothing to end."""


def run(disk: Disk, media: Media = Media(), known: Optional[RescueMap] = None, domain: Optional[RescueMap] = None) -> tuple[Passes, Any]:  # noqa: B008
    """All passes; the blocks in the order in which they came, each checked against the disk."""
    work = Passes(known or RescueMap(len(disk.data)), disk, SECTOR, media, domain)  # type: ignore[arg-type]
    came: list[Block] = []
    for phase in work.phases():
        for block in phase.blocks():
            assert bytes(block.data) == disk.data[block.at : block.at + len(block.data)]
            came.append(block)
    return work, came


def bad_ranges(rng: random.Random, sectors: int) -> list[tuple[int, int]]:
    marks = sorted({rng.randrange(sectors) + more for _ in range(rng.randrange(8)) for more in range(rng.choice([1, 2, 3, 130, 700]))})
    known = RescueMap(sectors * SECTOR)
    for mark in marks:
        known.set(mark * SECTOR, (mark + 1) * SECTOR, BAD)
    return [(area.start, area.end) for area in known.with_status(BAD)]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 9000), st.integers(0, 2))
def test_every_sector_that_can_be_read_is_read_once_and_no_other_is(seed: int, sectors: int, retries: int) -> None:
    rng = random.Random(seed)
    disk = Disk(sectors * SECTOR, bad_ranges(rng, sectors))
    work, came = run(disk, Media(retries=retries))
    covered = RescueMap(len(disk.data), BAD)
    for block in came:
        assert covered.within(block.at, block.at + len(block.data)) == [(block.at, block.at + len(block.data), BAD)]
        covered.set(block.at, block.at + len(block.data), READ)
    assert [(area.start, area.end) for area in work.map.with_status(BAD)] == disk.bad
    assert list(covered.areas()) == list(work.map.areas())


def test_a_healthy_disk_is_read_from_front_to_back_in_large_reads() -> None:
    work, came = run(Disk(5 << 20, []))
    assert [(block.at, len(block.data)) for block in came] == [(at << 20, 1 << 20) for at in range(5)]
    assert not work.errors


def test_bad_sectors_are_tried_last_and_no_more_often_than_asked_for() -> None:
    bad = [(3 * 65536 + SECTOR, 3 * 65536 + 4 * SECTOR)]
    disk = Disk(4 << 20, bad)
    _, came = run(disk)
    single = [failure for failure in disk.failures if failure[1] == SECTOR]
    assert single == [(bad[0][0] + number * SECTOR, SECTOR) for number in range(3)]
    first_small = next(number for number, block in enumerate(came) if len(block.data) < passes.CLUSTER)
    assert sum(len(block.data) for block in came[:first_small]) == (4 << 20) - passes.CLUSTER
    again = Disk(4 << 20, bad)
    run(again, Media(retries=2))
    assert len(again.failures) - len(disk.failures) == 6
    assert again.failures[-3:] == [(bad[0][1] - (number + 1) * SECTOR, SECTOR) for number in range(3)], "the second one goes backwards"


def test_what_is_in_use_comes_before_what_is_free() -> None:
    disk = Disk(8 << 20, [(5 << 20, (5 << 20) + SECTOR)])
    used = RescueMap.of(8 << 20, [(4 << 20, 6 << 20, READ)])
    work, came = run(disk, Media(), domain=used)
    assert came[0].at == 4 << 20 and work.map.total(READ) == (8 << 20) - SECTOR
    skipped, _ = run(disk, Media(domain_map="x", skip_free=True), domain=used)
    assert skipped.map.total(READ) == (2 << 20) - SECTOR and skipped.map.total(NEW) == 6 << 20


@pytest.mark.parametrize(
    ("media", "words"),
    [
        (Media(max_errors=3), "more than 3 reads failed"),
        (Media(max_error_rate=2), "more than 2 reads failed within a minute"),
        (Media(max_unread=SECTOR), f"more than {SECTOR} bytes are bad"),
    ],
)
def test_a_rule_stops_reading_and_the_map_stays_true(media: Media, words: str) -> None:
    disk = Disk(4 << 20, [(1 << 20, (1 << 20) + 20 * SECTOR), (3 << 20, (3 << 20) + 20 * SECTOR)])
    known = RescueMap(len(disk.data))
    with pytest.raises(Stop, match=words):
        run(disk, media, known)
    assert known.total(READ) and known.total(NEW, FAILED, UNSCRAPED)
    assert all(not disk._fails(area.start, area.end - area.start) for area in known.with_status(READ))
    assert words in losses(known, "Input/output error", words)[0][2]
    work, _ = run(disk, Media(), known)
    assert [(area.start, area.end) for area in work.map.with_status(BAD)] == disk.bad, "and another run goes on from it"


@settings(max_examples=200)
@given(st.lists(st.tuples(st.integers(0, 60), st.integers(1, 30), st.sampled_from(STATUSES)), max_size=20))
def test_a_map_is_what_was_set_last(settings_: list[tuple[int, int, str]]) -> None:
    known, plain = RescueMap(64), [NEW] * 64
    for start, length, status in settings_:
        known.set(start, start + length, status)
        plain[start : start + length] = [status] * len(plain[start : start + length])
    assert "".join(area.status * (area.end - area.start) for area in known.areas()) == "".join(plain)
    areas = list(known.areas())
    assert all(one.status != two.status and one.end == two.start for one, two in zip(areas, areas[1:]))
    assert list(RescueMap.parse(known.text("a test"), 64, "map").areas()) == areas
    assert known.within(10, 50) == [
        (max(10, area.start), min(50, area.end), area.status) for area in areas if area.start < 50 and area.end > 10
    ]


def test_a_mapfile_of_ddrescue_is_read() -> None:
    text = (
        "# Mapfile. Created by GNU ddrescue version 1.27\n# Command line: ddrescue -d /dev/sda img map\n"
        "# current_pos  current_status  current_pass\n0x00000400     -               1\n#      pos        size  status\n"
        "0x00000000  0x00000400  +\n0x00000400  512  -\n03000  0x00000200  /\n"
    )
    areas = [(0, 1024, READ), (1024, 1536, BAD), (1536, 2048, UNSCRAPED), (2048, 4096, NEW)]
    assert list(RescueMap.parse(text, 4096, "map").areas()) == areas


@pytest.mark.parametrize(
    "text",
    ["", "# nothing\n", "0x0 +\n0 512 x\n", "0x0 +\n0 512\n", "0x0 +\n0 512 +\n1024 512 -\n", "rubbish\n", "0x0 Z 1\n", "0 +\n-1 2 +\n"],
)
def test_what_is_no_mapfile_is_a_usage_error(text: str) -> None:
    with pytest.raises(Usage) as error:
        RescueMap.parse(text, 4096, "sda.map")
    assert error.value.reason == "BAD_MAP" and "sda.map" in error.value.message


def test_bad_sectors_in_a_row_are_asked_for_at_once() -> None:
    disk = Disk(1 << 20, [(64 * SECTOR, 164 * SECTOR)])
    asked: list[int] = []
    sweep = disk.sweep
    disk.sweep = lambda *where, **how: asked.append(where[0]) or sweep(*where, **how)  # type: ignore[func-returns-value,method-assign]
    run(disk, Media())
    calm = len(asked)
    run(disk, Media(max_errors=1000))
    assert calm < 12 and len(asked) - calm >= 100, "a rule that counts is asked behind each sector"


def test_wishes_that_make_no_sense_are_usage_errors() -> None:
    for wrong in ({"retries": -1}, {"read_deadline": 0}, {"skip_free": True}, {"map": "a", "retry": "1"}):
        with pytest.raises(Usage) as error:
            Media(**wrong)  # type: ignore[arg-type]
        assert error.value.reason == "BAD_MEDIA"
    with pytest.raises(Usage):
        Media.of({"speed": 3})
    assert Media.of(Media(retries=3, scrape=False).document()) == Media(retries=3, scrape=False)
    assert Media().document() == {}
