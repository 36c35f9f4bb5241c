# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writing a run of bytes, and the restore of a disk or a stream into a file or onto a device."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Optional, Union

from asl.errors import AslError, Refused, Unavailable
from asl.formats import artifact
from asl.restore import chunks, ranges, sinks, targets
from asl.restore.chunks import Memories
from asl.restore.ranges import DATA, HOLE, LOST, Range
from asl.restore.result import MAKE, REPLACE, Changes, RestoreResult, fatal
from asl.sources.base import READ_SIZE, why
from asl.sources.reader import drop_cache
from asl.store.contents import Payloads

NOT_READ = "it could not be read when the snapshot was made"
Lose = Callable[[str, int, int, str], None]
Sink = Union[sinks.NewFile, sinks.OldFile, sinks.Device]
_Loss = tuple[str, int, int, str]
# Bytes of chunks that are read, checked and written together, and how many such batches may wait for their turn.
BATCH, WAITING = 2 * 1024 * 1024, 4
_memories = Memories()


def pour(
    store: Payloads, wanted: Iterable[Range], sink: Sink, lose: Lose, step: Callable[[int], None], *, pool: Optional[Executor] = None
) -> int:
    """Write WANTED into SINK; how many bytes it covers. LOSE(what, offset, length, why) for each range that is not there.

    What the sink holds already is left alone; what becomes of ranges that are lost is the sink's to say. STEP(bytes) is called as it
    goes on, both in order. POOL: batches of chunks are read, checked and written in its threads."""
    at, waiting = 0, deque[tuple[int, "Future[list[_Loss]]"]]()

    def settle() -> None:
        length, done = waiting.popleft()
        for loss in done.result():
            lose(*loss)
        step(length)

    for batch in _batches(_joined(wanted)):
        length = sum(each.length for each in batch)
        waiting.append((length, _submit(pool, store, batch, at, sink)))
        at += length
        if pool is None or len(waiting) > WAITING:
            settle()
    while waiting:
        settle()
    sink.finish(at)
    return at


def _submit(pool: Optional[Executor], store: Payloads, batch: list[Range], at: int, sink: Sink) -> Future[list[_Loss]]:
    if pool is not None:
        return pool.submit(_batch, store, batch, at, sink)
    done: Future[list[_Loss]] = Future()
    done.set_result(_batch(store, batch, at, sink))
    return done


def _batches(wanted: Iterable[Range]) -> Iterator[list[Range]]:
    """WANTED in order: many chunks together, anything else by itself."""
    batch: list[Range] = []
    size = 0
    for each in wanted:
        if batch and (each.kind != DATA or size + each.length > BATCH):
            yield batch
            batch, size = [], 0
        if each.kind != DATA:
            yield [each]
            continue
        batch.append(each)
        size += each.length
    if batch:
        yield batch


def _batch(store: Payloads, batch: list[Range], at: int, sink: Sink) -> list[_Loss]:
    """Write one batch, which begins at AT; what of it is lost."""
    first = batch[0]
    if first.kind == HOLE:
        sink.zero(at, first.length)
        return []
    if first.kind != DATA:
        sink.gap(at, first.length)
        return [("damaged" if first.kind == LOST else "unread", at, first.length, first.reason or NOT_READ)]
    lacking, places = [], []
    for each in batch:
        there = sink.holds(at, each.length)
        if len(there) != each.length or artifact.digest(there) != each.digest:
            lacking.append(each)
            places.append(at)
        at += each.length
    lost: list[_Loss] = []
    with _memories.one() as memory:
        for each, place, data in zip(lacking, places, chunks.read(store, lacking, memory)):
            if isinstance(data, AslError):
                sink.gap(place, each.length)
                lost.append(("damaged", place, each.length, str(data)))
            else:
                sink.write(place, data)
    return lost


def _joined(wanted: Iterable[Range]) -> Iterator[Range]:
    """WANTED with neighbouring ranges joined that are not there for the same reason: one loss each."""
    last: Optional[Range] = None
    for each in wanted:
        if last is not None and each.kind != DATA and (each.kind, each.reason) == (last.kind, last.reason):
            last = last._replace(length=last.length + each.length)
            continue
        if last is not None:
            yield last
        last = each
    if last is not None:
        yield last


def is_held(wanted: Iterable[Range], fd: int) -> bool:
    """True when the file FD holds exactly this content already, byte for byte by the digests."""
    file, at = sinks.OldFile(fd), 0
    for each in wanted:
        if each.kind == LOST:
            return False
        if each.kind == DATA:
            there = file.holds(at, each.length)
            if len(there) != each.length or artifact.digest(there) != each.digest:
                return False
        elif not _reads_as_zeros(file, at, each.length):
            return False
        at += each.length
    return at == os.fstat(fd).st_size


def _reads_as_zeros(file: sinks.OldFile, at: int, length: int) -> bool:
    end = at + length
    while at < end:
        there = file.holds(at, min(READ_SIZE, end - at))
        if not there or there.count(0) != len(there):
            return False
        at += len(there)
    return True


def restore_content(
    store: Payloads, digest: bytes, path: str, *, size: int, device: bool = False, overwrite: bool = False, serial: Optional[str] = None,
    verify: bool = False, progress: Optional[Callable[[RestoreResult], None]] = None,
) -> RestoreResult:  # fmt: skip
    """Write the recipe DIGEST, SIZE bytes, to the file PATH or with DEVICE onto the block device PATH.

    Raises Refused for what is there already and differs unless OVERWRITE, for a device that holds other data unless SERIAL names it, and
    always for one that is in use or too small. With OVERWRITE what is right already is not written again: a restore that was stopped
    goes on.
    VERIFY: read everything again from the disk behind the last write; what is not as it should be is a loss."""
    result = RestoreResult(path, progress=progress)
    there = device or os.path.lexists(path)
    fd, sink = _open(store, digest, path, size=size, device=device, overwrite=overwrite, serial=serial)

    def lose(what: str, at: int, length: int, reason: str) -> None:
        result.lose(what, f"{path}: {length} bytes at {at}", reason)

    def step(length: int) -> None:
        result.bytes += length
        result.step()

    try:
        with ThreadPoolExecutor(workers(), "asl-restore") as pool:
            pour(store, ranges.recipe_ranges(store, digest, size), sink, lose, step, pool=pool)
        os.fsync(fd)
        if verify:
            drop_cache(fd, 0, 0)
            for at, length in _wrong(ranges.recipe_ranges(store, digest, size), fd):
                lose("not_written", at, length, "the disk gives other bytes back than were written")
            result.verified = True
    except OSError as error:
        raise fatal(error, path) or Unavailable(f"{path} cannot be written: {why(error)}", reason="WRITE_FAILED") from error
    finally:
        os.close(fd)
    result.files, result.skipped = 1, int(there and not (sink.written or sink.resized))
    if not result.skipped:
        result.changes.add(path, REPLACE if there else MAKE)
    return result


def _open(
    store: Payloads, digest: bytes, path: str, *, size: int, device: bool, overwrite: bool, serial: Optional[str]
) -> tuple[int, Sink]:
    """The destination. What must not be overwritten is opened all the same where there is nothing to write. Raises as restore_content."""
    try:
        return targets.open_device(path, size, overwrite=overwrite, serial=serial) if device else targets.open_file(path, overwrite)
    except Refused as error:
        if error.reason not in ("EXISTS", "SERIAL_NEEDED"):
            raise
        fd, sink = targets.open_device(path, size, sure=True) if device else targets.open_file(path, True)
        if not _differs(store, digest, size, fd, device=device):
            return fd, sink
        os.close(fd)
        raise


def content_changes(
    store: Payloads, digest: bytes, path: str, *, size: int, device: bool = False, overwrite: bool = False, serial: Optional[str] = None
) -> Changes:
    """What restore_content() with these arguments would change. Refuses what it would refuse. Writes nothing."""
    changes = Changes()
    if not device and not os.path.lexists(path):
        changes.add(path, MAKE)
        return changes
    fd, _sink = _open(store, digest, path, size=size, device=device, overwrite=overwrite, serial=serial)
    try:
        if _differs(store, digest, size, fd, device=device):
            changes.add(path, REPLACE)
    finally:
        os.close(fd)
    return changes


def _differs(store: Payloads, digest: bytes, size: int, fd: int, *, device: bool) -> bool:
    """True where a restore would write to FD. Bytes that nobody knows become zeros in a file; on a device they stay as they are."""
    if not device and os.fstat(fd).st_size != size:
        return True
    file, at = sinks.OldFile(fd), 0
    for each in ranges.recipe_ranges(store, digest, size):
        there = file.holds(at, each.length) if each.kind == DATA else b""
        if each.kind != DATA or len(there) != each.length or artifact.digest(there) != each.digest:
            if each.kind == DATA and _is_whole(store, each):
                return True
            if (each.kind == HOLE or not device) and not _reads_as_zeros(file, at, each.length):
                return True
        at += each.length
    return False


def _is_whole(store: Payloads, wanted: Range) -> bool:
    with _memories.one() as memory:
        return not isinstance(chunks.read(store, [wanted], memory)[0], AslError)


def _wrong(wanted: Iterable[Range], fd: int) -> Iterator[tuple[int, int]]:
    """(offset, length) of each chunk and hole that FD does not give back."""
    file, at = sinks.OldFile(fd), 0
    for each in wanted:
        if each.kind == DATA:
            there = file.holds(at, each.length)
            if len(there) != each.length or artifact.digest(there) != each.digest:
                yield at, each.length
        elif each.kind == HOLE and not _reads_as_zeros(file, at, each.length):
            yield at, each.length
        at += each.length


def workers() -> int:
    """Threads of a restore: one for each CPU this process may use, 16 at most."""
    return min(16, len(os.sched_getaffinity(0)))
