# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""asl-admin status, snapshots, show, pin, unpin."""

from __future__ import annotations

from pathlib import Path

import pytest
from unit.admin.support import Taken, damage, text, tool

from asl.formats import block
from asl.intake.request import Request
from asl.intake.run import run
from asl.store import init_store, marker, open_store, raw

Capture = pytest.CaptureFixture[str]


def test_snapshots_lists_them_oldest_first(two: Taken, capsys: Capture) -> None:
    code, document = tool(capsys, "admin", "snapshots", "--store", str(two.store))
    rows = document["snapshots"]
    assert code == 0
    assert [(row["snapshot"], row["digest"]) for row in rows] == [(each["snapshot"], each["digest"]) for each in two.results]
    assert (rows[0]["labels"], rows[0]["domain"], rows[0]["losses"], rows[0]["pinned"]) == ({"host": "one"}, "d", 0, False)
    assert [row["files"] for row in rows] == [each["files"] for each in two.results]
    code, printed = text(capsys, "admin", "snapshots", "--store", str(two.store))
    lines = printed.splitlines()
    assert (code, len(lines)) == (0, 3)
    assert lines[0].split() == ["id", "sealed", "domain", "size", "files", "losses", "sources", "labels", "digest", "pinned"]
    assert two.results[1]["digest"][:12] in lines[2]


def test_in_a_store_of_many_hosts_a_label_names_the_newest_of_one(two: Taken, capsys: Capture) -> None:
    """The second snapshot has no label, and is the latest of all."""
    store = ("--store", str(two.store))
    assert tool(capsys, "admin", "show", "host=one", *store)[1]["digest"] == two.results[0]["digest"]
    again = run(Request((f"tree:{two.tree}",), str(two.store), "d", {"host": "one", "run": "2"}))
    assert again["changed"] and tool(capsys, "admin", "show", "host=one", *store)[1]["snapshot"] == again["snapshot"]
    for words, wanted in ((["host=one"], ["1", "3"]), (["host=one", "run=2"], ["3"]), (["host=two"], [])):
        labels = [part for word in words for part in ("--label", word)]
        assert [each["snapshot"] for each in tool(capsys, "admin", "snapshots", *labels, *store)[1]["snapshots"]] == wanted
    assert "host=one" in text(capsys, "admin", "snapshots", *store)[1]
    code, document = tool(capsys, "admin", "show", "host=two", *store)
    assert (code, document["reason"]) == (4, "NO_SNAPSHOT") and "no snapshot with the label host=two" in document["error"]
    assert tool(capsys, "admin", "snapshots", "--label", "one", *store)[1]["reason"] == "BAD_LABEL"


def test_snapshots_of_an_empty_store(tmp_path: Path, capsys: Capture) -> None:
    init_store(str(tmp_path / "s"))
    assert tool(capsys, "admin", "snapshots", "--store", str(tmp_path / "s"))[1]["snapshots"] == []
    assert "no snapshot yet" in text(capsys, "admin", "snapshots", "--store", str(tmp_path / "s"))[1]


@pytest.mark.parametrize("command", ["snapshots", "status", "verify", "gc-check"])
def test_no_store_is_exit_4_with_a_reason(tmp_path: Path, capsys: Capture, command: str) -> None:
    code, document = tool(capsys, "admin", command, "--store", str(tmp_path / "nothing"))
    assert (code, document["reason"]) == (4, "NO_STORE")
    assert "asl-admin init" in document["hint"]


def test_show_tells_sources_receipt_and_labels(two: Taken, capsys: Capture) -> None:
    code, document = tool(capsys, "admin", "show", "1", "--store", str(two.store))
    assert code == 0
    assert document["digest"] == two.results[0]["digest"]
    assert document["receipt"]["request"]["labels"] == {"host": "one"}
    source = document["sources"][0]
    assert (source["source"], source["root_kind"], source["root"]) == (f"tree:{two.tree}", "tree", two.results[0]["sources"][0]["root"])
    assert source["files"] == two.results[0]["files"]
    assert document["losses_listed"] == []
    code, printed = text(capsys, "admin", "show", two.results[0]["digest"][:10], "--store", str(two.store))
    assert code == 0
    assert "host=one" in printed and two.results[0]["digest"] in printed


def test_show_without_a_readable_receipt_shows_the_rest(two: Taken, capsys: Capture) -> None:
    store = open_store(str(two.store))
    place = store.locate(store.find_snapshot("1").about.receipt)[0]
    damage(two.store, place.block, block.HEADER.size + place.offset + 20)
    code, document = tool(capsys, "admin", "show", "1", "--store", str(two.store))
    assert (code, document["receipt"], document["sources"][0]["root_kind"]) == (5, None, "tree")
    code, printed = text(capsys, "admin", "show", "1", "--store", str(two.store))
    assert code == 5
    assert "DAMAGED" in printed and two.results[0]["digest"] in printed


@pytest.mark.parametrize(("name", "code", "reason"), [("9", 4, "NO_SNAPSHOT"), ("abc", 2, "USAGE"), ("ffffffffff", 4, "NO_SNAPSHOT")])
def test_show_of_what_is_not_there(two: Taken, capsys: Capture, name: str, code: int, reason: str) -> None:
    status, document = tool(capsys, "admin", "show", name, "--store", str(two.store))
    assert (status, document["reason"]) == (code, reason)


def test_status_counts_what_is_there(two: Taken, capsys: Capture) -> None:
    code, document = tool(capsys, "admin", "status", "--store", str(two.store))
    assert code == 0
    assert document["store_id"] == marker.check(raw(str(two.store)))
    blocks = [path for path in (two.store / "blocks").rglob("*") if path.is_file()]
    assert (document["blocks"], document["block_bytes"]) == (len(blocks), sum(path.stat().st_size for path in blocks))
    assert (document["snapshots"], document["format"], document["pinned"], document["torn_bytes"]) == (2, 1, 0, 0)
    assert document["acknowledged_logseq"] == document["logseq"] == open_store(str(two.store)).state.position.logseq
    assert document["latest"]["digest"] == two.results[1]["digest"]
    assert 0 < document["free"] <= document["capacity"]
    printed = text(capsys, "admin", "status", "--store", str(two.store))[1]
    assert document["store_id"] in printed and "acknowledged" in printed


def test_status_tells_of_a_torn_tail(two: Taken, capsys: Capture) -> None:
    path = two.store / "logs/asl.log"
    path.chmod(0o644)
    path.write_bytes(path.read_bytes() + b"\x05")
    assert tool(capsys, "admin", "status", "--store", str(two.store))[1]["torn_bytes"] == 1
    assert "torn tail" in text(capsys, "admin", "status", "--store", str(two.store))[1]


def test_pin_and_unpin_change_something_once(two: Taken, capsys: Capture) -> None:
    words = ("--store", str(two.store))
    for command, pinned in (("pin", True), ("unpin", False)):
        assert tool(capsys, "admin", command, "1", *words) == (
            0,
            {"snapshot": "1", "digest": two.results[0]["digest"], "pinned": pinned, "changed": True},
        )
        size = (two.store / "logs/asl.log").stat().st_size
        assert tool(capsys, "admin", command, "1", *words)[1]["changed"] is False
        assert (two.store / "logs/asl.log").stat().st_size == size
        assert [row["pinned"] for row in tool(capsys, "admin", "snapshots", *words)[1]["snapshots"]] == [pinned, False]
    assert tool(capsys, "admin", "pin", "7", *words)[0] == 4


def test_every_command_says_how_it_is_used(capsys: Capture) -> None:
    admin = ("put", "get", "status", "snapshots", "show", "verify", "gc-check", "pin", "unpin", "tombstone")
    debug = ("log", "segment", "block", "artifact", "check")
    for name, command in [("admin", each) for each in admin] + [("debug", each) for each in debug]:
        with pytest.raises(SystemExit) as ended:
            text(capsys, name, command, "--help")
        assert ended.value.code == 0
        printed = capsys.readouterr().out
        assert f"  asl-{name} {command}" in printed.partition("example")[2], command
        assert "exit status:" in printed
