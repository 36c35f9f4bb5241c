# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""asl-debug check knows the peers that federation.conf admits: what one of them has is not missing."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from unit.admin.support import damage, tool
from unit.check.support import seal, small

from asl.store import init_store, open_store, open_writer

Capture = pytest.CaptureFixture[str]
OWN, PEER = "rescue-domain", "site-b"


class Place:
    """A folder with the own domain's store, its peer's beside it, and their federation.conf."""

    def __init__(self, folder: Path, capsys: Capture) -> None:
        self.own, self.peer, self._folder, self._capsys = folder / OWN, folder / PEER, folder, capsys
        self.admit("artifacts")
        (folder / "asl.conf").write_text("")

    def admit(self, what: str) -> None:
        (self._folder / "federation.conf").write_text(f"domain.id = {OWN}\npeer.b.domain = {PEER}\npeer.b.admit = {what}\n")

    def check(self) -> tuple[int, dict[str, Any]]:
        words = ("check", "--store", str(self.own), "--config", str(self._folder / "asl.conf"))
        return tool(self._capsys, "debug", *words)


@pytest.fixture
def place(tmp_path: Path, capsys: Capture) -> Place:
    return Place(tmp_path, capsys)


def sealed_upon_the_peer(place: Place) -> None:
    """A snapshot of the own domain whose tree only the peer has."""
    there = small(place.peer)
    init_store(str(place.own))
    with open_writer(str(place.own)) as writer:
        seal(writer, there.tree)


def test_what_an_admitted_peer_has_is_not_lost(place: Place) -> None:
    sealed_upon_the_peer(place)
    code, document = place.check()
    assert (code, document["faults"]) == (0, [])
    place.admit("none")
    code, document = place.check()
    assert (code, [each["reason"] for each in document["faults"]]) == (5, ["INCOMPLETE_SNAPSHOT"])


def test_a_peer_that_cannot_be_read_is_no_damage(place: Place) -> None:
    sealed_upon_the_peer(place)
    shutil.rmtree(place.peer)
    code, document = place.check()
    assert (code, document["reason"]) == (4, "PEER_UNAVAILABLE") and "peer b" in document["error"]


def test_a_peer_that_cannot_be_read_hides_no_fault(place: Place) -> None:
    sealed_upon_the_peer(place)
    shutil.rmtree(place.peer)
    (place.own / "blocks" / "foreign").write_bytes(b"x")
    code, document = place.check()
    assert (code, [each["object"] for each in document["faults"]]) == (5, ["blocks/foreign"])
    assert "PEER_UNAVAILABLE" in [each["reason"] for each in document["notes"]]


def lose_a_block(place: Place) -> bytes:
    """Two stores with the same blocks; the one with the tree is gone from the own one. Its id."""
    made = small(place.own)
    shutil.copytree(place.own, place.peer)
    block_id = bytes(open_store(str(place.own)).locate(made.tree)[0].block)
    (place.own / "blocks" / block_id.hex()[:2] / block_id.hex()).unlink()
    return block_id


def test_a_block_that_the_peer_has_is_said_to_lie_there(place: Place) -> None:
    block_id = lose_a_block(place)
    code, document = place.check()
    assert (code, document["faults"]) == (0, [])
    (note,) = document["notes"]
    assert note["reason"] == "HELD_BY_PEER" and block_id.hex() in note["object"] and "the peer b has it" in note["what"]
    place.admit("none")
    code, document = place.check()
    assert code == 5 and "MISSING_BLOCK" in [each["reason"] for each in document["faults"]]


def test_a_block_that_the_peer_has_damaged_is_missing(place: Place) -> None:
    damage(place.peer, lose_a_block(place), 40)
    code, document = place.check()
    (fault,) = [each for each in document["faults"] if each["reason"] == "MISSING_BLOCK"]
    assert code == 5 and "peer b: it is not what its name says" in fault["what"]
