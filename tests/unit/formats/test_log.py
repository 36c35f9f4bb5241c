# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The log: every cut, every flipped bit, unknown records, torn tails of every shape."""

from __future__ import annotations

import hashlib
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.formats import samples

from asl.errors import Damaged, Unsupported
from asl.formats import log

LOG = samples.two_records()
RECORDS = LOG[log.HEADER.size :]
FIRST_ENDS = 88  # bytes behind the header


def test_every_cut_of_two_records_is_a_torn_tail() -> None:
    seen = [len(list(log.records(RECORDS[:cut]))) for cut in range(len(RECORDS) + 1)]
    assert seen == [0] * FIRST_ENDS + [1] * (len(RECORDS) - FIRST_ENDS) + [2]


def test_every_flipped_bit_is_damage_or_a_torn_tail() -> None:
    outcomes: Counter[str] = Counter()
    for bit in range(len(LOG) * 8):
        flipped = bytearray(LOG)
        flipped[bit // 8] ^= 1 << bit % 8
        try:
            found = len(samples.whole_log(bytes(flipped)))
        except Unsupported:
            outcomes["unsupported"] += 1
        except Damaged:
            outcomes["damaged"] += 1
        else:
            assert found < 2, f"bit {bit} was flipped and nobody saw it"
            outcomes["torn"] += 1
    # Torn: 398 of the 408 bits of the last record (two make it shorter, so that something lies behind it, and eight make it
    # longer than a record may be), and 18 of the first record's length. That is why the last position stands in meta/head too.
    assert sum(outcomes.values()) == 1304
    assert outcomes == {"damaged": 857, "torn": 416, "unsupported": 31}


def test_a_break_behind_the_acknowledged_part_is_a_torn_tail_whatever_follows() -> None:
    record, position = log.encode(log.START, 1, b"kept")
    for tail in (bytes(88), b"\xff" * 200, b"\x02" + bytes(300), RECORDS + RECORDS):
        found = list(log.records(record + tail, acknowledged=position.offset))
        assert [each.payload for each in found] == [b"kept"]
        with pytest.raises(Damaged):
            list(log.records(record + tail, acknowledged=position.offset + 1))


def test_a_break_with_good_records_behind_it_is_damage() -> None:
    broken = bytearray(RECORDS)
    broken[20] ^= 1
    with pytest.raises(Damaged, match="breaks its chain at byte 24"):
        list(log.records(bytes(broken)))


def test_unknown_records_are_skipped_and_chained() -> None:
    unknown, position = log.encode(log.START, 0x7FFF0001, b"anything")
    known, _ = log.encode(position, 1, b"x" * 40)
    assert [(each.logseq, each.kind) for each in log.records(unknown + known)] == [(1, 0x7FFF0001), (2, 1)]


def test_a_record_with_another_number_is_damage() -> None:
    skipped, position = log.encode(log.Position(1, log.ROOT, log.HEADER.size), 1, b"")
    after, _ = log.encode(position, 1, b"")
    with pytest.raises(Damaged):
        list(log.records(skipped + after))


def test_a_newer_log_is_refused_by_its_number() -> None:
    with pytest.raises(Unsupported, match="version 2"):
        log.check_header(log.HEADER.pack(log.MAGIC, 2, log.HEADER.size, 0))


@given(st.lists(st.tuples(st.integers(0, 2**32 - 1), st.binary(max_size=80)), max_size=8), st.integers(0, 8))
def test_what_was_written_is_read_from_any_record_on(wanted: list[tuple[int, bytes]], start: int) -> None:
    data, positions = b"", [log.START]
    for kind, payload in wanted:
        record, position = log.encode(positions[-1], kind, payload)
        data += record
        positions.append(position)
    begin = positions[min(start, len(wanted))]
    found = list(log.records(data[begin.offset - log.HEADER.size :], begin))
    assert [(each.kind, each.payload) for each in found] == wanted[begin.logseq :]
    assert [each.after for each in found] == positions[begin.logseq + 1 :]
    if wanted:
        body = data[positions[-2].offset - log.HEADER.size : -log.LINK]
        assert positions[-1].link == hashlib.sha256(positions[-2].link + body).digest()
