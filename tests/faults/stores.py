# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults below a store: crashes, power cuts, failing calls, flipped bits, files cut short. Each function is one kind of fault; it
yields its points one by one and raises where a promise is broken."""

from __future__ import annotations

import errno
import random
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from faults import workload
from faults.crash import Crash, Volatile
from faults.disk import Disk
from faults.failing import SHORT, failing
from faults.workload import Acknowledged

from asl.backends import posix
from asl.errors import AslError
from asl.store import init_store, merge, raw, writer
from asl.store.check import check

Points = Iterator[str]


@contextmanager
def small_limits() -> Iterator[None]:
    """Several parts, several blocks a commit and a merge need not many bytes."""
    kept = (writer.LARGE, writer.BLOCKS_PER_COMMIT, merge.MANY_SEGMENTS)
    writer.LARGE, writer.BLOCKS_PER_COMMIT, merge.MANY_SEGMENTS = workload.LARGE, 3, workload.MANY_SEGMENTS
    try:
        yield
    finally:
        writer.LARGE, writer.BLOCKS_PER_COMMIT, merge.MANY_SEGMENTS = kept


def undisturbed() -> tuple[list[Any], int]:
    """The snapshots that have to come out, and the number of operations it takes."""
    backend = Volatile.empty_store()
    return list(workload.run(backend, Acknowledged())), backend.operations


def power_below_the_store(folder: Path, seed: int, rounds: int) -> Points:
    """The power fails in every operation of a backend, and again on the way back."""
    wanted, operations = undisturbed()
    for moment in range(1, operations + 2):
        for each in range(rounds):
            rng, acknowledged = random.Random(f"{seed}/{moment}/{each}"), Acknowledged()
            backend = Volatile.empty_store()
            backend.crash_at = moment
            while workload.crashed(backend, acknowledged):
                backend = backend.after_crash(rng)
                workload.verify(backend, acknowledged)
                yield f"operation {moment}, round {each}"
                backend.crash_at = rng.choice([0, rng.randrange(1, operations)])
            workload.verify(backend, acknowledged)
            assert workload.run(backend.after_crash(rng), Acknowledged()) == wanted


def killed_then_power(folder: Path, seed: int, rounds: int) -> Points:
    """A process is killed in every operation, another goes on, and then the power fails."""
    wanted, operations = undisturbed()
    for moment in range(1, operations + 2):
        for each in range(rounds):
            rng, acknowledged = random.Random(f"{seed}/{moment}/{each}"), Acknowledged()
            backend = Volatile.empty_store()
            backend.crash_at = moment
            if workload.crashed(backend, acknowledged):
                backend = backend.killed()
                assert not workload.crashed(backend, acknowledged)
            backend = backend.after_crash(rng)
            workload.verify(backend, acknowledged)
            assert workload.run(backend, acknowledged) == wanted
            yield f"operation {moment}, round {each}"


def day(root: str, acknowledged: Acknowledged) -> bool:
    """Make a store where there is none and run the workload; True when it crashed."""
    try:
        init_store(root)
        workload.run(posix.Posix(root), acknowledged)
    except Crash:
        return True
    return False


@contextmanager
def on(disk: Disk) -> Iterator[None]:
    """The backend writes to DISK."""
    real = posix.os
    posix.os = disk  # type: ignore[assignment]
    try:
        yield
    finally:
        posix.os = real


def power_below_the_disk(folder: Path, seed: int, rounds: int) -> Points:
    """The power fails in every system call: what was not synced is lost, torn or written out of order; in every second round the
    process was killed first and another one has gone on."""
    (folder / "counted").mkdir()
    counting = Disk()
    counting.mount(str(folder / "counted"))
    with on(counting):
        assert not day(str(folder / "counted/store"), Acknowledged())
    for each in range(rounds):
        for moment in range(1, counting.operations + 2):
            rng, acknowledged = random.Random(f"{seed}/{moment}/{each}"), Acknowledged()
            before, after = folder / "before", folder / "after"
            before.mkdir()
            disk = Disk(moment)
            disk.mount(str(before))
            with on(disk):
                if day(str(before / "store"), acknowledged) and each % 2:
                    disk.revive()
                    assert not day(str(before / "store"), acknowledged)
            disk.power_fail(str(before), str(after), rng)
            if acknowledged.artifacts:
                workload.verify(posix.PosixReads(str(after / "store")), acknowledged)
            with on(Disk()):
                assert not day(str(after / "store"), acknowledged)
            workload.verify(posix.PosixReads(str(after / "store")), acknowledged)
            shutil.rmtree(before)
            shutil.rmtree(after)
            yield f"call {moment}, round {each}"


def sound(root: Path) -> None:
    """The check finds nothing, but that the snapshots of the workload have no real trees."""
    faults = [fault for fault in check(raw(str(root))).faults if fault.reason != "INCOMPLETE_SNAPSHOT"]
    assert not faults, faults[:3]


def _nth(folder: Path, error: int, first: int, step: int) -> Points:
    wanted, _ = undisturbed()
    at = first
    while True:
        root, acknowledged = folder / f"store-{error}-{at}", Acknowledged()
        with failing(at, error) as calls:
            try:
                init_store(str(root))
                workload.run(posix.Posix(str(root)), acknowledged)
                ended = True
            except AslError as failed:
                assert error != SHORT, f"a call that was done in part failed all: {failed}"
                ended = False
        init_store(str(root))
        workload.verify(posix.PosixReads(str(root)), acknowledged)
        assert workload.run(posix.Posix(str(root)), acknowledged) == wanted
        workload.verify(posix.PosixReads(str(root)), acknowledged)
        sound(root)
        shutil.rmtree(root)
        yield f"call {at} ({calls.hit or 'none'})"
        if ended and calls.count < at:
            return
        at += step


def call_fails_with_eio(folder: Path, seed: int, rounds: int) -> Points:
    """The n-th system call of the backend fails with EIO, for n = 1, 2, 3 … until all of it passes."""
    return _nth(folder, errno.EIO, 1 + seed % max(1, 8 // rounds), max(1, 8 // rounds))


def call_fails_with_enospc(folder: Path, seed: int, rounds: int) -> Points:
    """The same with ENOSPC."""
    return _nth(folder, errno.ENOSPC, 1 + seed % max(1, 8 // rounds), max(1, 8 // rounds))


def call_is_short(folder: Path, seed: int, rounds: int) -> Points:
    """The n-th read or write does only a part."""
    return _nth(folder, SHORT, 1 + seed % max(1, 8 // rounds), max(1, 8 // rounds))


def signals_interrupt(folder: Path, seed: int, rounds: int) -> Points:
    """A signal every few hundred microseconds: calls are interrupted (EINTR) and go on."""
    wanted, _ = undisturbed()
    rng = random.Random(seed)
    hits = []
    kept = signal.signal(signal.SIGALRM, lambda *_: hits.append(1))
    try:
        for each in range(4 * rounds):
            root = folder / f"store-{each}"
            signal.setitimer(signal.ITIMER_REAL, 0.0005, rng.uniform(0.0002, 0.003))
            try:
                init_store(str(root))
                assert workload.run(posix.Posix(str(root)), Acknowledged()) == wanted
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
            sound(root)
            shutil.rmtree(root)
            yield f"round {each}, {len(hits)} signals"
    finally:
        signal.signal(signal.SIGALRM, kept)


def _small(folder: Path) -> Path:
    from unit.check.support import small

    return small(folder / "small").root


def bits_flip(folder: Path, seed: int, rounds: int) -> Points:
    """One bit of every byte of every file of a small store is turned over: the check names the file."""
    root = _small(folder)
    rng = random.Random(seed)
    for each in range(min(rounds, 4)):
        for path in sorted(path for path in root.rglob("*") if path.is_file()):
            data, name = path.read_bytes(), str(path.relative_to(root))
            path.chmod(0o644)
            for at in range(len(data)):
                bit = rng.randrange(8)
                with path.open("r+b", buffering=0) as file:
                    file.seek(at)
                    file.write(bytes([data[at] ^ 1 << bit]))
                result = check(raw(str(root)))
                with path.open("r+b", buffering=0) as file:
                    file.seek(at)
                    file.write(data[at : at + 1])
                assert not result.ok and name in {fault.object for fault in result.faults}, f"{name} byte {at} bit {bit}: not named"
                yield f"{name} byte {at} bit {bit}, round {each}"


def files_are_cut(folder: Path, seed: int, rounds: int) -> Points:
    """Every file of a small store is cut short, at every length or at every so many bytes: the check names the file."""
    root = _small(folder)
    for path in sorted(path for path in root.rglob("*") if path.is_file() and path.stat().st_size):
        data, name = path.read_bytes(), str(path.relative_to(root))
        path.chmod(0o644)
        for length in range(seed % 7, len(data), max(1, 24 // rounds)):
            path.write_bytes(data[:length])
            result = check(raw(str(root)))
            assert not result.ok and name in {fault.object for fault in result.faults}, f"{name} cut to {length}: not named"
            yield f"{name} cut to {length} bytes"
        path.write_bytes(data)
    assert check(raw(str(root))).ok


Kind = Callable[[Path, int, int], Points]
KINDS: dict[str, Kind] = {
    each.__name__: each
    for each in (
        power_below_the_store, killed_then_power, power_below_the_disk, call_fails_with_eio, call_fails_with_enospc, call_is_short,
        signals_interrupt, bits_flip, files_are_cut,
    )
}  # fmt: skip
