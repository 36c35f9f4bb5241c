# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cache of unchanged files: it may be torn, damaged, foreign or away. It then knows less, and never something wrong."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asl.formats import tree
from asl.intake.cache import FileCache, Known, order

PATHS = [b"a", b"a/b", b"a/b/c", b"a-b", b"b\xff", b"z"]
KNOWN = {path: Known(b"print-" + path, tree.CHUNK, bytes([number]) * 32, number * 1000) for number, path in enumerate(PATHS)}


def open_cache(store_id: str = "id", source: str = "tree:/x", average: int = 65_536) -> FileCache:
    return FileCache(store_id, source, {"chunk_average": average})


def fill(*, complete: bool = True) -> None:
    cache = open_cache()
    for path in sorted(PATHS, key=order):
        cache.add(path, KNOWN[path])
    cache.close(complete=complete)


def found(cache: FileCache) -> dict[bytes, Optional[Known]]:
    """What the cache knows, asked in the order of a walk."""
    answers = {path: cache.find(path, KNOWN[path].fingerprint) for path in sorted(PATHS, key=order)}
    cache.close(complete=False)
    return {path: plain(known) for path, known in answers.items() if known}


def plain(known: Optional[Known]) -> Optional[Known]:
    """Without what the cache itself knows of it."""
    return known._replace(record=b"") if known else None


def the_file(state: Path) -> Path:
    return next(path for path in (state / "cache").iterdir() if path.suffix == "")


def test_what_was_added_is_found_in_the_next_run() -> None:
    fill()
    assert found(open_cache()) == KNOWN


def test_another_fingerprint_is_another_file() -> None:
    fill()
    cache = open_cache()
    assert cache.find(b"a", b"print-b") is None
    assert cache.find(b"a/b", None) is None
    assert plain(cache.find(b"a/b/c", b"print-a/b/c")) == KNOWN[b"a/b/c"]
    cache.close(complete=False)


def test_the_store_is_asked_for_many_at_once_and_what_is_known_goes_on_as_it_was() -> None:
    many = {b"%04d" % number: Known(b"p", tree.CHUNK, number.to_bytes(32, "big"), number) for number in range(1000)}
    cache = open_cache()
    for path, known in many.items():
        cache.add(path, known)
    cache.close(complete=True)
    asked = []

    def have(digests: bytes) -> bytes:
        asked.append(len(digests) // 32)
        return bytes(digests[at + 31] % 2 for at in range(0, len(digests), 32))

    for _round in range(2):
        cache = FileCache("id", "tree:/x", {"chunk_average": 65_536}, have)
        for number, path in enumerate(many):
            known = cache.find(path, b"p")
            assert known is not None and known.there == number % 2 and known[1:4] == many[path][1:4]
            cache.add(path, known)
        cache.close(complete=True)
    assert sum(asked) == 2000 and len(asked) <= 10


def test_the_cache_of_a_killed_run_is_used_as_far_as_it_goes() -> None:
    fill(complete=False)
    assert found(open_cache()) == KNOWN


def test_another_store_source_or_setting_is_another_cache() -> None:
    fill()
    for cache in (open_cache(store_id="other"), open_cache(source="tree:/y"), open_cache(average=1024)):
        assert found(cache) == {}


def test_every_cut_leaves_what_stands_before_it(own_state: Path) -> None:
    fill()
    path = the_file(own_state)
    whole, counts = path.read_bytes(), []
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        answers = found(open_cache())
        assert answers.items() <= KNOWN.items()
        counts.append(len(answers))
        (own_state / "cache" / (path.name + ".new")).unlink()
    assert counts == sorted(counts)
    assert (counts[0], counts[-1]) == (0, len(PATHS) - 1)


def test_every_flipped_byte_costs_knowledge_only(own_state: Path) -> None:
    fill()
    path = the_file(own_state)
    whole, rng = path.read_bytes(), random.Random(3)
    for at in range(len(whole)):
        damaged = bytearray(whole)
        damaged[at] ^= 1 << rng.randrange(8)
        path.write_bytes(damaged)
        answers = found(open_cache())
        assert answers.items() < KNOWN.items()
        (own_state / "cache" / (path.name + ".new")).unlink()


def test_a_foreign_file_in_its_place(own_state: Path) -> None:
    fill()
    for rubbish in (b"", b"rubbish", bytes(4096), b"ASLCACH1" + bytes(500)):
        the_file(own_state).write_bytes(rubbish)
        assert found(open_cache()) == {}


def test_no_place_for_a_cache(own_state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own_state.write_text("a file where the folder should be")
    cache = open_cache()
    cache.add(b"a", KNOWN[b"a"])
    assert cache.find(b"a", KNOWN[b"a"].fingerprint) is None
    cache.close(complete=True)


NAMES = st.binary(min_size=1, max_size=3).filter(lambda name: not {0, 47} & set(name))


@given(st.lists(st.lists(NAMES, min_size=1, max_size=4), max_size=20))
def test_the_order_is_that_of_a_walk(parts: list[list[bytes]]) -> None:
    """A walk goes down a directory before it goes on, and takes names in byte order: by component, not by whole path."""
    paths = [b"/".join(each) for each in parts]
    assert sorted(paths, key=order) == [b"/".join(each) for each in sorted(parts)]
