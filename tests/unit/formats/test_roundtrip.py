# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is encoded decodes to itself, for any values that the formats can hold."""

from __future__ import annotations

from typing import Optional

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from unit.formats import samples

from asl.errors import Damaged, Unsupported
from asl.formats import artifact, block, log, recipe, records, reference, segment, snapshot, tree
from asl.names import BlockID, Digest

U8, U32, U64 = st.integers(0, 255), st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1)
DIGESTS = st.binary(min_size=32, max_size=32).map(Digest)
BLOCK_IDS = st.sampled_from([BlockID(samples.digest(number)) for number in range(40, 48)])
TEXT = st.text(max_size=12)


@given(st.binary(max_size=200), st.none() | U32)
def test_artifact(payload: bytes, tag: Optional[int]) -> None:
    encoded = artifact.header(len(payload), tag) + payload
    assert artifact.decode(encoded) == artifact.Artifact(payload, tag)
    assert artifact.parse_header(encoded) == (tag, len(encoded) - len(payload), len(payload))
    for wrong in (encoded + b"x", encoded[:-1]):
        with pytest.raises(Damaged):
            artifact.decode(wrong)


@given(st.binary(max_size=50), U32, U32)
def test_the_tag_counts_in_the_digest(payload: bytes, one: int, other: int) -> None:
    assume(one != other)
    assert len({artifact.digest(payload, one), artifact.digest(payload, other), artifact.digest(payload)}) == 3


@given(DIGESTS)
def test_reference(digest: Digest) -> None:
    assert reference.decode(reference.encode(digest)) == digest
    with pytest.raises(Damaged):
        reference.decode(b"\0\0" + digest)
    with pytest.raises(Unsupported):
        reference.decode(b"\0\2" + digest)


extents = st.builds(segment.Extent, BLOCK_IDS, U32, U32)
locations = st.lists(extents, min_size=1, max_size=4).map(tuple)


@given(st.lists(st.tuples(DIGESTS, locations), max_size=12))
def test_segment(wanted: list[tuple[Digest, segment.Location]]) -> None:
    first: dict[Digest, segment.Location] = {}
    for digest, location in wanted:
        first.setdefault(digest, location)
    data = segment.encode(wanted)
    shape = segment.check(data)
    assert [(digest, tuple(location)) for digest, location in segment.entries(data, shape)] == sorted(first.items())
    assert set(segment.blocks(data, shape)) == {extent.block for location in first.values() for extent in location}
    assert segment.encode(list(first.items())) == data


@given(st.lists(st.tuples(st.binary(max_size=40), st.none() | U32), min_size=1, max_size=6))
def test_packed_block(wanted: list[tuple[bytes, Optional[int]]]) -> None:
    plain, offsets = b"", []
    for payload, tag in wanted:
        offsets.append(len(plain))
        plain += artifact.header(len(payload), tag) + payload
    _, trailer, found = samples.whole_block(block.Header().encode() + plain + block.encode_tail(len(plain), len(plain), offsets))
    assert trailer == block.Trailer(len(plain), len(plain), 0, len(wanted), trailer.crc)
    assert [(offset, tuple(artifact.decode(data))) for offset, data in found] == list(zip(offsets, wanted))


@given(st.lists(U32, max_size=5), st.lists(U32, max_size=5), U64)
def test_block_tables(offsets: list[int], frames: list[int], size: int) -> None:
    tail = block.encode_tail(size, 0, offsets, frames)
    whole = block.HEADER.size + len(tail)
    trailer = block.decode_trailer(tail, whole)
    assert block.decode_tables(tail[: trailer.tables], trailer) == (tuple(frames), tuple(offsets))
    with pytest.raises(Damaged):
        block.decode_trailer(tail, whole + 1)


@given(st.builds(block.Header, st.sampled_from([0, 1]), st.sampled_from([0, 1]), U32, U64, DIGESTS))
def test_block_header(header: block.Header) -> None:
    assert block.decode_header(header.encode()) == header


LENGTHS = st.integers(1, 2**48)
RECIPE_ENTRIES = st.one_of(
    st.builds(recipe.Entry, st.just(recipe.DATA), LENGTHS, DIGESTS),
    st.builds(recipe.Entry, st.sampled_from([recipe.HOLE, recipe.UNREAD]), LENGTHS, st.just(recipe.NO_DIGEST)),
)


@given(st.lists(RECIPE_ENTRIES, max_size=12))
def test_recipe(entries: list[recipe.Entry]) -> None:
    assume(all(one.digest or one.kind != other.kind for one, other in zip(entries, entries[1:])))
    assert recipe.decode(recipe.encode(0, entries)) == recipe.Node(0, sum(entry.length for entry in entries), entries)
    children = [recipe.Entry(recipe.CHILD, entry.length, entry.digest) for entry in entries if entry.digest]
    if children:
        assert recipe.decode(recipe.encode(3, children)).entries == children


@given(st.lists(st.tuples(st.sampled_from([recipe.DATA, recipe.HOLE, recipe.UNREAD]), st.integers(1, 5)), max_size=10))
def test_recipe_ranges_cover_exactly_their_kind(pieces: list[tuple[int, int]]) -> None:
    marks = [kind for kind, length in pieces for _ in range(length)]
    found = list(recipe.ranges(iter([recipe.Entry(kind, length) for kind, length in pieces]), recipe.UNREAD))
    covered = [at for start, length in found for at in range(start, start + length)]
    assert covered == [at for at, kind in enumerate(marks) if kind == recipe.UNREAD]
    assert all(start + length < after for (start, length), (after, _) in zip(found, found[1:]))


NAMES = st.binary(min_size=1, max_size=40).filter(lambda name: name not in (b".", b"..") and b"/" not in name and b"\0" not in name)
TREE_ENTRIES = st.builds(
    tree.Entry, NAMES, st.sampled_from(sorted(tree.TYPE_NAMES)), st.integers(0, 0o7777), U32, U32, st.integers(-(2**63), 2**63 - 1),
    st.integers(0, 999_999_999), U64, st.tuples(U32, U32), st.binary(max_size=60),
    st.lists(st.tuples(st.binary(max_size=20), st.binary(max_size=50)), max_size=3).map(tuple), U8, st.integers(0, 3), DIGESTS,
)  # fmt: skip


@given(st.lists(TREE_ENTRIES, max_size=6, unique_by=lambda entry: entry.name))
def test_tree(entries: list[tree.Entry]) -> None:
    entries.sort(key=lambda entry: entry.name)
    assert tree.decode(tree.encode([tree.encode_entry(entry) for entry in entries])) == tree.Node(0, entries, ())


@given(st.lists(st.builds(tree.Branch, DIGESTS, U64, NAMES), min_size=1, max_size=6, unique_by=lambda branch: branch.first))
def test_upper_tree(branches: list[tree.Branch]) -> None:
    branches.sort(key=lambda branch: branch.first)
    assert tree.decode(tree.encode_upper(2, branches)) == tree.Node(2, (), branches)


@given(DIGESTS, U32, st.integers(1, 2**64 - 1), st.lists(U64, max_size=5), st.binary(max_size=40))
def test_record_payloads(digest: Digest, domain: int, number: int, numbers: list[int], about: bytes) -> None:
    assert records.Seal.decode(records.Seal(number, digest).encode()) == records.Seal(number, digest)
    for stone in (records.Tombstone(digest, domain), records.Tombstone(digest, domain, number)):
        assert records.Tombstone.decode(stone.encode(), lift=bool(stone.lifts)) == stone
    anchor = records.Anchor(number, digest, about, domain)
    assert records.Anchor.decode(anchor.encode()) == anchor
    assert records.decode_drop(records.encode_drop(numbers)) == numbers
    assert records.decode_number(records.encode_number(number)) == number


ROOTS = st.builds(snapshot.SourceRoot, TEXT, TEXT, DIGESTS, U64, U64, st.none() | TEXT)


@given(st.lists(ROOTS, max_size=4), st.dictionaries(TEXT, U64, max_size=3))
def test_manifest(roots: list[snapshot.SourceRoot], chunking: dict[str, int]) -> None:
    manifest = snapshot.Manifest(tuple(roots), chunking)
    assert snapshot.Manifest.decode(manifest.encode()) == manifest


@given(
    st.builds(
        snapshot.About, TEXT, DIGESTS, DIGESTS, st.lists(TEXT, max_size=3).map(tuple), st.dictionaries(TEXT, TEXT), U64, U64, U64, U64
    )
)
def test_about(about: snapshot.About) -> None:
    assert snapshot.About.decode(about.encode()) == about


STONES = st.lists(st.tuples(U32, DIGESTS, U64), max_size=3).map(tuple)


@given(
    st.builds(snapshot.Checkpoint, U64, st.builds(log.Position, U64, DIGESTS, U64), st.lists(st.tuples(U64, DIGESTS)).map(tuple), STONES)
)
def test_checkpoint(checkpoint: snapshot.Checkpoint) -> None:
    assert snapshot.Checkpoint.decode(checkpoint.encode()) == checkpoint
