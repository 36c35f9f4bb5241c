# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Seal, anchor, checkpoint, pins; opening from a checkpoint equals a full replay, for any history."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from pathlib import Path
from typing import Optional

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.store.support import files, put, seal

from asl.backends.posix import PosixReads
from asl.errors import Damaged, NotFound, Usage
from asl.formats import artifact, log, records, segment
from asl.formats.snapshot import Checkpoint
from asl.names import BlockID
from asl.store import Writer, init_store, merge, open_store, open_writer, recovery
from asl.store.state import State


def test_a_snapshot_is_sealed_listed_and_found(root: str) -> None:
    with open_writer(root) as writer:
        first, second = seal(writer, "one"), seal(writer, "two")
    store = open_store(root)
    found = store.snapshots()
    assert [each.id for each in found] == [first.id, second.id] == [1, 2]
    assert found[1].manifest.sources[0].size == 3
    assert found[1].receipt["text"] == "two"
    assert found[1].document()["sources"] == ["tree:/two"]
    assert store.find_snapshot("latest").id == store.find_snapshot("2").id == store.find_snapshot(found[1].digest[:8]).id == 2
    with pytest.raises(NotFound, match="no snapshot 3"):
        store.find_snapshot("3")
    with pytest.raises(Usage):
        store.find_snapshot(found[1].digest[:7].replace(found[1].digest[0], "f", 1))


def test_an_empty_store_has_no_latest_snapshot(root: str) -> None:
    with pytest.raises(NotFound):
        open_store(root).find_snapshot("latest")


def test_the_anchor_holds_the_digest_of_the_checkpoint(root: str) -> None:
    with open_writer(root) as writer:
        sealed = seal(writer)
    data = (Path(root) / "snapshots" / "000000000001").read_bytes()
    assert hashlib.sha256(data).digest() == sealed.root
    checkpoint = Checkpoint.decode(data)
    assert checkpoint.position.logseq == sealed.logseq - 1
    assert dict(checkpoint.segments) == open_store(root).state.segments


def test_pins(root: str) -> None:
    with open_writer(root) as writer:
        seal(writer, "one")
        seal(writer, "two")
        writer.record(records.SNAPSHOT_PIN, records.encode_number(1))
        writer.record(records.SNAPSHOT_PIN, records.encode_number(2))
        writer.record(records.SNAPSHOT_UNPIN, records.encode_number(2))
    assert [each.pinned for each in open_store(root).snapshots()] == [True, False]


def test_many_small_segments_are_merged_and_nothing_is_lost(root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merge, "MANY_SEGMENTS", 5)
    digests = [put(root, b"payload %d" % number)[0] for number in range(7)]
    old = open_store(root)
    with open_writer(root) as writer:
        seal(writer)
        assert len(writer.index.segments()) == 1
        assert [writer.payload(digest) for digest in digests] == [b"payload %d" % number for number in range(7)]
    assert [old.payload(digest) for digest in digests] == [b"payload %d" % number for number in range(7)]  # its files are still there
    state = open_store(root, full=True).state
    assert len(state.segments) == 1
    assert len(files(root, "segments")) == 9


def test_a_merge_keeps_the_entry_that_a_look_up_would_find(root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merge, "MANY_SEGMENTS", 1)
    digest = put(root, b"twice")[0]
    with open_writer(root) as writer:
        good = writer.locate(digest)
        writer.replace_segments([], lambda: (segment.encode([(digest, (segment.Extent(BlockID(bytes(32)), 0, 1),))]),))
        writer.replace_segments([], lambda: (segment.encode([(digest, good)]),))
        assert merge.merge_segments(writer)
        assert list(writer.locate(digest)) == list(good)
        assert writer.payload(digest) == b"twice"


ACTIONS = st.lists(st.sampled_from(["put", "put", "seal", "hide", "lift", "pin", "unpin", "reopen", "unknown", "tear"]), max_size=18)


@settings(max_examples=40)
@given(ACTIONS)
def test_opening_from_a_checkpoint_equals_a_full_replay(actions: list[str]) -> None:
    folder = tempfile.mkdtemp(dir="/dev/shm" if Path("/dev/shm").is_dir() else None)
    keep, merge.MANY_SEGMENTS = merge.MANY_SEGMENTS, 4
    try:
        live(f"{folder}/store", actions)
    finally:
        merge.MANY_SEGMENTS = keep
        shutil.rmtree(folder)


def live(root: str, actions: list[str]) -> None:
    init_store(root)
    writer = open_writer(root)
    for number, action in enumerate(actions):
        act(writer, root, action, number)
        if action in ("reopen", "tear"):
            writer = open_writer(root)
        from_checkpoint, full = (recovery.load(PosixReads(root), full=every) for every in (False, True))
        for name in ("position", "segments", "tombstones", "pins", "last_snapshot"):
            assert getattr(from_checkpoint, name) == getattr(full, name) == getattr(writer.state, name)
        assert list(from_checkpoint.segments) == list(full.segments)  # the order is part of it
        assert from_checkpoint.checkpoint() == full.checkpoint()
        assert all(open_store(root).index.find(digest) for digest, _ in full_entries(root))


def full_entries(root: str) -> list[tuple[bytes, object]]:
    return [entry for each in open_store(root, full=True).index.segments() for entry in each.entries()]


def act(writer: Writer, root: str, action: str, number: int) -> None:
    target = artifact.digest(b"target")
    if action == "put":
        writer.put(b"put %d" % number)
        writer.commit()
    elif action == "seal":
        seal(writer, f"text {number}")
    elif action == "hide":
        writer.record(records.TOMBSTONE, records.Tombstone(target).encode())
    elif action == "lift":
        lifted = writer.state.tombstones.get((0, target), 999)
        writer.record(records.TOMBSTONE_LIFT, records.Tombstone(target, lifts=lifted).encode())
    elif action in ("pin", "unpin"):
        kind = records.SNAPSHOT_PIN if action == "pin" else records.SNAPSHOT_UNPIN
        writer.record(kind, records.encode_number(number % 3 + 1))
    elif action == "unknown":
        writer.record(0x7FFF0001, b"?")
    elif action == "tear":
        with (Path(root) / "logs" / "asl.log").open("ab") as file:
            file.write(b"\0" * (number * 31))


@pytest.mark.parametrize("content", [None, b"", b"rubbish", b'{"format":"asl-snapshot","version":9}'])
def test_a_damaged_or_foreign_checkpoint_only_costs_a_replay(root: str, content: Optional[bytes]) -> None:
    with open_writer(root) as writer:
        seal(writer, "one")
        seal(writer, "two")
    wanted = open_store(root).state
    path = Path(root) / "snapshots" / "000000000002"
    path.chmod(0o644)
    if content is None:
        path.write_bytes(path.read_bytes().replace(b'"pins":[]', b'"pins":[7]'))
    else:
        path.write_bytes(content)
    found = open_store(root).state
    assert (found.position, found.segments, found.pins) == (wanted.position, wanted.segments, set())


def test_a_missing_checkpoint_is_written_again_and_is_the_same(root: str) -> None:
    with open_writer(root) as writer:
        seal(writer)
    path = Path(root) / "snapshots" / "000000000001"
    data = path.read_bytes()
    path.unlink()
    assert open_store(root).snapshots()[0].id == 1
    assert not path.exists()  # a reader writes nothing
    with open_writer(root):
        assert path.read_bytes() == data


def test_a_log_that_contradicts_itself_is_damage() -> None:
    def replay(*payloads: tuple[int, bytes]) -> State:
        data, position = b"", log.START
        for kind, payload in payloads:
            record, position = log.encode(position, kind, payload)
            data += record
        return State().replay(log.records(data))

    seal_one = (records.SEGMENT_SEAL, records.Seal(1, bytes(32)).encode())
    assert replay(seal_one).segments == {1: bytes(32)}
    for wrong in (
        [seal_one, seal_one],
        [(records.SEGMENT_DROP, records.encode_drop([1]))],
        [seal_one, (records.SEGMENT_DROP, records.encode_drop([1, 1]))],
        [(records.SNAPSHOT_ANCHOR, records.Anchor(2, bytes(32), b"{}").encode())],
        [(records.SNAPSHOT_ANCHOR, records.Anchor(1, bytes(32), b"{}").encode())],
        [(records.SEGMENT_SEAL, b"short")],
    ):
        with pytest.raises(Damaged):
            replay(*wrong)
