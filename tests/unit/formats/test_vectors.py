# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The bytes of every format, held against frozen ones, so that version 1 cannot drift unnoticed."""

from __future__ import annotations

import hashlib
from typing import Any

from unit.formats import samples

from asl import names
from asl.formats import artifact, log, recipe, records, reference, segment, snapshot, tree


def test_artifacts_and_their_digests(vectors: Any) -> None:
    assert len(vectors["artifacts"]) == 3
    for case in vectors["artifacts"]:
        payload, tag, encoded = bytes.fromhex(case["payload"]), case["type_tag"], bytes.fromhex(case["bytes"])
        assert artifact.header(len(payload), tag) + payload == encoded
        assert artifact.digest(payload, tag).hex() == case["digest"]
        assert artifact.decode(encoded) == artifact.Artifact(payload, tag)


def test_the_log_of_the_public_description(vectors: Any) -> None:
    wanted, position = vectors["log"], log.START
    data = log.FIRST
    assert data.hex() == wanted["header"]
    for case in wanted["records"]:
        record, position = log.encode(position, case["type"], bytes.fromhex(case["payload"]))
        assert record.hex() == case["prefix"] + case["payload"] + case["record_hash"]
        data += record
    assert len(data) == 163
    assert hashlib.sha256(data).hexdigest() == wanted["sha256"]
    assert data == samples.two_records()
    assert [(each.logseq, each.kind) for each in samples.whole_log(data)] == [(1, records.SEGMENT_SEAL), (2, 0x7FFF0001)]


def test_version_1_of_every_format_has_not_drifted(vectors: Any) -> None:
    found = {name: data.hex() for name, data in samples.golden().items()}
    assert found == vectors["golden"]


def test_frozen_bytes_decode_to_the_values_they_were_made_of(vectors: Any) -> None:
    frozen = {name: bytes.fromhex(text) for name, text in vectors["golden"].items()}
    assert reference.decode(frozen["reference"]) == samples.digest(1)
    assert records.Seal.decode(frozen["payload_segment_seal"]) == records.Seal(7, samples.digest(1))
    assert records.Tombstone.decode(frozen["payload_tombstone"], lift=False) == records.Tombstone(samples.digest(1), 2)
    assert records.Tombstone.decode(frozen["payload_tombstone_lift"], lift=True) == records.Tombstone(samples.digest(1), 2, 9)
    assert records.decode_drop(frozen["payload_segment_drop"]) == [3, 1 << 40]
    assert records.Anchor.decode(frozen["payload_snapshot_anchor"]) == samples.ANCHOR
    assert records.decode_number(frozen["payload_snapshot_pin"]) == 5
    assert list(segment.entries(frozen["segment"], segment.check(frozen["segment"]))) == sorted(samples.LOCATIONS)
    assert segment.check(frozen["segment_empty"]).record_count == 0
    assert recipe.decode(frozen["recipe_leaf"]) == recipe.Node(0, 86_897, list(samples.RECIPE))
    assert recipe.decode(frozen["recipe_empty"]) == recipe.Node(0, 0, [])
    assert tree.decode(frozen["tree_leaf"]).entries == list(samples.ENTRIES)
    assert [branch.first for branch in tree.decode(frozen["tree_upper"]).branches] == [b"a", b"b\xff"]
    assert snapshot.Manifest.decode(frozen["manifest"]) == samples.MANIFEST
    assert snapshot.About.decode(frozen["about"]) == samples.ABOUT
    assert snapshot.Checkpoint.decode(frozen["checkpoint"]) == samples.CHECKPOINT


def test_frozen_blocks_hold_their_artifacts(vectors: Any) -> None:
    _, trailer, artifacts = samples.whole_block(bytes.fromhex(vectors["golden"]["block_packed"]))
    assert trailer.artifact_count == 2
    assert [artifact.decode(data) for _, data in artifacts] == [artifact.Artifact(b"hello"), artifact.Artifact(b"abc", artifact.TAG_TREE)]
    header, trailer, _ = samples.whole_block(bytes.fromhex(vectors["golden"]["block_part"]))
    assert (header.part_of, header.part_offset, trailer.plain_size) == (artifact.digest(b"hello"), 9, 5)


def test_the_text_of_a_reference() -> None:
    text = names.reference_text(samples.digest(1))
    assert len(text) == 68
    assert text == reference.encode(samples.digest(1)).hex()
    assert names.parse_reference(text.upper()) == names.parse_reference(text[4:]) == samples.digest(1)
