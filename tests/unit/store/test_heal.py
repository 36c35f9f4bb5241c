# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Repair: an index made anew from blocks alone, blocks healed from another store, damage that does not pass for what was stored."""

from __future__ import annotations

import random
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from unit.intake.support import grow

from asl.backends.posix import Posix
from asl.formats import artifact, canonical, records
from asl.formats.artifact import TAG_RECEIPT
from asl.intake import run as intake_run
from asl.intake.request import Request
from asl.intake.run import run
from asl.names import Digest
from asl.store import init_store, open_store, open_writer, raw
from asl.store.check import check
from asl.store.heal import heal
from asl.store.rebuild import rebuild
from asl.verify import verify

SMALL_BLOCKS = 64 * 1024
CLOCK = [1_700_000_000.0]  # what intakes here take for the time, in seconds


@pytest.fixture(autouse=True)
def a_clock_that_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Receipts count whole seconds, and tell the order of snapshots whose anchors are lost: no two of these end in the same one."""
    monkeypatch.setattr(intake_run, "time", SimpleNamespace(time=lambda: CLOCK[0]))


def make(root: Path, *trees: Path, block_size: int = SMALL_BLOCKS) -> Path:
    init_store(str(root))
    for tree in trees:
        CLOCK[0] += 10
        run(Request((f"tree:{tree}",), str(root), "d"), block_size=block_size)
    return root


@pytest.fixture
def trees(tmp_path: Path) -> list[Path]:
    made = []
    for number in range(2):
        folder = tmp_path / f"tree{number}"
        folder.mkdir()
        made.append(grow(folder, seed=number))
    return made


def artifacts(root: Path) -> dict[Digest, artifact.Artifact]:
    """The answer of the store for every artifact it has."""
    store = open_store(str(root))
    return {digest: store.get(digest) for each in store.index.segments() for digest, _ in each.entries()}


def snapshots(root: Path) -> list[dict[str, Any]]:
    return [{key: value for key, value in each.document().items() if key != "logseq"} for each in open_store(str(root)).snapshots()]


def blocks(root: Path) -> list[Path]:
    return sorted((root / "blocks").glob("*/*"))


def spoil(path: Path, at: int = 100) -> None:
    data = bytearray(path.read_bytes())
    data[at % len(data)] ^= 0xFF
    path.chmod(0o644)
    path.write_bytes(data)


@pytest.mark.parametrize("harm", ["none", "segments", "segment", "log", "log-byte", "head", "checkpoints", "all"])
def test_everything_but_the_blocks_is_made_anew(tmp_path: Path, trees: list[Path], harm: str) -> None:
    root = make(tmp_path / "store", *trees)
    with open_writer(str(root)) as writer:
        hidden = writer.put(b"a secret")
        writer.commit()
        writer.record(records.TOMBSTONE, records.Tombstone(hidden).encode())
        writer.record(records.SNAPSHOT_PIN, records.encode_number(2))
    before, listed = artifacts_visible(root), snapshots(root)
    for name in {"segments": ["segments"], "checkpoints": ["snapshots"], "all": ["segments", "snapshots"]}.get(harm, []):
        for path in (root / name).iterdir():
            path.unlink()
    if harm == "segment":
        spoil(next((root / "segments").iterdir()))
    if harm in ("log", "all"):
        (root / "logs/asl.log").unlink()
    if harm == "log-byte":
        spoil(root / "logs/asl.log", 200)
    if harm in ("head", "all"):
        (root / "meta/head").unlink()
    done = rebuild(Posix(str(root)))
    assert not done.damaged and done.blocks == len(blocks(root))
    result = check(raw(str(root)))
    assert result.ok, result.faults
    kept = harm not in ("log", "all")
    after = artifacts_visible(root)
    assert after == before if kept else before.items() <= after.items()  # a tombstone stood in the log alone
    assert snapshots(root) == (listed if kept else [{**each, "pinned": False} for each in listed])
    assert verify(open_store(str(root)))["ok"]
    assert done.from_receipts == (0 if kept else 2)
    assert run(Request((f"tree:{trees[1]}",), str(root), "d"))["changed"] is False, "and the store goes on"


def test_a_rebuild_passes_over_odd_and_foreign_receipts_and_says_how_many(tmp_path: Path, trees: list[Path]) -> None:
    root = make(tmp_path / "store", *trees)
    listed = snapshots(root)
    store = open_store(str(root))
    good = canonical.decode(store.payload(store.find_snapshot("1").about.receipt, TAG_RECEIPT), "a receipt")
    odd: list[bytes] = [b"not JSON", b"[]", b"{}", b'{"request":[],"sources":{}}', b"\xff" * 40]
    odd += [canonical.encode({**good, **more}) for more in (
        {"ended": "yesterday"}, {"sources": ["x"]}, {"sources": [{**good["sources"][0], "root": "elsewhere"}]},
        {"request": {**good["request"], "labels": [1]}}, {"request": {**good["request"], "labels": {"ticket": 7}}},
        {"request": {**good["request"], "domain": 5}}, {"request": {**good["request"], "sources": [7]}},
    )]  # fmt: skip
    with open_writer(str(root)) as writer:
        for each in odd:
            writer.put(each, TAG_RECEIPT)
        writer.commit()
    (root / "logs/asl.log").unlink()
    done = rebuild(Posix(str(root)))
    assert (done.from_receipts, done.receipts_passed_over) == (2, len(odd))
    assert check(raw(str(root))).ok and verify(open_store(str(root)))["ok"]
    assert snapshots(root) == listed


def artifacts_visible(root: Path) -> dict[Digest, artifact.Artifact]:
    store = open_store(str(root))
    found = {digest for each in store.index.segments() for digest, _ in each.entries() if not store.state.hidden(digest)}
    return {digest: store.get(digest) for digest in found}


def test_a_rebuild_that_was_stopped_is_done_again(tmp_path: Path, trees: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    root = make(tmp_path / "store", *trees)
    before, listed = artifacts(root), snapshots(root)
    operations = ("create", "swap", "replace_head", "set_aside", "barrier")
    for stop in range(1, 40):
        backend, left = Posix(str(root)), [stop]

        class Stopped(Exception):
            pass

        def counted(name: str, backend: Posix = backend, left: list[int] = left, stopped: type[Exception] = Stopped) -> Any:
            real = getattr(backend, name)

            def call(*words: Any) -> Any:
                left[0] -= 1
                if left[0] == 0:
                    raise stopped
                return real(*words)

            return call

        for name in operations:
            monkeypatch.setattr(backend, name, counted(name), raising=True)
        try:
            rebuild(backend)
            break
        except Stopped:
            rebuild(Posix(str(root)))
            assert check(raw(str(root))).ok, f"stopped in operation {stop}"
            assert (artifacts(root), snapshots(root)) == (before, listed), f"stopped in operation {stop}"
    else:
        pytest.fail("it never came to its end")


@pytest.mark.parametrize("same_blocks", [True, False])
def test_a_store_of_which_a_twentieth_is_gone_is_healed(tmp_path: Path, trees: list[Path], same_blocks: bool) -> None:
    root = make(tmp_path / "store", *trees)
    other = tmp_path / "other"
    if same_blocks:
        shutil.copytree(root, other)
    else:
        make(other, *reversed(trees), block_size=300_000)
    before, rng = artifacts(root), random.Random(3)
    chosen = rng.sample(blocks(root), max(4, len(blocks(root)) // 20))
    for number, path in enumerate(chosen):
        if number % 2:
            path.unlink()
        else:
            spoil(path, rng.randrange(1 << 30))
    assert not check(raw(str(root))).ok
    with open_writer(str(root)) as writer:
        done = heal(writer, open_store(str(other)))
    assert done.blocks == len(chosen) and bool(done.blocks_healed) == same_blocks and bool(done.artifacts_healed) != same_blocks
    assert not done.lost or not same_blocks
    receipts = {each.about.receipt for each in open_store(str(root)).snapshots()}  # of another run there are others
    store = open_store(str(root))
    for digest, wanted in before.items():
        if digest not in receipts or same_blocks:
            assert store.get(digest) == wanted
    assert same_blocks is False or check(raw(str(root))).ok


def test_what_is_in_neither_store_is_listed_by_file(tmp_path: Path, trees: list[Path]) -> None:
    root = make(tmp_path / "store", trees[0], block_size=8 << 20)
    empty = make(tmp_path / "empty")
    for path in blocks(root):
        spoil(path, 1000)
    with open_writer(str(root)) as writer:
        done = heal(writer, open_store(str(empty)))
    assert done.artifacts_lost and not done.document()["ok"]
    told = verify(open_store(str(root)))["damaged"]
    assert {(each["path"], each.get("offset")) for each in done.lost} == {(each["path"], each.get("offset")) for each in told}


def test_what_is_whole_in_a_damaged_block_and_nowhere_else_stays(tmp_path: Path) -> None:
    rng = random.Random(2)
    shared, alone = rng.randbytes(30_000), rng.randbytes(30_000)
    root, other = make(tmp_path / "store"), make(tmp_path / "other")
    with open_writer(str(root)) as writer:
        digests = [writer.put(shared), writer.put(alone)]
        writer.commit()
    with open_writer(str(other)) as writer:
        writer.put(shared)
        writer.commit()
    (block,) = blocks(root)
    spoil(block, 1000)
    with open_writer(str(root)) as writer:
        done = heal(writer, open_store(str(other)))
    assert (done.blocks, done.artifacts_healed, done.artifacts_lost) == (1, 2, 0)
    assert [open_store(str(root)).get(digest).payload for digest in digests] == [shared, alone]
    assert check(raw(str(root))).ok


def test_a_sound_store_needs_no_healing(tmp_path: Path, trees: list[Path]) -> None:
    root = make(tmp_path / "store", trees[0])
    with open_writer(str(root)) as writer:
        done = heal(writer, open_store(str(make(tmp_path / "empty"))))
    assert (done.blocks, done.lost) == (0, [])


def test_a_damaged_block_nobody_names_does_not_pass_for_the_one_that_is_stored(tmp_path: Path) -> None:
    """As a killed writer and a bad disk leave it: the same bytes, stored again, have to be there afterwards."""
    first, second = make(tmp_path / "first"), make(tmp_path / "second")
    data = random.Random(1).randbytes(100_000)
    with open_writer(str(first)) as writer:
        digest = writer.put(data)
        writer.commit()
    (block,) = blocks(first)
    target = second / block.relative_to(first)
    target.parent.mkdir()
    target.write_bytes(block.read_bytes())
    spoil(target)
    with open_writer(str(second)) as writer:
        writer.put(data)
        writer.commit()
    assert open_store(str(second)).get(digest).payload == data
    result = check(raw(str(second)))
    assert result.ok and [note.reason for note in result.notes] == ["TEMPORARY"], "what was in the way is kept"
