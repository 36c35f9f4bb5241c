# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cache of what is read from a gateway: bounded, held against digests, and nothing is lost with it. Over real stores on disk."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Optional

import pytest

from asl.backends import layout
from asl.backends.cache import CachedReads
from asl.backends.posix import PosixReads
from asl.backends.remote import Plan
from asl.errors import Damaged
from asl.names import Digest
from asl.store import Store, init_store, open_writer, recovery
from asl.store.bulk import BulkCheck, Wanted
from asl.verify import verify

BLOCK, BLOCKS = 1 << 20, 12


class Far(PosixReads):
    """A store that is not on this host: it has no paths, and counts what is fetched."""

    def __init__(self, root: str) -> None:
        super().__init__(root)
        self.fetched: list[str] = []
        self.whole: list[str] = []

    def path(self, name: str) -> Optional[str]:
        return None

    def read(self, name: str, offset: int = 0, length: Optional[int] = None) -> bytes:
        if name.startswith(("blocks/", "segments/")):
            self.fetched.append(name)
            if length is None:
                self.whole.append(name)
        return super().read(name, offset, length)


@pytest.fixture
def far(tmp_path: Path) -> Iterator[tuple[Far, list[Digest]]]:
    root = str(tmp_path / "store")
    init_store(root)
    rng = random.Random(4)
    with open_writer(root, block_size=BLOCK) as writer:
        digests = [writer.put(rng.randbytes(BLOCK // 4)) for _number in range(4 * BLOCKS)]
        writer.commit()
    yield Far(root), digests


def opened(far: Far, folder: Path, size: int, *, fresh: bool = False) -> Store:
    far.fetched.clear()
    far.whole.clear()
    backend = CachedReads(far, Plan(str(folder), size, fresh))
    return Store(backend, recovery.load(backend))


def kept(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


def test_a_second_command_fetches_nothing(far: tuple[Far, list[Digest]], tmp_path: Path) -> None:
    backend, digests = far
    for fetched in (True, False):
        store = opened(backend, tmp_path / "cache", 64 * BLOCK)
        assert [store.payload(each)[:0] for each in digests] == [b""] * len(digests)
        assert bool(backend.fetched) == fetched
        assert len(set(backend.fetched)) == len(backend.fetched), "each object once, and as a whole"


def test_it_stays_within_its_bound_and_what_was_used_last_stays(far: tuple[Far, list[Digest]], tmp_path: Path) -> None:
    backend, digests = far
    cache, bound = tmp_path / "cache", 6 * BLOCK
    store = opened(backend, cache, bound)
    for each in digests:
        store.payload(each)
        assert kept(cache) <= bound
    backend.fetched.clear()
    store.payload(digests[-1])
    assert not backend.fetched
    store.payload(digests[0])
    assert backend.fetched, "the first one had to go"


@pytest.mark.parametrize("harm", ["flip", "cut", "vanish", "folder"])
def test_damage_in_the_cache_harms_nothing(far: tuple[Far, list[Digest]], tmp_path: Path, harm: str) -> None:
    """Also in the middle of a command that has used it already."""
    backend, digests = far
    cache = tmp_path / "cache"
    store = opened(backend, cache, 64 * BLOCK)
    good = [store.payload(each) for each in digests]
    for again in (store, None):
        for path in cache.iterdir():
            if harm == "flip":
                data = bytearray(path.read_bytes())
                data[len(data) // 2] ^= 1
                path.write_bytes(data)
            elif harm == "cut":
                os.truncate(path, path.stat().st_size // 2)
            elif harm == "vanish":
                path.unlink()
        if harm == "folder":
            shutil.rmtree(cache)
        found = again or opened(backend, cache, 64 * BLOCK)
        assert [found.payload(each) for each in digests] == good


def test_no_room_for_the_cache_is_no_error(far: tuple[Far, list[Digest]], tmp_path: Path) -> None:
    backend, digests = far
    (tmp_path / "file").write_text("not a folder")
    for folder, size in ((tmp_path / "file" / "cache", 64 * BLOCK), (tmp_path / "small", 1000)):
        assert len(opened(backend, folder, size).payload(digests[0])) == BLOCK // 4
    assert not (tmp_path / "small").exists() or not kept(tmp_path / "small")


@pytest.mark.parametrize("why", ["too large", "no room"])
def test_what_cannot_be_kept_is_fetched_once(far: tuple[Far, list[Digest]], tmp_path: Path, why: str) -> None:
    """As a whole, and not again for each artifact in it: neither too large an object, nor one for which the disk has no room."""
    backend, digests = far
    (tmp_path / "file").write_text("not a folder")
    folder, size = (tmp_path / "small", 2 * BLOCK) if why == "too large" else (tmp_path / "file" / "cache", 64 * BLOCK)
    store = opened(backend, folder, size)
    by_block: dict[str, list[Digest]] = {}
    for each in digests:
        by_block.setdefault(layout.block(store.locate(each)[0].block), []).append(each)
    assert max(map(len, by_block.values())) > 1
    for here in by_block.values():
        for each in here:
            assert len(store.payload(each)) == BLOCK // 4
    assert sorted(backend.fetched) == sorted({*by_block, *(name for name in backend.fetched if name.startswith("segments/"))})
    for each in (digests[0], digests[1]):  # behind another one: in parts, which is less than the whole again
        store.payload(each)
    assert backend.whole.count(layout.block(store.locate(digests[0])[0].block)) == 1


def test_a_missing_block_is_a_loss_and_no_end(far: tuple[Far, list[Digest]], tmp_path: Path) -> None:
    backend, digests = far
    store = opened(backend, tmp_path / "cache", 64 * BLOCK)
    gone = store.locate(digests[5])[0].block
    Path(backend.root, layout.block(gone)).unlink()
    assert store.backend.path(layout.block(gone)) is None and store.plain_file(gone) is None
    bad: dict[bytes, str] = {}
    with BulkCheck(store, lambda wanted, error: bad.update({wanted.digest: error.reason})) as check:
        for each in digests:
            check.add(Wanted(each, BLOCK // 4))
    lost = {each for each in digests if store.locate(each)[0].block == gone}
    assert bad == dict.fromkeys(lost, "MISSING_BLOCK") and 0 < len(lost) < len(digests)


def test_a_proof_takes_nothing_that_was_kept(far: tuple[Far, list[Digest]], tmp_path: Path) -> None:
    """Copies on this host say nothing about the store: damage there is found, although all of it is in the cache."""
    backend, digests = far
    cache = tmp_path / "cache"
    store = opened(backend, cache, 64 * BLOCK)
    for each in digests:
        store.payload(each)
    block = layout.block(store.locate(digests[5])[0].block)
    path = Path(backend.root, block)
    path.chmod(0o644)
    data = bytearray(path.read_bytes())
    data[data.index(store.payload(digests[5])[:64]) + 9] ^= 1
    path.write_bytes(data)
    assert opened(backend, cache, 64 * BLOCK).payload(digests[5])
    with pytest.raises(Damaged):
        opened(backend, cache, 64 * BLOCK, fresh=True).payload(digests[5])
    assert verify(opened(backend, cache, 64 * BLOCK, fresh=True))["ok"], "no snapshot, nothing to prove"
