# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Logs: what a crash leaves is a note, what nothing but damage leaves is a fault, and one fault does not hide the rest."""

from __future__ import annotations

from pathlib import Path

import pytest
from unit.check.support import named, overwrite, small, verdict

from asl.errors import Damaged
from asl.formats import log, records
from asl.store import open_store, open_writer
from asl.store.check import chain


def next_record(root: Path, kind: int = records.SNAPSHOT_PIN, payload: bytes = b"\1" + bytes(7)) -> bytes:
    """The bytes of the record that would be appended next."""
    return log.encode(open_store(str(root)).state.position, kind, payload)[0]


def test_a_torn_tail_of_every_length_is_a_note(tmp_path: Path) -> None:
    root = small(tmp_path / "store").root
    path = root / "logs/asl.log"
    data, record = path.read_bytes(), next_record(root)
    cuts = [record[:size] for size in range(1, len(record))]
    pages = [record[:size] + bytes(len(record) - size + 100) for size in range(1, len(record) - 4)]
    for tail in cuts + pages:
        overwrite(path, data + tail)
        result = verdict(root)
        assert result.ok, f"{tail.hex()}: {result.faults}"
        assert [(note.object, note.reason) for note in result.notes] == [("logs/asl.log", "TORN_TAIL")]


def test_a_record_that_was_not_acknowledged_is_visible_and_no_fault(tmp_path: Path) -> None:
    root = small(tmp_path / "store").root
    path = root / "logs/asl.log"
    overwrite(path, path.read_bytes() + next_record(root))
    result = verdict(root)
    assert (result.faults, result.notes) == ([], [])


@pytest.mark.parametrize("rubbish", [b"x", b"\xff" * 500, b"\x02" + bytes(60), bytes(4096)], ids=["byte", "ones", "begun", "zeros"])
def test_check_and_the_next_writer_agree_on_what_stands_behind_the_head(tmp_path: Path, rubbish: bytes) -> None:
    """What was never acknowledged is a note for the one, and is cut off by the other."""
    root = small(tmp_path / "store").root
    path = root / "logs/asl.log"
    data, record = path.read_bytes(), next_record(root)
    flipped = [record[:at] + bytes([record[at] ^ 1]) + record[at + 1 :] for at in range(len(record))]
    for tail in (rubbish, *flipped):
        overwrite(path, data + tail)
        result = verdict(root)
        assert result.ok and [(note.object, note.reason) for note in result.notes] == [("logs/asl.log", "TORN_TAIL")], tail.hex()
    with open_writer(str(root)):
        assert path.read_bytes() == data
    assert verdict(root).ok


def test_what_was_acknowledged_is_damage_to_both(tmp_path: Path) -> None:
    root = small(tmp_path / "store").root
    path = root / "logs/asl.log"
    data = path.read_bytes()
    start = list(log.records(data[log.HEADER.size :]))[-2].after.offset
    for at in range(start, len(data)):
        overwrite(path, data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        assert named(verdict(root)) & {"logs/asl.log"}, f"byte {at}"
        with pytest.raises(Damaged), open_writer(str(root)):
            pass


def test_a_log_that_ends_before_what_was_acknowledged(tmp_path: Path) -> None:
    root = small(tmp_path / "store").root
    path = root / "logs/asl.log"
    data = path.read_bytes()
    last = list(log.records(data[log.HEADER.size :]))[-2].after.offset
    overwrite(path, data[:last])
    assert [(fault.object, fault.reason) for fault in verdict(root).faults] == [("logs/asl.log", "LOG_CUT_SHORT")]


@pytest.mark.parametrize("number", range(7))
@pytest.mark.parametrize("place", ["logseq", "type", "length", "payload", "link"])
def test_behind_a_damaged_record_the_rest_is_read(tmp_path: Path, number: int, place: str) -> None:
    root = small(tmp_path / "store").root
    path = root / "logs/asl.log"
    data = path.read_bytes()
    whole = list(log.records(data[log.HEADER.size :]))
    record = whole[number]
    begin = record.after.offset - log.LINK - len(record.payload) - log.PREFIX.size
    at = begin + {"logseq": 0, "type": 8, "length": 12, "payload": 16, "link": 16 + len(record.payload)}[place]
    damaged = data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :]
    steps = list(chain.read(damaged))
    read = [step.logseq for step in steps if isinstance(step, log.Record)]
    gaps = [(step.at.offset, step.after.offset) for step in steps if isinstance(step, chain.Gap)]
    assert gaps == [(begin, record.after.offset)]
    assert read == [each.logseq for each in whole if place == "link" or each is not record]


def test_several_damaged_records_are_several_faults_of_the_log_alone(tmp_path: Path) -> None:
    root = small(tmp_path / "store").root
    path = root / "logs/asl.log"
    data = bytearray(path.read_bytes())
    whole = list(log.records(bytes(data[log.HEADER.size :])))
    for record in (whole[0], whole[1], whole[4]):
        data[record.after.offset - log.LINK - 1] ^= 1
    overwrite(path, bytes(data))
    result = verdict(root)
    assert named(result) == {"logs/asl.log"}
    assert len(result.faults) == 2, "two neighbours are one gap"
    assert result.counts["snapshots"] == 1


def test_a_head_of_another_store(tmp_path: Path) -> None:
    root, other = small(tmp_path / "store").root, small(tmp_path / "other").root
    with open_writer(str(other)) as writer:
        for _ in range(3):
            writer.record(records.SNAPSHOT_PIN, records.encode_number(2))
    overwrite(root / "meta/head", (other / "meta/head").read_bytes())
    assert [(fault.object, fault.reason) for fault in verdict(root).faults] == [("logs/asl.log", "LOG_CUT_SHORT")]


@pytest.mark.parametrize("head", [b"", b"{}", b"[]", b'{"link":1,"logseq":2,"offset":3}', b'{"link":"","logseq":[],"offset":{}}'])
def test_a_head_that_makes_no_sense(tmp_path: Path, head: bytes) -> None:
    root = small(tmp_path / "store").root
    overwrite(root / "meta/head", head)
    assert [(fault.object, fault.reason) for fault in verdict(root).faults] == [("meta/head", "BAD_HEAD")]


def test_a_head_in_capitals_is_damage(tmp_path: Path) -> None:
    root = small(tmp_path / "store").root
    text = (root / "meta/head").read_text()
    link = text.partition('"link":"')[2][:64]
    overwrite(root / "meta/head", text.replace(link, link.upper()).encode())
    assert [(fault.object, fault.reason) for fault in verdict(root).faults] == [("meta/head", "BAD_HEAD")]


def test_a_record_that_contradicts_the_state(tmp_path: Path) -> None:
    root = small(tmp_path / "store").root
    path = root / "logs/asl.log"
    overwrite(path, path.read_bytes() + next_record(root, records.SEGMENT_DROP, records.encode_drop([99])))
    assert [(fault.object, fault.reason) for fault in verdict(root).faults] == [("logs/asl.log", "BAD_LOG")]


def test_an_anchor_whose_root_is_not_that_of_the_state(tmp_path: Path) -> None:
    root = small(tmp_path / "store").root
    path = root / "logs/asl.log"
    about = open_store(str(root)).snapshots()[-1].about.encode()
    overwrite(path, path.read_bytes() + next_record(root, records.SNAPSHOT_ANCHOR, records.Anchor(3, bytes(32), about).encode()))
    assert ("logs/asl.log", "BAD_ANCHOR") in [(fault.object, fault.reason) for fault in verdict(root).faults]


def test_a_record_of_a_kind_that_is_not_known_is_no_fault(tmp_path: Path) -> None:
    root = small(tmp_path / "store").root
    path = root / "logs/asl.log"
    overwrite(path, path.read_bytes() + next_record(root, 0x7777, b"whatever"))
    assert verdict(root).ok
