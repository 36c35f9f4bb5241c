# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""asl-admin verify and gc-check: what snapshots reach, what is lost of it, and what none reaches."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from unit.admin.support import Taken, damage, text, tool

from asl.backends import layout
from asl.formats import block, recipe, records, tree
from asl.formats.artifact import TAG_MANIFEST, TAG_RECEIPT, TAG_RECIPE, TAG_TREE
from asl.formats.snapshot import About, Manifest, SourceRoot
from asl.names import Digest, reference_text
from asl.store import Store, init_store, open_store, open_writer
from asl.store.bulk import BulkCheck
from asl.store.contents import content_entries, resolve
from asl.verify import verify

Capture = pytest.CaptureFixture[str]


def chunks(store: Store, path: bytes, snapshot: str = "latest") -> list[recipe.Entry]:
    """The data entries of a file in a snapshot."""
    root = store.find_snapshot(snapshot).manifest.sources[0].root
    return [entry for entry in content_entries(store, resolve(store, root, path)) if entry.kind == recipe.DATA]


def hit(two: Taken, digest: bytes) -> None:
    place = open_store(str(two.store)).locate(digest)[0]
    damage(two.store, place.block, block.HEADER.size + place.offset + place.length // 2)


def paths(document: dict[str, Any], snapshot: str) -> list[str]:
    return [each["path"] for each in document["damaged"] if each["snapshot"] == snapshot]


def test_a_sound_snapshot_counts_what_the_intake_counted(two: Taken, capsys: Capture) -> None:
    for result in two.results:
        code, document = tool(capsys, "admin", "verify", result["snapshot"], "--store", str(two.store))
        assert (code, document["ok"], document["damaged"], document["snapshots"]) == (0, True, [], [result["snapshot"]])
        assert document["files"] == result["files"]
        assert document["artifacts_skipped"] == 0
    code, printed = text(capsys, "admin", "verify", "--store", str(two.store))
    assert code == 0
    assert "2 snapshots" in printed and "everything is as it was stored" in printed


def test_every_artifact_is_read_once(two: Taken, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store(str(two.store))
    read: list[bytes] = []
    plain = store.payload

    def counted(digest: bytes, type_tag: Any = None) -> bytes:
        read.append(digest)
        return plain(digest, type_tag)

    add = BulkCheck.add
    monkeypatch.setattr(BulkCheck, "add", lambda self, wanted: [read.append(wanted.digest), add(self, wanted)][1])  # chunks
    monkeypatch.setattr(store, "payload", counted)  # what leads to them
    monkeypatch.setattr(store, "snapshots", lambda: open_store(str(two.store)).snapshots())
    result = verify(store)
    assert len(read) == len(set(read)) == result["artifacts"]
    twin, original = chunks(store, b"deep/er/twin"), chunks(store, b"deep/large")
    assert twin == original, "the same content has the same chunks"


def test_a_damaged_chunk_is_told_for_every_path_and_snapshot(two: Taken, capsys: Capture) -> None:
    entries = chunks(open_store(str(two.store)), b"deep/large")
    hit(two, entries[1].digest)
    code, document = tool(capsys, "admin", "verify", "--store", str(two.store))
    assert (code, document["ok"]) == (5, False)
    for snapshot in ("1", "2"):
        assert paths(document, snapshot) == ["deep/er/twin", "deep/large"]
    first = document["damaged"][0]
    assert (first["what"], first["reason"], first["source"]) == ("content", "DAMAGED_ARTIFACT", f"tree:{two.tree}")
    assert (first["reference"], first["offset"], first["length"]) == (
        reference_text(entries[1].digest),
        entries[0].length,
        entries[1].length,
    )
    code, printed = text(capsys, "admin", "verify", "2", "--store", str(two.store))
    assert code == 5
    assert "deep/er/twin: content bytes" in printed and "2 losses" in printed


def test_a_damaged_directory_does_not_hide_the_rest(two: Taken, capsys: Capture) -> None:
    store = open_store(str(two.store))
    root = store.find_snapshot("2").manifest.sources[0].root
    hit(two, resolve(store, root, b"deep/er").digest)
    hit(two, chunks(store, b"sparse")[0].digest)
    document = tool(capsys, "admin", "verify", "2", "--store", str(two.store))[1]
    assert [(each["path"], each["what"]) for each in document["damaged"]] == [("deep/er", "directory"), ("sparse", "content")]
    assert document["files"] == two.results[1]["files"] - 2


def test_a_damaged_manifest_and_receipt_are_named(two: Taken, capsys: Capture) -> None:
    about = open_store(str(two.store)).find_snapshot("1").about
    hit(two, about.manifest)
    hit(two, about.receipt)
    document = tool(capsys, "admin", "verify", "--store", str(two.store))[1]
    assert [(each["snapshot"], each["what"]) for each in document["damaged"]] == [("1", "receipt"), ("1", "manifest")]


def test_a_missing_block_and_a_tombstone_are_told_apart(two: Taken, capsys: Capture) -> None:
    store = open_store(str(two.store))
    small, later = chunks(store, b"deep/small")[0].digest, chunks(store, b"deep/er/later")[0].digest
    with open_writer(str(two.store)) as writer:
        writer.record(records.TOMBSTONE, records.Tombstone(Digest(small)).encode())
    (two.store / layout.block(store.locate(later)[0].block)).unlink()
    first, second = (tool(capsys, "admin", "verify", each, "--store", str(two.store))[1] for each in ("1", "2"))
    assert {(each["path"], each["reason"]) for each in first["damaged"]} == {("deep/small", "TOMBSTONED")}
    assert {each["reason"] for each in second["damaged"]} == {"MISSING_BLOCK"}, "its manifest lies in that block"


def test_a_sample_is_the_same_one_every_time_and_grows(two: Taken, capsys: Capture) -> None:
    read = []
    for percent in ("10", "10", "60", "100"):
        code, document = tool(capsys, "admin", "verify", "--sample", percent, "--store", str(two.store))
        assert code == 0
        read.append((document["artifacts"], document["artifacts_skipped"], document["bytes"]))
    assert read[0] == read[1]
    assert read[0][0] < read[2][0] < read[3][0]
    assert read[3][1] == 0
    assert len({artifacts + skipped for artifacts, skipped, _ in read}) == 1
    assert "a sample" in text(capsys, "admin", "verify", "--sample", "10", "--store", str(two.store))[1]


@pytest.mark.parametrize("percent", ["0", "-1", "101", "nan"])
def test_a_sample_that_makes_no_sense(two: Taken, capsys: Capture, percent: str) -> None:
    code, document = tool(capsys, "admin", "verify", f"--sample={percent}", "--store", str(two.store))
    assert (code, document["reason"]) == (2, "BAD_SAMPLE")


def seal(store: Path, files: dict[bytes, tuple[int, Digest, int]]) -> None:
    """A snapshot of one directory with FILES: form, digest, size."""
    with open_writer(str(store)) as writer:
        entries = [
            tree.Entry(name, tree.FILE, size=size, content=content, digest=digest)
            for name, (content, digest, size) in sorted(files.items())
        ]
        folder = writer.put(tree.encode([tree.encode_entry(each) for each in entries]), TAG_TREE)
        manifest = writer.put(Manifest((SourceRoot("tree", "tree", folder, 0),), {}).encode(), TAG_MANIFEST)
        writer.seal_snapshot(About("d", manifest, writer.put(b"{}", TAG_RECEIPT), ("tree:/x",), {}, 1, 0, len(files), 0))


def test_nodes_that_recipes_share_are_told_for_each_of_them(tmp_path: Path) -> None:
    store = tmp_path / "store"
    init_store(str(store))
    with open_writer(str(store)) as writer:
        good, lost = writer.put(b"good"), Digest(b"\4" * 32)
        below = writer.put(recipe.encode(0, [recipe.Entry(recipe.DATA, 4, good), recipe.Entry(recipe.DATA, 6, lost)]), TAG_RECIPE)
        child = recipe.Entry(recipe.CHILD, 10, below)
        one = writer.put(recipe.encode(1, [child, child]), TAG_RECIPE)
        other = writer.put(recipe.encode(1, [child, recipe.Entry(recipe.CHILD, 10, Digest(b"\5" * 32)), child]), TAG_RECIPE)
        writer.commit()
    seal(store, {b"one": (tree.RECIPE, one, 20), b"other": (tree.RECIPE, other, 30), b"good": (tree.CHUNK, good, 4)})
    seal(store, {b"again": (tree.RECIPE, one, 20)})
    told = [(each["snapshot"], each["path"], each["what"], each.get("offset")) for each in verify(open_store(str(store)))["damaged"]]
    assert told == [
        ("1", b"one", "content", 4),
        ("1", b"one", "content", 14),
        ("1", b"other", "content", 4),
        ("1", b"other", "recipe", None),
        ("1", b"other", "content", 24),
        ("2", b"again", "content", 4),
        ("2", b"again", "content", 14),
    ]


def test_a_chunk_of_another_length_or_type_than_the_file_says(tmp_path: Path) -> None:
    store = tmp_path / "store"
    init_store(str(store))
    with open_writer(str(store)) as writer:
        short, tagged = writer.put(b"four"), writer.put(b"four", 9)
        writer.commit()
    seal(store, {b"long": (tree.CHUNK, short, 5), b"tagged": (tree.CHUNK, tagged, 4)})
    found = verify(open_store(str(store)))["damaged"]
    assert [(each["path"], each["reason"]) for each in found] == [(b"long", "WRONG_LENGTH"), (b"tagged", "WRONG_TYPE")]


def test_a_deep_tree_and_names_that_are_no_text(tmp_path: Path, capsys: Capture) -> None:
    store = tmp_path / "store"
    init_store(str(store))
    with open_writer(str(store)) as writer:
        entry = tree.Entry(b"\xff\n", tree.FILE, size=4, content=tree.CHUNK, digest=b"\6" * 32)
        for _ in range(3000):
            folder = writer.put(tree.encode([tree.encode_entry(entry)]), TAG_TREE)
            entry = tree.Entry(b"d", tree.DIRECTORY, content=tree.TREE, digest=folder)
        manifest = writer.put(Manifest((SourceRoot("tree", "tree", folder, 0),), {}).encode(), TAG_MANIFEST)
        writer.seal_snapshot(About("d", manifest, writer.put(b"{}", TAG_RECEIPT), ("tree:/x",), {}, 1, 0, 1, 0))
    code, document = tool(capsys, "admin", "verify", "--store", str(store))
    assert code == 5
    assert os.fsencode(document["damaged"][0]["path"]) == b"d/" * 2999 + b"\xff\n"
    assert "\n\n" not in text(capsys, "admin", "verify", "--store", str(store))[1]


def test_gc_check_finds_nothing_in_a_store_of_snapshots_only(two: Taken, capsys: Capture) -> None:
    code, document = tool(capsys, "admin", "gc-check", "--store", str(two.store))
    assert code == 0
    assert (document["bytes_unreached"], document["blocks"], document["blocks_unnamed"], document["segments"]) == (0, [], [], [])
    assert (document["snapshots"], document["removed"]) == (2, 0)


def test_gc_check_names_what_was_put_by_itself_and_what_nobody_names(two: Taken, capsys: Capture) -> None:
    with open_writer(str(two.store)) as writer:
        digest = writer.put(b"by itself" * 100)
        writer.commit()
        place, segment = writer.locate(digest)[0], writer.index.segments()[0].id
        writer.record(records.SNAPSHOT_PIN, records.encode_number(1))
        writer.put(b"not committed")
        writer._packer.flush()
    before = sorted((path, path.stat().st_size) for path in two.store.rglob("*"))
    code, document = tool(capsys, "admin", "gc-check", "--store", str(two.store))
    assert code == 0
    assert document["bytes_unreached"] == place.length
    assert [(each["block"], each["bytes_reached"], each["whole"]) for each in document["blocks"]] == [(place.block.hex(), 0, True)]
    assert [(each["segment"], each["artifacts_unreached"]) for each in document["segments"]] == [(segment, 1)]
    assert len(document["blocks_unnamed"]) == 1
    assert document["pinned"] == ["1"]
    assert sorted((path, path.stat().st_size) for path in two.store.rglob("*")) == before
    printed = text(capsys, "admin", "gc-check", "--store", str(two.store))[1]
    assert place.block.hex()[:16] in printed and "nothing was removed" in printed


def test_gc_check_will_not_guess_when_a_snapshot_is_damaged(two: Taken, capsys: Capture) -> None:
    store = open_store(str(two.store))
    hit(two, store.find_snapshot("1").manifest.sources[0].root)
    code, document = tool(capsys, "admin", "gc-check", "--store", str(two.store))
    assert (code, document["reason"]) == (5, "INCOMPLETE_SNAPSHOT")
