# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Making and opening stores: markers, torn tails, logs cut short, blocks that a killed writer left."""

from __future__ import annotations

import hashlib
import json
import random
import threading
from pathlib import Path

import pytest
from unit.store.support import files, put, seal

from asl.backends import layout
from asl.backends.posix import PosixReads
from asl.errors import Damaged, NotFound, Refused, Unavailable, Unsupported, Usage
from asl.formats import artifact, canonical, log
from asl.names import BlockID, Digest
from asl.store import adopt, init_store, marker, open_store, open_writer, writer


def test_init_makes_an_empty_store_once(tmp_path: Path) -> None:
    location = str(tmp_path / "deep" / "store")
    store_id, made = init_store(location)
    assert made and len(store_id) == 32
    assert init_store(location) == (store_id, False)
    assert sorted(path.name for path in Path(location).iterdir()) == sorted(layout.FOLDERS)
    assert (Path(location) / "logs" / "asl.log").read_bytes() == log.FIRST
    assert open_store(location).snapshots() == []


def test_init_again_does_not_forget_what_was_acknowledged(root: str) -> None:
    put(root, b"x")
    head = (Path(root) / "meta" / "head").read_bytes()
    init_store(root)
    assert (Path(root) / "meta" / "head").read_bytes() == head


def test_many_inits_at_once_make_one_store(tmp_path: Path) -> None:
    location = str(tmp_path / "store")
    answers: list[tuple[str, bool]] = []
    threads = [threading.Thread(target=lambda: answers.append(init_store(location))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({store_id for store_id, _ in answers}) == 1
    assert sorted(made for _, made in answers) == [False] * 7 + [True]


def test_init_takes_an_empty_disk_and_refuses_one_in_use(tmp_path: Path) -> None:
    (tmp_path / "lost+found").mkdir()
    assert init_store(str(tmp_path))[1]
    (tmp_path / "holidays.jpg").touch()
    assert init_store(str(tmp_path))[1] is False  # it is a store already, whatever else lies there
    other = tmp_path / "photos"
    other.mkdir()
    (other / "beach.jpg").touch()
    with pytest.raises(Refused, match=r"beach\.jpg") as caught:
        init_store(str(other))
    assert caught.value.reason == "NOT_EMPTY"
    assert [path.name for path in other.iterdir()] == ["beach.jpg"]
    with pytest.raises(Refused) as caught:
        init_store(str(other / "beach.jpg"))
    assert caught.value.reason == "NOT_A_DIRECTORY"


def test_init_goes_on_where_a_killed_one_stopped(root: str) -> None:
    for left in ("meta/asl-store", "meta/head", "logs/asl.log"):
        (Path(root) / left).unlink()
        if left != "meta/asl-store":
            (Path(root) / "meta/asl-store").unlink()
        assert init_store(root)[1]
        assert open_store(root).snapshots() == []


def test_where_there_is_no_store(tmp_path: Path) -> None:
    for opens in (open_store, open_writer):
        with pytest.raises(NotFound, match="there is no store at") as caught:
            opens(str(tmp_path / "nowhere"))
        assert caught.value.reason == "NO_STORE"
        assert "asl-admin init" in str(caught.value.hint)
    with pytest.raises(Usage):
        open_store("")
    with pytest.raises(Unavailable) as unavailable:
        init_store("https://example.org")
    assert unavailable.value.reason == "REMOTE_UNSUPPORTED"
    for url in ("https://example.org", "http://example.org"):
        with pytest.raises(Usage) as wrong:
            open_store(url)
        assert wrong.value.reason == "BAD_STORE"


def test_a_newer_store_is_refused_with_a_sentence_and_not_touched(root: str) -> None:
    path = Path(root) / layout.MARKER
    path.chmod(0o644)
    newer = {**json.loads(path.read_bytes()), "version": 2, "something": "new"}
    path.write_bytes(canonical.encode(newer))
    before = {str(each): each.read_bytes() for each in files(root, ".")}
    for opens in (open_store, open_writer, init_store):
        with pytest.raises(Unsupported, match=f"the store at {root} has format version 2; this engine knows versions up to 1") as caught:
            opens(root)
        assert caught.value.reason == "UNSUPPORTED_VERSION"
        assert "use a newer" in str(caught.value.hint)
    assert {str(each): each.read_bytes() for each in files(root, ".")} == before


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"\xff", b'{"version":1,"store_id":"x"}', b'{"version":"1","store_id":1}'])
def test_a_damaged_marker_is_named(root: str, content: bytes) -> None:
    path = Path(root) / layout.MARKER
    path.chmod(0o644)
    path.write_bytes(content)
    with pytest.raises(Damaged, match="meta/asl-store") as caught:
        open_store(root)
    assert caught.value.reason == "BAD_MARKER"


def test_every_flipped_bit_of_the_marker_is_seen(root: str) -> None:
    store_id = open_store(root) and marker.present(root)
    path = Path(root) / layout.MARKER
    path.chmod(0o644)
    whole = path.read_bytes()
    for bit in range(len(whole) * 8):
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        with pytest.raises((Damaged, Unsupported)):
            marker.present(root)
    path.write_bytes(whole)
    assert marker.present(root) == store_id


def test_every_flipped_bit_of_the_head_keeps_the_store_from_opening(root: str) -> None:
    put(root, b"x")
    path = Path(root) / layout.HEAD
    whole = path.read_bytes()
    for bit in range(len(whole) * 8):
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        with pytest.raises(Damaged):
            open_store(root)


@pytest.mark.parametrize(
    "tail", [b"\0", b"torn", bytes(4096), b"\xff" * 500, b"\x02" + bytes(60)], ids=["byte", "text", "zeros", "ones", "begun"]
)
def test_a_torn_tail_is_ignored_cut_and_kept(root: str, tail: bytes) -> None:
    (digest,) = put(root, b"kept")
    path = Path(root) / layout.LOG
    whole = path.read_bytes()
    path.write_bytes(whole + tail)
    assert open_store(root).payload(digest) == b"kept"
    assert path.read_bytes() == whole + tail  # a reader cuts nothing
    (other,) = put(root, b"next")
    assert path.read_bytes().startswith(whole) and tail not in path.read_bytes()[len(whole) :][: len(tail)]
    assert [each.read_bytes() for each in files(root, "tmp")] == [tail]
    assert open_store(root, full=True).payload(other) == b"next"


@pytest.mark.parametrize("lost", [1, 31, 88, 200])
def test_a_log_that_was_cut_short_is_damage_and_no_torn_tail(root: str, lost: int) -> None:
    for number in range(3):
        put(root, b"acknowledged %d" % number)
    path = Path(root) / layout.LOG
    whole = path.read_bytes()
    path.write_bytes(whole[:-lost])
    for opens in (open_store, open_writer):
        with pytest.raises(Damaged, match="record 3 was acknowledged") as caught:
            opens(root)
        assert caught.value.reason == "LOG_CUT_SHORT"
    assert path.read_bytes() == whole[:-lost]


def test_every_flipped_bit_of_an_acknowledged_log_is_damage(root: str) -> None:
    put(root, b"one")
    put(root, b"two")
    path = Path(root) / layout.LOG
    whole = path.read_bytes()
    for bit in range(len(whole) * 8):
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        with pytest.raises((Damaged, Unsupported)):
            open_store(root)


def test_a_record_that_was_written_and_not_acknowledged_is_made_durable_first(root: str) -> None:
    """As a kill between the record and the head leaves it."""
    first = (Path(root) / layout.HEAD).read_bytes()
    (digest,) = put(root, b"x")
    second = (Path(root) / layout.HEAD).read_bytes()
    (Path(root) / layout.HEAD).write_bytes(first)
    assert open_store(root).payload(digest) == b"x"
    with open_writer(root) as into:
        assert into.payload(digest) == b"x"
    assert (Path(root) / layout.HEAD).read_bytes() == second


def orphans(root: str, *payloads: bytes, large: int = 0) -> list[Digest]:
    """Blocks as a writer leaves them that is killed before its segment."""
    into = open_writer(root, block_size=1000)
    digests = [into.put(payload, 3) for payload in payloads]
    if large:
        digests.append(into.put(random.Random(large).randbytes(large)))
    into._packer.flush()
    return digests


def test_blocks_of_a_killed_writer_are_taken_in(root: str) -> None:
    payloads = [random.Random(number).randbytes(300) for number in range(10)]
    digests = orphans(root, *payloads, large=writer.LARGE + 10)
    blocks = files(root, "blocks")
    assert not any(open_store(root).has(digest) for digest in digests)
    with open_writer(root) as into:
        assert into.adopted == 11
        assert all(into.has(digest) for digest in digests)
        assert into.add(digests[0], payloads[0], 3) is False
        into.commit()
        assert into.bytes_stored == 0
    assert files(root, "blocks") == blocks
    store = open_store(root)
    assert [store.payload(digest, 3) for digest in digests[:10]] == payloads
    assert store.payload(digests[10]) == random.Random(writer.LARGE + 10).randbytes(writer.LARGE + 10)
    with open_writer(root) as into:
        assert into.adopted == 0


def test_a_large_artifact_of_which_a_part_is_missing_is_not_taken_in(root: str) -> None:
    (digest,) = orphans(root, large=3 * writer.LARGE)
    parts = sorted(files(root, "blocks"), key=lambda path: path.stat().st_size)
    assert len(parts) == 4
    parts[0].unlink()
    with open_writer(root) as into:
        assert (into.adopted, into.has(digest)) == (0, False)


def test_a_damaged_block_that_nobody_names_is_passed_over(root: str) -> None:
    digests = orphans(root, b"a" * 900, b"b" * 900)
    victim = next(path for path in files(root, "blocks") if b"aaa" in path.read_bytes())
    victim.chmod(0o644)
    victim.write_bytes(victim.read_bytes()[:-1] + b"?")
    with open_writer(root) as into:
        assert (into.has(digests[0]), into.has(digests[1])) == (False, True)


def test_files_that_are_no_blocks_are_passed_over(root: str) -> None:
    for name in ("blocks/README", "blocks/ab/short", "segments/note", "snapshots/note", "tmp/old"):
        path = Path(root) / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"not ours")
    with open_writer(root) as into:
        assert into.adopted == 0
        seal(into)
    assert not (Path(root) / "tmp" / "old").exists()
    assert len(open_store(root).snapshots()) == 1


def test_a_segment_that_was_never_sealed_keeps_its_number(root: str) -> None:
    (Path(root) / "segments" / "000000000001").write_bytes(b"what a crash left")
    (digest,) = put(root, b"x")
    assert list(open_store(root).state.segments) == [2]
    assert open_store(root).payload(digest) == b"x"


def test_blocks_speak_for_themselves(root: str) -> None:
    """An index can be made anew: every block gives its artifacts and their digests."""
    payloads = [b"one", b"two" * 100]
    digests = put(root, *payloads)
    found = {}
    for path in files(root, "blocks"):
        assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name
        found.update(dict(adopt.entries(PosixReads(root), BlockID(bytes.fromhex(path.name)))))
    assert found.keys() == set(digests)
    assert artifact.digest(b"one") in found
