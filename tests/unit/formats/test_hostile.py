# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every decoder, given bytes nobody meant for it: Damaged or Unsupported, and no other error."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from unit.formats import samples

from asl.errors import Damaged, Unsupported
from asl.formats import block, canonical, recipe, segment, snapshot, tree

GOLDEN = samples.golden()
HARMLESS = (Damaged, Unsupported)


def every_decoder(data: bytes) -> None:
    for decode in samples.DECODERS.values():
        try:
            decode(data)
        except HARMLESS:
            continue


@given(st.binary(max_size=300))
@example(b"")
@example(b'{"a":NaN}')
@example(bytes(400))
@example(b"\xff" * 400)
def test_random_bytes(data: bytes) -> None:
    every_decoder(data)


@given(st.sampled_from(sorted(GOLDEN)), st.data())
def test_mutated_bytes(name: str, data: st.DataObject) -> None:
    value = bytearray(GOLDEN[name])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(value)))
        cut = data.draw(st.integers(0, 8))
        value[at : at + cut] = data.draw(st.binary(max_size=8))
    every_decoder(bytes(value))


@pytest.mark.parametrize("name", sorted(GOLDEN))
def test_every_cut_and_every_doubling(name: str) -> None:
    for at in range(len(GOLDEN[name])):
        every_decoder(GOLDEN[name][:at])
    every_decoder(GOLDEN[name] * 2)


@pytest.mark.parametrize(("name", "decoder"), [("segment", "segment_check"), ("checkpoint", "checkpoint"), ("manifest", "manifest")])
def test_every_flipped_bit_is_seen_or_gives_another_value(name: str, decoder: str) -> None:
    """A segment has a checksum: all are seen. JSON has none of its own: what is not seen reads differently, so its digest tells."""
    plain, seen = samples.DECODERS[decoder](GOLDEN[name]), 0
    for bit in range(len(GOLDEN[name]) * 8):
        flipped = bytearray(GOLDEN[name])
        flipped[bit // 8] ^= 1 << bit % 8
        try:
            assert samples.DECODERS[decoder](bytes(flipped)) != plain
        except HARMLESS:
            seen += 1
    assert seen == len(GOLDEN[name]) * 8 if name == "segment" else seen > len(GOLDEN[name]) * 4


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.sampled_from(["", "x", "00", "0001" + "00" * 32, "1"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["kind", "root", "size", "x"]), inner, max_size=3),
    max_leaves=6,
)


@given(st.sampled_from(["manifest", "about", "checkpoint"]), st.data())
def test_json_of_other_types(name: str, data: st.DataObject) -> None:
    """Well-formed objects in which any one value is another: taken apart, or refused; never half understood."""
    value = canonical.decode(GOLDEN[name], name)
    key = data.draw(st.sampled_from(sorted(value)))
    if data.draw(st.booleans()):
        value[key] = data.draw(json_values)
    else:
        del value[key]
    encoded = canonical.encode(value)
    try:
        found = samples.DECODERS[name](encoded)
    except HARMLESS:
        return
    assert found.encode() == encoded


@pytest.mark.parametrize("name", [b"", b".", b"..", b"a/b", b"/", b"a\0", b"../../etc/passwd"])
def test_hostile_names_are_refused(name: bytes) -> None:
    names = sorted([b"\x01", name])
    with pytest.raises(Damaged):
        tree.decode(tree.encode([tree.encode_entry(tree.Entry(each, tree.FILE)) for each in names]))
    with pytest.raises(Damaged):
        tree.decode(tree.encode_upper(1, [tree.Branch(bytes(32), 1, each) for each in names]))


def test_only_the_root_of_a_source_is_called_dot() -> None:
    assert tree.decode(tree.encode([tree.encode_entry(tree.Entry(b".", tree.FILE))])).entries[0].name == tree.ROOT_NAME
    with pytest.raises(Damaged):
        tree.check_name(b".")


def test_names_out_of_order_or_twice_are_refused() -> None:
    for names in ((b"b", b"a"), (b"a", b"a")):
        with pytest.raises(Damaged, match="order"):
            tree.decode(tree.encode([tree.encode_entry(tree.Entry(name, tree.FILE)) for name in names]))


@pytest.mark.parametrize(
    ("level", "entries"),
    [
        (0, [recipe.Entry(recipe.CHILD, 1, bytes(32))]),
        (1, [recipe.Entry(recipe.DATA, 1, bytes(32))]),
        (1, [recipe.Entry(recipe.HOLE, 1)]),
        (0, [recipe.Entry(recipe.HOLE, 1), recipe.Entry(recipe.HOLE, 1)]),
        (0, [recipe.Entry(recipe.UNREAD, 1), recipe.Entry(recipe.UNREAD, 1)]),
        (0, [recipe.Entry(recipe.DATA, 0, bytes(32))]),
        (0, [recipe.Entry(9, 1)]),
    ],
)
def test_recipes_against_the_rules_are_refused(level: int, entries: list[recipe.Entry]) -> None:
    with pytest.raises(Damaged):
        recipe.decode(recipe.encode(level, entries))


def test_newer_versions_are_refused_by_their_number() -> None:
    for name, at in (("recipe_leaf", 0), ("tree_leaf", 0), ("segment", 8), ("block_packed", 8)):
        newer = bytearray(GOLDEN[name])
        newer[at] = 2
        with pytest.raises(Unsupported):
            samples.DECODERS[name.partition("_")[0]](bytes(newer))
    for name in ("manifest", "checkpoint"):
        with pytest.raises(Unsupported, match="version 2"):
            samples.DECODERS[name](GOLDEN[name].replace(b'"version":1', b'"version":2'))


def test_a_segment_whose_records_are_not_in_order_is_damage_even_with_a_fitting_checksum() -> None:
    data = bytearray(GOLDEN["segment"])
    first, size = segment.HEADER.size, segment.RECORD.size
    data[first : first + 2 * size] = data[first + size : first + 2 * size] + data[first : first + size]
    data[-4:] = zlib.crc32(data[:-4]).to_bytes(4, "little")
    with pytest.raises(Damaged, match="order"):
        segment.check(bytes(data))


def test_a_block_with_a_gap_before_its_first_artifact_is_damage() -> None:
    body = b"\0" * 9
    for offsets in ([], [1]):
        data = block.Header().encode() + body + block.encode_tail(len(body), len(body), offsets)
        with pytest.raises(Damaged):
            samples.whole_block(data)


def test_a_snapshot_file_whose_digests_are_spaced_is_damage() -> None:
    spaced = canonical.decode(GOLDEN["checkpoint"], "a test")
    spaced["link"] = " " + spaced["link"]
    with pytest.raises(Damaged):
        snapshot.Checkpoint.decode(canonical.encode(spaced))
