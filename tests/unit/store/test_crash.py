# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A crash at every operation of a small day of a store, below the store and below the backend.

ASL_SEEDS is the number of seeds for each operation; a seed is printed with what it broke.
"""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from faults import workload
from faults.crash import Crash, Volatile
from faults.disk import Disk
from faults.workload import Acknowledged

from asl.backends import layout, posix
from asl.errors import Damaged
from asl.formats import log, records
from asl.store import init_store, merge, writer

SEEDS = int(os.environ.get("ASL_SEEDS", "2"))


@pytest.fixture(autouse=True)
def small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several parts, several blocks a commit and a merge need not many bytes."""
    monkeypatch.setattr(writer, "LARGE", workload.LARGE)
    monkeypatch.setattr(writer, "BLOCKS_PER_COMMIT", 3)
    monkeypatch.setattr(merge, "MANY_SEGMENTS", workload.MANY_SEGMENTS)


def undisturbed() -> tuple[list[bytes], int]:
    """The snapshots that have to come out, and the number of operations it takes."""
    backend = Volatile.empty_store()
    snapshots = workload.run(backend, Acknowledged())
    assert len(snapshots) == 2
    kinds = {record.kind for record in log.records(backend.durable[layout.LOG][log.HEADER.size :])}
    assert kinds >= {records.SEGMENT_SEAL, records.SEGMENT_DROP, records.SNAPSHOT_ANCHOR, records.TOMBSTONE}
    return list(snapshots), backend.operations


def moments() -> Iterator[tuple[int, int]]:
    """Every operation, and beyond the last; each with every seed."""
    _, operations = undisturbed()
    for moment in range(1, operations + 2):
        for seed in range(SEEDS):
            yield moment, moment * 1000 + seed


def test_power_fails_at_every_operation() -> None:
    wanted, operations = undisturbed()
    assert operations > 60
    for moment, seed in moments():
        rng, acknowledged = random.Random(seed), Acknowledged()
        backend = Volatile.empty_store()
        backend.crash_at = moment
        try:
            while workload.crashed(backend, acknowledged):
                backend = backend.after_crash(rng)
                workload.verify(backend, acknowledged)
                # The way back is hit as well, one time in two.
                backend.crash_at = rng.choice([0, rng.randrange(1, operations)])
            workload.verify(backend, acknowledged)
            assert workload.run(backend.after_crash(rng), Acknowledged()) == wanted
        except BaseException:
            print(f"seed {seed}: power failed at operation {moment}")
            raise


def test_a_killed_process_is_followed_by_another_and_then_the_power_fails() -> None:
    """What a dead process left behind is seen, but was perhaps never durable: nobody may build upon it before it is."""
    wanted, _ = undisturbed()
    for moment, seed in moments():
        rng, acknowledged = random.Random(seed), Acknowledged()
        backend = Volatile.empty_store()
        backend.crash_at = moment
        try:
            if workload.crashed(backend, acknowledged):
                backend = backend.killed()
                assert not workload.crashed(backend, acknowledged)
            backend = backend.after_crash(rng)
            workload.verify(backend, acknowledged)
            assert workload.run(backend, acknowledged) == wanted
        except BaseException:
            print(f"seed {seed}: killed at operation {moment}, power failed at the end")
            raise


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where there is one: thousands of small files are made and removed."""
    folder = Path(tempfile.mkdtemp(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else tmp_path))
    yield folder
    shutil.rmtree(folder)


def day_on_disk(root: str, acknowledged: Acknowledged) -> bool:
    """Make a store where there is none and run the workload; True when it crashed."""
    try:
        init_store(root)
        workload.run(posix.Posix(root), acknowledged)
    except Crash:
        return True
    return False


def operations_on_disk(base: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    base.mkdir()
    with monkeypatch.context() as patch:
        counting = Disk()
        counting.mount(str(base))
        patch.setattr(posix, "os", counting)
        assert not day_on_disk(str(base / "store"), Acknowledged())
        return counting.operations


@pytest.mark.parametrize("killed_first", [False, True], ids=["power", "kill-then-power"])
def test_every_operation_of_the_posix_backend(memory: Path, monkeypatch: pytest.MonkeyPatch, killed_first: bool) -> None:
    """From init on. Every sync that is missing loses something here, for some operation and some seed."""
    operations = operations_on_disk(memory / "counted", monkeypatch)
    assert operations > 200
    for moment in range(1, operations + 2):
        seed = moment * 10 + killed_first
        rng, acknowledged = random.Random(seed), Acknowledged()
        before, after = memory / f"{moment}-before", memory / f"{moment}-after"
        before.mkdir()
        disk = Disk(moment)
        disk.mount(str(before))
        try:
            with monkeypatch.context() as patch:
                patch.setattr(posix, "os", disk)
                if day_on_disk(str(before / "store"), acknowledged) and killed_first:
                    disk.revive()
                    assert not day_on_disk(str(before / "store"), acknowledged)
            disk.power_fail(str(before), str(after), rng)
            if acknowledged.artifacts:
                workload.verify(posix.PosixReads(str(after / "store")), acknowledged)
            with monkeypatch.context() as patch:
                patch.setattr(posix, "os", Disk())  # a disk nobody waits for
                assert not day_on_disk(str(after / "store"), acknowledged)
            workload.verify(posix.PosixReads(str(after / "store")), acknowledged)
            shutil.rmtree(before)
            shutil.rmtree(after)
        except BaseException:
            print(f"seed {seed}: operation {moment} of {operations}")
            raise


def test_the_simulation_sees_a_missing_sync(memory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk itself is tested: without the sync of folders acknowledged things do get lost."""
    lost = 0
    for seed in range(8):
        rng, acknowledged = random.Random(seed), Acknowledged()
        before, after = memory / f"{seed}-before", memory / f"{seed}-after"
        before.mkdir()
        disk = Disk()
        disk.mount(str(before))
        with monkeypatch.context() as patch:
            patch.setattr(posix, "os", disk)
            patch.setattr(posix, "_sync_folder", lambda path: None)
            assert not day_on_disk(str(before / "store"), acknowledged)
        disk.power_fail(str(before), str(after), rng)
        try:
            workload.verify(posix.PosixReads(str(after / "store")), acknowledged)
        except Exception:
            lost += 1
    assert lost > 0


def test_a_log_that_ends_before_its_head_is_never_opened() -> None:
    acknowledged = Acknowledged()
    backend = Volatile.empty_store()
    workload.run(backend, acknowledged)
    backend.durable[layout.LOG] = backend.durable[layout.LOG][:-1]
    with suppress(Crash), pytest.raises(Damaged, match="was acknowledged") as caught:
        workload.verify(backend, acknowledged)
    assert caught.value.reason == "LOG_CUT_SHORT"
