# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Blocks and segments: which artifacts are hit, what nobody names, what the index says wrongly, what snapshots miss."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from unit.check.support import files, named, overwrite, seal, small, verdict

from asl.backends import layout
from asl.errors import NotFound, Unsupported
from asl.formats import artifact, block, canonical, records, segment
from asl.names import BlockID, Digest, reference_text
from asl.store import Writer, init_store, open_store, open_writer, raw
from asl.store.check import check
from asl.store.writer import LARGE


def location(root: Path, digest: bytes) -> segment.Location:
    return open_store(str(root)).locate(digest)


def flip(root: Path, name: str, at: int) -> None:
    data = bytearray((root / name).read_bytes())
    data[at] ^= 1
    overwrite(root / name, bytes(data))


def test_the_artifact_that_is_hit_is_named_and_no_other(tmp_path: Path) -> None:
    store = small(tmp_path / "store")
    place = location(store.root, store.chunk)[0]
    flip(store.root, layout.block(place.block), block.HEADER.size + place.offset + place.length - 1)
    faults = verdict(store.root).faults
    assert [(fault.object, fault.reason) for fault in faults] == [(layout.block(place.block), "DAMAGED_BLOCK")]
    assert faults[0].artifacts == (reference_text(store.chunk),)


@pytest.mark.parametrize("at", [0, 20, -1, -9, -41, -50])
def test_damage_beside_the_artifacts_hits_none_of_them(tmp_path: Path, at: int) -> None:
    store = small(tmp_path / "store")
    place = location(store.root, store.chunk)[0]
    flip(store.root, layout.block(place.block), at % (store.root / layout.block(place.block)).stat().st_size)
    fault = verdict(store.root).faults[0]
    assert (fault.object, fault.artifacts) == (layout.block(place.block), ())
    assert "whole" in fault.what


def test_a_damaged_header_takes_no_artifact_with_it(tmp_path: Path) -> None:
    store = small(tmp_path / "store")
    flip(store.root, layout.block(location(store.root, store.chunk)[0].block), 0)
    assert open_store(str(store.root)).payload(store.chunk) == b"chunk"


def test_a_missing_block_names_what_it_took_and_the_snapshots_without_it(tmp_path: Path) -> None:
    store = small(tmp_path / "store")
    place = location(store.root, store.tree)[0]
    (store.root / layout.block(place.block)).unlink()
    faults = {fault.object: fault for fault in verdict(store.root).faults}
    assert set(faults) == {layout.block(place.block), "snapshots/000000000001", "snapshots/000000000002"}
    assert reference_text(store.chunk) in faults[layout.block(place.block)].artifacts
    assert faults["snapshots/000000000001"].reason == "INCOMPLETE_SNAPSHOT"


def store_large(root: Path) -> tuple[Digest, segment.Location]:
    init_store(str(root))
    with open_writer(str(root)) as writer:
        digest = writer.put(bytes(range(256)) * (LARGE // 256) + b"the end")
        writer.commit()
        return digest, writer.locate(digest)


def test_a_large_artifact_is_checked_over_all_its_parts(tmp_path: Path) -> None:
    root = tmp_path / "store"
    digest, extents = store_large(root)
    assert len(extents) == 2
    result = verdict(root)
    assert (result.ok, result.counts["artifacts"]) == (True, 1)
    for extent in extents:
        name = layout.block(extent.block)
        flip(root, name, block.HEADER.size + 3)
        fault = verdict(root).faults[0]
        assert (fault.object, fault.artifacts) == (name, (reference_text(digest),))
        flip(root, name, block.HEADER.size + 3)
        (root / name).rename(tmp_path / "away")
        fault = verdict(root).faults[0]
        assert (fault.object, fault.reason, fault.artifacts) == (name, "MISSING_BLOCK", (reference_text(digest),))
        (tmp_path / "away").rename(root / name)


def publish(writer: Writer, entries: list[tuple[Digest, segment.Location]]) -> None:
    """Seal a segment that says ENTRIES, whatever is true."""
    data = segment.encode(entries)
    writer.backend.create(layout.segment(77), data)
    writer.backend.barrier()
    writer.record(records.SEGMENT_SEAL, records.Seal(77, hashlib.sha256(data).digest()).encode())


def test_an_index_that_names_a_wrong_place(tmp_path: Path) -> None:
    store = small(tmp_path / "store")
    with open_writer(str(store.root)) as writer:
        place = writer.locate(store.chunk)[0]
        publish(writer, [(Digest(b"\1" * 32), (place,)), (store.chunk, (place._replace(offset=place.offset + 1),))])
    faults = verdict(store.root).faults
    assert {(fault.object, fault.reason) for fault in faults} == {("segments/000000000077", "BAD_INDEX")}
    assert {fault.artifacts for fault in faults} == {(reference_text(b"\1" * 32),), (reference_text(store.chunk),)}


def test_an_index_that_names_a_block_that_never_was(tmp_path: Path) -> None:
    store = small(tmp_path / "store")
    with open_writer(str(store.root)) as writer:
        publish(writer, [(Digest(b"\1" * 32), (segment.Extent(BlockID(b"\2" * 32), 0, 9),))])
    fault = verdict(store.root).faults[0]
    assert (fault.object, fault.reason, fault.artifacts) == (layout.block(b"\2" * 32), "MISSING_BLOCK", (reference_text(b"\1" * 32),))


def test_a_block_that_keeps_no_rule_but_its_name(tmp_path: Path) -> None:
    root = small(tmp_path / "store").root
    encoded = artifact.header(1) + b"x"
    data = block.Header().encode() + encoded + block.encode_tail(len(encoded), len(encoded), [1])
    path = root / layout.block(hashlib.sha256(data).digest())
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    assert [fault.reason for fault in verdict(root).faults] == ["BAD_BLOCK"]


def test_what_a_killed_writer_leaves_are_notes_and_flips_in_it_are_found(tmp_path: Path) -> None:
    root = small(tmp_path / "store").root
    before = set(files(root))
    with open_writer(str(root)) as writer:
        writer.put(b"never committed" * 9)
        writer._packer.flush()  # the block is there, and nobody names it
        data = segment.encode([])
        writer.backend.create(layout.segment(3), data)  # and a segment that the log does not know
    result = verdict(root)
    left = sorted(path.relative_to(root).as_posix() for path in set(files(root)) - before)
    assert result.ok
    assert sorted(note.object for note in result.notes) == left
    assert {note.reason for note in result.notes} == {"UNREFERENCED"}
    for name in left:
        for at in range(0, (root / name).stat().st_size, 7):
            flip(root, name, at)
            assert named(verdict(root)) == {name}
            flip(root, name, at)


def test_a_snapshot_whose_content_was_never_stored(tmp_path: Path) -> None:
    root = tmp_path / "store"
    init_store(str(root))
    with open_writer(str(root)) as writer:
        seal(writer, Digest(b"\3" * 32))
    fault = verdict(root).faults[0]
    assert (fault.object, fault.reason) == ("snapshots/000000000001", "INCOMPLETE_SNAPSHOT")
    assert fault.artifacts == (reference_text(b"\3" * 32),)


def test_a_tombstone_hides_but_is_no_damage(tmp_path: Path) -> None:
    store = small(tmp_path / "store")
    with open_writer(str(store.root)) as writer:
        writer.record(records.TOMBSTONE, records.Tombstone(store.chunk).encode())
    assert verdict(store.root).ok


def test_no_store_at_all(tmp_path: Path) -> None:
    (tmp_path / "something").write_bytes(b"x")
    for place in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(NotFound):
            verdict(place)


def test_a_store_of_a_newer_format_is_refused_and_not_called_damaged(tmp_path: Path) -> None:
    root = small(tmp_path / "store").root
    value = canonical.decode((root / "meta/asl-store").read_bytes(), "the marker")
    del value["check"]
    value["version"] = 2
    newer = {**value, "check": hashlib.sha256(canonical.encode(value)).hexdigest()}
    overwrite(root / "meta/asl-store", canonical.encode(newer))
    with pytest.raises(Unsupported):
        verdict(root)
    overwrite(root / "meta/asl-store", canonical.encode({**newer, "check": "0" * 64}))
    assert named(verdict(root)) == {"meta/asl-store"}


def test_progress_reaches_the_end(tmp_path: Path) -> None:
    root = small(tmp_path / "store").root
    seen: list[tuple[str, int, int]] = []
    result = check(raw(str(root)), lambda phase, done, total: seen.append((phase, done, total)))
    assert {phase for phase, _, _ in seen} == {"log", "segments", "blocks", "snapshots"}
    assert [step for step in seen if step[0] == "blocks"][-1] == ("blocks", result.counts["block_bytes"], result.counts["block_bytes"])


def test_every_artifact_can_be_read_where_the_check_finds_no_fault(tmp_path: Path) -> None:
    store = open_store(str(small(tmp_path / "store").root))
    for each in store.index.segments():
        for digest, _ in each.entries():
            found = store.get(digest)
            assert artifact.digest(found.payload, found.type_tag) == digest
