# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""asl-debug check, log, segment, block, artifact."""

from __future__ import annotations

from pathlib import Path

import pytest
from unit.admin.support import Taken, damage, text, tool

from asl.backends import layout
from asl.cli.debug.artifact import hex_text
from asl.formats import block, records
from asl.formats.artifact import TAG_RECIPE
from asl.names import reference_text
from asl.store import init_store, open_store, open_writer
from asl.store.contents import resolve

Capture = pytest.CaptureFixture[str]


def rewrite(path: Path, data: bytes) -> None:
    path.chmod(0o644)
    path.write_bytes(data)


def test_check_of_a_sound_store(two: Taken, capsys: Capture) -> None:
    code, document = tool(capsys, "debug", "check", "--store", str(two.store))
    assert code == 0
    assert (document["ok"], document["faults"], document["notes"]) == (True, [], [])
    assert document["counts"]["snapshots"] == 2
    assert set(document) == {"store", "ok", "faults", "notes", "counts", "seconds"}
    code, printed = text(capsys, "debug", "check", "--store", str(two.store))
    assert (code, printed.splitlines()[-1]) == (0, "no fault")


@pytest.mark.parametrize("name", ["meta/asl-store", "meta/head", "logs/asl.log", "segments/000000000001", "snapshots/000000000001"])
def test_check_works_where_the_store_cannot_be_opened(two: Taken, capsys: Capture, name: str) -> None:
    rewrite(two.store / name, b"\xff" + (two.store / name).read_bytes()[1:])
    code, document = tool(capsys, "debug", "check", "--store", str(two.store))
    assert (code, document["ok"]) == (5, False)
    assert name in [fault["object"] for fault in document["faults"]]
    assert set(document["faults"][0]) >= {"object", "what", "reason"}
    code, printed = text(capsys, "debug", "check", "--store", str(two.store))
    assert code == 5
    assert f"FAULT {name}: " in printed and "next: " in printed


def test_check_names_the_artifact_of_a_damaged_block(two: Taken, capsys: Capture) -> None:
    store = open_store(str(two.store))
    digest = store.find_snapshot("1").about.receipt
    place = store.locate(digest)[0]
    damage(two.store, place.block, block.HEADER.size + place.offset + 30)
    document = tool(capsys, "debug", "check", "--store", str(two.store))[1]
    assert document["faults"][0]["object"] == layout.block(place.block)
    assert document["faults"][0]["artifacts"] == [reference_text(digest)]


def test_check_of_no_store(tmp_path: Path, capsys: Capture) -> None:
    code, document = tool(capsys, "debug", "check", "--store", str(tmp_path))
    assert (code, document["reason"]) == (4, "NO_STORE")


def test_log_shows_every_record(two: Taken, capsys: Capture) -> None:
    with open_writer(str(two.store)) as writer:
        receipt = open_store(str(two.store)).snapshots()[-1].about.receipt
        writer.record(records.SNAPSHOT_PIN, records.encode_number(2))
        writer.record(records.TOMBSTONE, records.Tombstone(receipt).encode())
        writer.record(records.TOMBSTONE_LIFT, records.Tombstone(receipt, 0, writer.state.position.logseq).encode())
        writer.record(records.SEGMENT_DROP, records.encode_drop([]))
        writer.record(0x7777, b"")
    code, document = tool(capsys, "debug", "log", "--store", str(two.store))
    assert code == 0
    shown = document["records"]
    assert [each["logseq"] for each in shown] == list(range(1, len(shown) + 1))
    assert [each["name"] for each in shown][-5:] == ["SNAPSHOT_PIN", "TOMBSTONE", "TOMBSTONE_LIFT", "SEGMENT_DROP", "unknown"]
    assert shown[-3]["lifts"] == shown[-4]["logseq"]
    assert (document["damage"], document["torn_bytes"]) == ([], 0)
    assert document["acknowledged"]["logseq"] == len(shown)
    assert shown[-1]["offset"] + shown[-1]["size"] == document["size"] == document["acknowledged"]["offset"]
    anchors = [each for each in shown if each["name"] == "SNAPSHOT_ANCHOR"]
    assert [each["manifest"] for each in anchors] == ["0001" + each["digest"] for each in two.results]
    printed = text(capsys, "debug", "log", "--store", str(two.store))[1]
    assert "lifts record" in printed and "type 0x7777" in printed and f"tree:{two.tree}" in printed


def test_log_shows_damage_and_reads_on(two: Taken, capsys: Capture) -> None:
    path = two.store / "logs/asl.log"
    data = bytearray(path.read_bytes())
    data[24 + 20] ^= 1
    rewrite(path, bytes(data))
    code, document = tool(capsys, "debug", "log", "--store", str(two.store))
    assert (code, document["damage"]) == (5, [{"after": 0, "offset": 24, "size": 88, "what": "the chain does not hold"}])
    assert [each["logseq"] for each in document["records"]] == [2, 3, 4]
    assert "DAMAGED" in text(capsys, "debug", "log", "--store", str(two.store))[1]
    rewrite(path, bytes(data[:100]))
    code, document = tool(capsys, "debug", "log", "--store", str(two.store))
    assert code == 5
    assert "acknowledged" in document["damage"][-1]["what"]


def test_log_tells_of_a_torn_tail(two: Taken, capsys: Capture) -> None:
    path = two.store / "logs/asl.log"
    rewrite(path, path.read_bytes() + b"\x05\0\0")
    code, document = tool(capsys, "debug", "log", "--store", str(two.store))
    assert (code, document["torn_bytes"], document["damage"]) == (0, 3, [])


def test_segment_lists_and_shows(two: Taken, capsys: Capture) -> None:
    store = open_store(str(two.store))
    code, document = tool(capsys, "debug", "segment", "--store", str(two.store))
    assert (code, [each["segment"] for each in document["segments"]]) == (0, [1, 2])
    code, document = tool(capsys, "debug", "segment", "1", "--store", str(two.store))
    assert (code, document["records"], document["ok"]) == (0, len(document["entries"]), True)
    assert document["size"] == (two.store / "segments/000000000001").stat().st_size
    for each in document["entries"]:
        assert store.locate(bytes.fromhex(each["reference"][4:]))[0].block.hex() == each["extents"][0]["block"]
    printed = text(capsys, "debug", "segment", "1", "--store", str(two.store))[1]
    assert all(each["reference"] in printed for each in document["entries"])
    assert tool(capsys, "debug", "segment", "9", "--store", str(two.store))[0] == 4


def test_a_damaged_segment_is_said_to_be(two: Taken, capsys: Capture) -> None:
    path = two.store / "segments/000000000002"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    rewrite(path, bytes(data))
    code, document = tool(capsys, "debug", "segment", "--store", str(two.store))
    assert (code, [each["ok"] for each in document["segments"]]) == (5, [True, False])
    assert "DAMAGED" in text(capsys, "debug", "segment", "2", "--store", str(two.store))[1]


def test_block_shows_its_artifacts(two: Taken, capsys: Capture) -> None:
    store = open_store(str(two.store))
    block_id = store.locate(store.find_snapshot("1").about.receipt)[0].block
    code, document = tool(capsys, "debug", "block", block_id.hex()[:12], "--store", str(two.store))
    assert (code, document["ok"], document["kind"], document["block"]) == (0, True, "packed", block_id.hex())
    assert {each["type_tag"] for each in document["artifacts"]} == {None, 0x41530001, 0x41530002, 0x41530003, 0x41530004}
    assert all(store.has(bytes.fromhex(each["reference"][4:])) for each in document["artifacts"])
    printed = text(capsys, "debug", "block", block_id.hex(), "--store", str(two.store))[1]
    assert all(word in printed for word in ("manifest", "tree", "recipe", "receipt", "data"))
    damage(two.store, block_id, block.HEADER.size + 40)
    code, document = tool(capsys, "debug", "block", block_id.hex(), "--store", str(two.store))
    assert (code, document["ok"], len(document["artifacts"]) > 3) == (5, False, True)
    damage(two.store, block_id, 0)
    assert tool(capsys, "debug", "block", block_id.hex(), "--store", str(two.store))[0] == 5


def test_block_of_a_large_artifact(tmp_path: Path, capsys: Capture) -> None:
    init_store(str(tmp_path / "store"))
    with open_writer(str(tmp_path / "store")) as writer:
        digest = writer.put(bytes(9 << 20))
        writer.commit()
        place = writer.locate(digest)[1]
    code, document = tool(capsys, "debug", "block", place.block.hex(), "--store", str(tmp_path / "store"))
    assert (code, document["kind"], document["part_of"]) == (0, "part", reference_text(digest))
    assert document["part_offset"] == 8 << 20
    code, document = tool(capsys, "debug", "artifact", reference_text(digest), "--store", str(tmp_path / "store"))
    assert (code, document["size"], len(document["extents"])) == (0, 9 << 20, 2)


@pytest.mark.parametrize(("name", "code"), [("xyz", 2), ("", 2), ("0" * 64, 4)])
def test_block_names_that_lead_nowhere(two: Taken, capsys: Capture, name: str, code: int) -> None:
    assert tool(capsys, "debug", "block", name, "--store", str(two.store))[0] == code


def test_artifact_shows_each_kind(two: Taken, capsys: Capture) -> None:
    store = open_store(str(two.store))
    snapshot = store.find_snapshot("1")
    root = snapshot.manifest.sources[0].root
    deep = resolve(store, root, b"deep")
    small, large = resolve(store, root, b"deep/small"), resolve(store, root, b"deep/large")
    shown = {}
    for digest in (snapshot.about.manifest, snapshot.about.receipt, deep.digest, small.digest, large.digest):
        code, document = tool(capsys, "debug", "artifact", reference_text(digest), "--store", str(two.store))
        assert code == 0
        shown[document["type"]] = document
    assert set(shown) == {"manifest", "receipt", "tree", "recipe", "data"}
    assert shown["manifest"]["content"]["sources"][0]["root"] == reference_text(root)
    assert [each["name"] for each in shown["tree"]["content"]["entries"]] == ["er", "large", "small"]
    assert sum(each["length"] for each in shown["recipe"]["content"]["entries"]) == 700_000
    assert (shown["recipe"]["type_tag"], bytes.fromhex(shown["data"]["first_bytes"])) == (TAG_RECIPE, b"a few bytes\n")
    assert "61 20 66 65 77" in text(capsys, "debug", "artifact", reference_text(small.digest), "--store", str(two.store))[1]
    printed = text(capsys, "debug", "artifact", reference_text(deep.digest), "--store", str(two.store))[1]
    assert [line.split()[-1] for line in printed.splitlines()[-3:]] == ["er", "large", "small"]
    assert "hole" in text(capsys, "debug", "artifact", reference_text(resolve(store, root, b"sparse").digest), "--store", str(two.store))[1]
    assert '"asl-receipt"' in text(capsys, "debug", "artifact", reference_text(snapshot.about.receipt), "--store", str(two.store))[1]


def test_artifact_that_is_damaged_or_not_there(two: Taken, capsys: Capture) -> None:
    store = open_store(str(two.store))
    digest = store.find_snapshot("1").about.receipt
    place = store.locate(digest)[0]
    damage(two.store, place.block, block.HEADER.size + place.offset + 30)
    assert tool(capsys, "debug", "artifact", reference_text(digest), "--store", str(two.store))[1]["reason"] == "DAMAGED_ARTIFACT"
    damage(two.store, place.block, block.HEADER.size + place.offset)
    assert tool(capsys, "debug", "artifact", reference_text(digest), "--store", str(two.store))[0] == 5
    assert tool(capsys, "debug", "artifact", "00" * 32, "--store", str(two.store))[1]["reason"] == "NOT_FOUND"


def test_hex_text() -> None:
    assert hex_text(b"ab\xff\n" + bytes(14), 30).splitlines() == [
        "00000000  61 62 ff 0a 00 00 00 00 00 00 00 00 00 00 00 00  ab..............",
        "00000010  00 00                                            ..",
        "… 12 more bytes",
    ]
