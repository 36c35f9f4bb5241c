# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A store that is read together with admitted peers: who is asked for what, and what a silent peer costs."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, Optional

import pytest

from asl.backends import layout
from asl.backends.base import Reads
from asl.errors import AslError, NotFound, Unavailable
from asl.store import Peer, init_store, open_store, open_writer
from asl.store.peers import JoinedIndex, JoinedReads, joined
from asl.store.reader import Reader


def store(folder: Path, *payloads: bytes) -> tuple[Reader, list[bytes]]:
    """A store with an artifact for each of PAYLOADS, and their digests."""
    init_store(str(folder))
    with open_writer(str(folder)) as writer:
        digests = [bytes(writer.put(each)) for each in payloads]
        writer.commit()
    return open_store(str(folder)), digests


class Counting:
    """What is asked of something, by the name of the call."""

    def __init__(self, real: Any) -> None:
        self.real, self.calls = real, []  # type: ignore[var-annotated]

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.real, name)
        if not callable(found):
            return found

        def call(*words: Any, **more: Any) -> Any:
            self.calls.append(name)
            return found(*words, **more)

        return call


def never() -> Reader:
    raise AssertionError("nobody had to be asked")


def silent() -> Reader:
    raise Unavailable("it does not answer", reason="NETWORK")


def opening(reader: Reader) -> Callable[[], Reader]:
    return lambda: reader


def test_nobody_is_opened_for_what_the_own_store_has(tmp_path: Path) -> None:
    own, digests = store(tmp_path / "own", b"one", b"two")
    index = JoinedIndex(own.index, [Peer("b", never)])
    assert index.known(b"".join(digests)) == b"\1\1"
    assert None not in index.locations(b"".join(digests)) and index.number(digests[0]) is not None


def test_the_own_index_is_asked_once(tmp_path: Path) -> None:
    own, mine = store(tmp_path / "own", b"one")
    there, theirs = store(tmp_path / "there", b"two", b"three")
    counted = Counting(own.index)
    index = JoinedIndex(counted, [Peer("b", opening(there))])
    found = index.locations(b"".join([*mine, *theirs, bytes(32)]))
    assert found[1:3] == [there.index.find(each) for each in theirs] and found[0] is not None and found[3] is None
    assert counted.calls == ["locations"]
    assert index.blocks() == own.index.blocks(), "as segments(): the own ones"


def block_of(reader: Reader, digest: bytes) -> str:
    return layout.block(reader.locate(digest)[0].block)


def test_whoever_is_known_to_have_a_block_is_asked_for_nothing_but_its_path(tmp_path: Path) -> None:
    own, _mine = store(tmp_path / "own", b"one")
    there, [digest] = store(tmp_path / "there", b"two")
    name, mine, theirs = block_of(there, digest), Counting(own.backend), Counting(there.backend)
    reads = JoinedReads(mine, [Peer("b", lambda: Reader(theirs, there.state, there.index))])
    assert reads.size(name) == there.backend.size(name)
    assert (mine.calls, theirs.calls) == (["size"], ["size"])
    path = reads.path(name)
    assert path is not None and Path(path).read_bytes() == there.backend.read(name)
    assert (mine.calls, theirs.calls) == (["size"], ["size", "path"])


def test_a_silent_peer_is_told_once_and_costs_only_what_nobody_else_has(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    own, mine = store(tmp_path / "own", b"one")
    there, theirs = store(tmp_path / "there", b"two")
    reader = joined(own, [Peer("a", silent), Peer("b", opening(there))])
    with caplog.at_level(logging.WARNING, "asl"):
        assert reader.payload(mine[0]) == b"one" and reader.payload(theirs[0]) == b"two"
        assert reader.index.known(b"".join([*mine, *theirs])) == b"\1\1"
        assert reader.index.locations(theirs[0]) == [there.index.find(theirs[0])]
        for ask in (reader.index.known, reader.index.locations, reader.get):
            with pytest.raises(Unavailable) as told:
                ask(bytes(32))
            assert told.value.reason == "PEER_UNAVAILABLE" and "the peer a cannot be read" in told.value.message
        with pytest.raises(Unavailable):
            reader.backend.read(layout.block(bytes(32)))  # type: ignore[arg-type]
    assert [each.getMessage() for each in caplog.records] == ["the peer a cannot be read: it does not answer"]


def test_whoever_tells_by_itself_is_not_logged_too(caplog: pytest.LogCaptureFixture) -> None:
    told: list[Optional[AslError]] = []
    peer = Peer("a", silent, needed=False, tell=told.append)
    with caplog.at_level(logging.WARNING, "asl"):
        assert peer.reader() is None and peer.reader() is None
    assert [str(each) for each in told] == ["it does not answer"] and not caplog.records


def test_what_nobody_has_is_not_there(tmp_path: Path) -> None:
    own, _mine = store(tmp_path / "own", b"one")
    there, _theirs = store(tmp_path / "there", b"two")
    reads: Reads = JoinedReads(own.backend, [Peer("b", opening(there))])
    for ask in (reads.read, reads.size):
        with pytest.raises(NotFound):
            ask(layout.block(bytes(32)))  # type: ignore[arg-type]
    assert reads.path(layout.block(bytes(32))) is None  # type: ignore[arg-type]
