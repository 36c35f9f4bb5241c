# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writing a run of bytes, and the restore of a disk or a stream into a file or onto a device.

There is one comparison of what is wanted with what is there: pour(). Into a sink that only tells where it would write, it is the
prediction, the question whether all is there already, and the check of what was written."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import NoReturn, Optional, Union

from asl.errors import AslError, Unavailable
from asl.formats import artifact
from asl.formats.artifact import Buffer
from asl.restore import chunks, ranges, sinks, targets
from asl.restore.chunks import Memories
from asl.restore.ranges import DATA, HOLE, LOST, Range
from asl.restore.result import MAKE, REPLACE, Changes, RestoreResult, fatal
from asl.restore.threads import stop, workers
from asl.sources.base import why
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
    goes on, both in order. POOL: batches of chunks are read, checked and written in its threads; none of them uses the sink any more
    when this returns or raises."""
    at, waiting = 0, deque[tuple[int, "Future[list[_Loss]]"]]()

    def settle() -> None:
        length, done = waiting[0]
        losses = done.result()  # an interrupt leaves it in the line, to be waited for
        waiting.popleft()
        for loss in losses:
            lose(*loss)
        step(length)

    try:
        for batch in _batches(_joined(wanted)):
            length = sum(each.length for each in batch)
            waiting.append((length, _submit(pool, store, batch, at, sink)))
            at += length
            if pool is None or len(waiting) > WAITING:
                settle()
        while waiting:
            settle()
    except BaseException:
        stop(done for _length, done in waiting)
        raise
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
    if not lacking:
        return lost
    with _memories.one() as memory:
        begin = end = at
        good: list[Buffer] = []  # lies one behind the other from BEGIN up to END, and is written together
        for each, place, data in zip(lacking, places, chunks.read(store, lacking, memory)):
            if isinstance(data, AslError) or place != end:
                sink.write(begin, good)
                begin, end, good = place, place, []
            if isinstance(data, AslError):
                sink.gap(place, each.length)
                lost.append(("damaged", place, each.length, str(data)))
            else:
                good.append(data)
                end = place + each.length
        sink.write(begin, good)
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


class _Different(Exception):
    """There is something to write."""


def _is_different(_at: int, _length: int) -> NoReturn:
    raise _Different


def _nothing(*_told: object) -> None:
    pass


def is_held(store: Payloads, wanted: Iterable[Range], fd: int, lose: Lose) -> bool:
    """True when a restore would write nothing to the file FD: it holds this content, and zeros where nobody has it any more. LOSE as in
    pour(), up to the first difference."""
    try:
        pour(store, wanted, sinks.SeenFile(fd, _is_different), lose, _nothing)
    except _Different:
        return False
    return True


def restore_content(
    store: Payloads, digest: bytes, path: str, *, size: int, device: bool = False, overwrite: bool = False, serial: Optional[str] = None,
    verify: bool = False, progress: Optional[Callable[[RestoreResult], None]] = None,
) -> RestoreResult:  # fmt: skip
    """Write the recipe DIGEST, SIZE bytes, to the file PATH or with DEVICE onto the block device PATH.

    Raises Refused for what is there already and differs unless OVERWRITE, for a device that holds other data unless SERIAL names it, and
    always for one that is in use or too small. What must not be overwritten is never open for writing: it is compared, and the first
    difference is the refusal. With OVERWRITE what is right already is not written again: a restore that was stopped goes on.
    VERIFY: read everything again from the disk behind the last write; what is not as it should be is a loss."""
    result = RestoreResult(path, progress=progress)
    there = device or os.path.lexists(path)
    fd, sink = _open(path, size, there=there, device=device, overwrite=overwrite, serial=serial)

    def lose(what: str, at: int, length: int, reason: str) -> None:
        result.lose(what, f"{path}: {length} bytes at {at}", reason)

    def step(length: int) -> None:
        result.bytes += length
        result.step()

    def spoilt(at: int, length: int) -> None:
        lose("not_written", at, length, "the disk gives other bytes back than were written")

    try:
        with ThreadPoolExecutor(workers(), "asl-restore") as pool:
            pour(store, ranges.recipe_ranges(store, digest, size), sink, lose, step, pool=pool)
        sink.sync()
        if verify:
            drop_cache(fd, 0, 0)
            pour(store, ranges.recipe_ranges(store, digest, size), _seen(fd, device, spoilt), _nothing, _nothing)
            result.verified = True
    except OSError as error:
        raise fatal(error, path) or Unavailable(f"{path} cannot be written: {why(error)}", reason="WRITE_FAILED") from error
    finally:
        os.close(fd)
    result.files, result.skipped = 1, int(there and not (sink.written or sink.resized))
    if not result.skipped:
        result.changes.add(path, REPLACE if there else MAKE)
    return result


def _open(path: str, size: int, *, there: bool, device: bool, overwrite: bool, serial: Optional[str]) -> tuple[int, Sink]:
    """The destination: new, or open for writing, or where nobody consented to that, one that is only read, whose first difference raises
    the refusal. Raises as restore_content()."""
    if not there:
        return targets.create(path)
    fd, refused = targets.look(path, size, device=device, overwrite=overwrite, serial=serial)
    if refused is None:
        os.close(fd)
        return targets.change(path, size, device=device, overwrite=overwrite, serial=serial)
    refusal = refused

    def refuse(_at: int, _length: int) -> NoReturn:
        raise refusal

    return fd, _seen(fd, device, refuse)


def _seen(fd: int, device: bool, told: sinks.Told) -> Sink:
    return sinks.SeenDevice(fd, told) if device else sinks.SeenFile(fd, told)


def content_changes(
    store: Payloads, digest: bytes, path: str, *, size: int, device: bool = False, overwrite: bool = False, serial: Optional[str] = None
) -> Changes:
    """What restore_content() with these arguments would change. Refuses what it would refuse, at the first difference. Writes nothing."""
    changes = Changes()
    if not device and not os.path.lexists(path):
        changes.add(path, MAKE)
        return changes
    fd, refused = targets.look(path, size, device=device, overwrite=overwrite, serial=serial)
    try:
        with ThreadPoolExecutor(workers(), "asl-restore") as pool:
            pour(store, ranges.recipe_ranges(store, digest, size), _seen(fd, device, _is_different), _nothing, _nothing, pool=pool)
    except _Different:
        if refused is not None:
            raise refused from None
        changes.add(path, REPLACE)
    finally:
        os.close(fd)
    return changes
