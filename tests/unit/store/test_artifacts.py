# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Put and get: any tag or none, any size, once; found in the newest segment that has it."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path
from typing import Optional

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from unit.store.support import files, put

from asl.backends.posix import Posix
from asl.errors import Damaged, NotFound
from asl.formats import artifact, block, records, segment
from asl.formats.artifact import TAG_NAMES, Artifact
from asl.names import BlockID, Digest
from asl.store import init_store, open_store, open_writer, writer
from asl.store.index import Segment
from asl.store.state import State


@pytest.mark.parametrize("tag", [None, 0, 1, 0x101, 2**32 - 1, *TAG_NAMES])
@pytest.mark.parametrize("payload", [b"", b"x", bytes(100_000)], ids=["empty", "one", "zeros"])
def test_any_tag_or_none(root: str, payload: bytes, tag: Optional[int]) -> None:
    with open_writer(root) as into:
        digest = into.put(payload, tag)
        assert digest == artifact.digest(payload, tag)
        assert into.get(digest) == Artifact(payload, tag)  # commits first
    assert open_store(root).get(digest) == Artifact(payload, tag)
    if tag is not None:
        with pytest.raises(Damaged, match="type tag"):
            open_store(root).payload(digest)


@pytest.mark.parametrize("more", [-14, -9, -1, 0, 1, 5_000_000, writer.LARGE + 1])
def test_large_artifacts_lie_in_parts_and_come_back(root: str, more: int) -> None:
    payload = random.Random(more).randbytes(writer.LARGE + more)
    with open_writer(root) as into:
        digest = into.put(payload, 7)
        into.commit()
    store = open_store(root)
    extents = store.locate(digest)
    assert sum(extent.length for extent in extents) == len(payload) + artifact.TAGGED.size
    assert len(extents) == (1 if more < 0 else -(-(len(payload) + artifact.TAGGED.size) // writer.LARGE))
    assert store.get(digest) == Artifact(payload, 7)
    kinds = {block.decode_header(path.read_bytes()[:64]).kind for path in files(root, "blocks")}
    assert kinds == {block.PACKED if more < 0 else block.PART}


def test_the_same_bytes_are_stored_once(root: str) -> None:
    payloads = [b"same", b"other", b"same"]
    digests = put(root, *payloads)
    before = files(root, "blocks")
    assert digests[0] == digests[2]
    with open_writer(root) as into:
        assert into.add(digests[0], b"same") is False
        assert into.add(artifact.digest(b"new"), b"new") is True
        assert into.add(artifact.digest(b"new"), b"new") is False
        into.commit()
        assert into.bytes_stored == sum(path.stat().st_size for path in set(files(root, "blocks")) - set(before))


def test_nothing_is_visible_before_commit(root: str) -> None:
    with open_writer(root) as into:
        digest = into.put(b"pending")
        assert into.has(digest)
        assert not open_store(root).has(digest)
    assert not open_store(root).has(digest)  # left without commit
    assert files(root, "tmp") == files(root, "segments") == files(root, "blocks") == []


def test_an_open_store_shows_one_state_and_a_new_one_the_next(root: str) -> None:
    old = open_store(root)
    (digest,) = put(root, b"later")
    assert not old.has(digest)
    with pytest.raises(NotFound, match="there is no artifact 0001"):
        old.get(digest)
    assert open_store(root).payload(digest) == b"later"


def test_blocks_are_filled_and_named_by_their_bytes(root: str) -> None:
    with open_writer(root, block_size=10_000) as into:
        for number in range(50):
            into.put(random.Random(number).randbytes(900))
        into.commit()
    blocks = files(root, "blocks")
    assert len(blocks) == 5
    for path in blocks:
        assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name
        assert path.parent.name == path.name[:2]
        assert path.stat().st_size <= 10_000 + 64 + 40 + 4 * 11


def test_many_blocks_are_committed_on_the_way(root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "BLOCKS_PER_COMMIT", 4)
    with open_writer(root, block_size=2000) as into:
        for number in range(40):
            into.put(random.Random(number).randbytes(1500))
    assert len(files(root, "segments")) >= 6  # a commit takes the blocks with it that are not full yet


def test_the_newest_segment_is_asked_first(root: str) -> None:
    """Two segments name one artifact: the entry of the newer one is used."""
    digest = put(root, b"wanted")[0]
    (old_block,) = files(root, "blocks")
    with open_writer(root) as into:
        old = into.locate(digest)[0]
        newer = segment.encode([(digest, (segment.Extent(BlockID(b"\x77" * 32), 0, old.length),))])
        into.replace_segments([], lambda: (newer,))
        assert into.locate(digest)[0].block == b"\x77" * 32
        with pytest.raises(Damaged, match="is missing") as caught:
            into.get(digest)
        assert caught.value.reason == "MISSING_BLOCK"
        into.replace_segments([], lambda: (segment.encode([(digest, (old,))]),))
        assert into.get(digest).payload == b"wanted"
    assert old_block.exists()


def test_damage_in_a_block_is_named_and_costs_no_other_artifact(root: str) -> None:
    first, second = put(root, b"first" * 100, b"second" * 100)
    (path,) = files(root, "blocks")
    data = bytearray(path.read_bytes())
    data[64 + 9 + 7] ^= 1
    path.chmod(0o644)
    path.write_bytes(data)
    store = open_store(root)
    with pytest.raises(Damaged, match=path.name) as caught:
        store.get(first)
    assert caught.value.reason == "DAMAGED_ARTIFACT"
    assert store.payload(second) == b"second" * 100


def test_a_missing_segment_is_named(root: str) -> None:
    put(root, b"x")
    files(root, "segments")[0].unlink()
    with pytest.raises(Damaged, match="segments/000000000001 is missing") as caught:
        open_store(root)
    assert caught.value.reason == "MISSING_SEGMENT"


class _OneSegment:
    """A backend that holds one segment in memory."""

    location = "memory"

    def __init__(self, data: bytes) -> None:
        self._data = data

    def path(self, name: str) -> None:
        return None

    def read(self, name: str, offset: int = 0, length: Optional[int] = None) -> bytes:
        return self._data


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.sets(st.integers(0, 2**256 - 1), max_size=60), st.sampled_from([0, 200, 248]), st.integers(0, 2**256 - 1))
def test_look_up_finds_what_is_there_however_digests_lie(numbers: set[int], shift: int, other: int) -> None:
    """Also digests that all begin alike, which no hash gives, are found."""
    digests = sorted({Digest((number >> shift).to_bytes(32, "big")) for number in numbers})
    data = segment.encode([(digest, (segment.Extent(BlockID(digest), 1, 2),)) for digest in digests])
    opened = Segment(_OneSegment(data), 1, b"")  # type: ignore[arg-type]
    for digest in digests:
        assert opened.find(digest) == (segment.Extent(BlockID(digest), 1, 2),)
    absent = (other >> shift).to_bytes(32, "big")
    assert (opened.find(absent) is not None) == (absent in digests)


def test_tombstones_hide_and_lifts_show_again(root: str) -> None:
    hidden, other = put(root, b"hidden", b"other")
    with open_writer(root) as into:
        into.record(records.TOMBSTONE, records.Tombstone(hidden).encode())
        logseq = into.state.position.logseq
        assert not into.has(hidden)
        for store in (into, open_store(root), open_store(root, full=True)):
            with pytest.raises(NotFound):
                store.get(hidden)
            assert store.payload(other) == b"other"
        into.record(records.TOMBSTONE_LIFT, records.Tombstone(hidden, lifts=logseq + 7).encode())
        assert not into.has(hidden)  # that was another tombstone
        into.record(records.TOMBSTONE_LIFT, records.Tombstone(hidden, lifts=logseq).encode())
        assert into.payload(hidden) == b"hidden"
    assert open_store(root).payload(hidden) == b"hidden"


def test_a_tombstone_of_another_domain_hides_nothing_here(root: str) -> None:
    (digest,) = put(root, b"mine")
    with open_writer(root) as into:
        into.record(records.TOMBSTONE, records.Tombstone(digest, domain_id=5).encode())
    assert open_store(root).payload(digest) == b"mine"
    assert open_store(root).state.hidden(digest, 5)


def test_an_unknown_record_changes_nothing(root: str) -> None:
    (digest,) = put(root, b"x")
    with open_writer(root) as into:
        into.record(0x7FFF0001, b"from another engine")
    store = open_store(root)
    assert (store.payload(digest), store.state.position.logseq) == (b"x", 2)


def test_equal_inputs_make_equal_stores(tmp_path: Path) -> None:
    found = []
    for name in ("one", "other"):
        location = str(tmp_path / name)
        init_store(location)
        put(location, *(random.Random(number).randbytes(700) for number in range(30)))
        found.append({str(path.relative_to(location)): path.read_bytes() for path in files(location, ".") if path.name != "asl-store"})
    assert found[0] == found[1]


def test_a_reader_has_no_way_to_write(root: str) -> None:
    store = open_store(root)
    assert not isinstance(store.backend, Posix)
    assert not [name for name in ("put", "add", "commit", "seal_snapshot", "record") if hasattr(store, name)]
    assert State() == State()
