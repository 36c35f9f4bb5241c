# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Opening: from the bytes of a log to a state, after any crash.

Invariants that opening relies on and checks:
 1. A log record names only what was behind a barrier before it: blocks, then the segment, then the record.
 2. meta/head is replaced after the record is durable and before anyone is told: the log never ends before the head. Where it
    does, acknowledged records are gone, and that is damage, not a torn tail.
 3. snapshots/<id> holds the state just before its anchor, and the anchor holds its SHA-256: opening may start there.

A crash leaves: blocks nobody names (the next writer takes them in), a segment the log does not know (invisible), a log record
whose writer was not told (visible; the next writer makes it durable, then builds upon it), a torn tail (whatever stands behind
the head and breaks the chain: ignored; cut by the next writer), an anchor without its file (written by the next writer), files
in tmp/ (swept by the next writer).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Optional

from asl.backends import layout
from asl.backends.base import Adds, Reads
from asl.errors import AslError, Damaged, NotFound
from asl.formats import canonical, log, records
from asl.formats.log import Position, Record
from asl.formats.snapshot import Checkpoint
from asl.store.state import State


def encode_head(position: Position) -> bytes:
    """The bytes of meta/head for the acknowledged POSITION."""
    return canonical.encode({"logseq": position.logseq, "link": position.link.hex(), "offset": position.offset})


def read_head(backend: Reads) -> Position:
    """The last acknowledged position. Raises Damaged when the file is lost or is not what was written."""
    try:
        return decode_head(backend.read(layout.HEAD))
    except NotFound as error:
        raise Damaged(f"{backend.location}: meta/head is missing", reason="BAD_HEAD", hint="asl-debug check tells what is there") from error
    except Damaged as error:
        raise Damaged(f"{backend.location}: {error}", reason="BAD_HEAD", hint="asl-debug check tells more") from error


def decode_head(data: bytes) -> Position:
    """The position in DATA, the bytes of meta/head. Raises Damaged."""
    value = canonical.decode(data, "meta/head")
    try:
        found = Position(int(value["logseq"]), bytes.fromhex(value["link"]), int(value["offset"]))
    except (KeyError, TypeError, ValueError) as error:
        raise Damaged(f"meta/head makes no sense: {error}", reason="BAD_HEAD") from error
    if encode_head(found) != data:
        raise Damaged("meta/head is not as it was written", reason="BAD_HEAD")
    return found


def _newest_checkpoint(backend: Reads) -> Optional[Checkpoint]:
    """The newest snapshot file that is well formed; whether the log vouches for it is seen at replay."""
    for name in reversed([name for name in backend.names("snapshots") if layout.parse_number(name)]):
        try:
            return Checkpoint.decode(backend.read(name))
        except AslError:  # a way to be faster, not a witness: the log says it all
            continue
    return None


class HeadWitness:
    """Passes records through and notes whether the head's record is among them, with the head's link."""

    def __init__(self, head: Position, start: Position) -> None:
        self.head = head
        self.seen = head.logseq < start.logseq or head == start

    def watch(self, entries: Iterable[Record]) -> Iterable[Record]:
        """Yield ENTRIES. Raises Damaged when the record at the head's logseq is another one."""
        head = self.head
        awaited = head.logseq
        for record in entries:
            if record.logseq == awaited:
                if record.after != head:
                    raise Damaged(f"meta/head does not fit to log record {record.logseq}", reason="BAD_HEAD")
                self.seen = True
            yield record


def load(backend: Reads, *, full: bool = False) -> State:
    """The state of the store. With FULL from the first record on, so that every snapshot is in it. Raises Damaged, Unsupported."""
    head = read_head(backend)  # before the log: the log may grow meanwhile, but never shrinks below it
    log.check_header(backend.read(layout.LOG, 0, log.HEADER.size))
    if not full:
        state = _from_checkpoint(backend, head)
        if state:
            return state
    return _replay(backend, State(), head)


def _from_checkpoint(backend: Reads, head: Position) -> Optional[State]:
    checkpoint = _newest_checkpoint(backend)
    if checkpoint is None or checkpoint.position.logseq > head.logseq:
        return None
    anchor = backend.read(layout.LOG, checkpoint.position.offset, log.PREFIX.size + 48)
    root = hashlib.sha256(checkpoint.encode()).digest()
    if len(anchor) < log.PREFIX.size + 48 or anchor[log.PREFIX.size + 16 :] != root:
        return None
    try:
        return _replay(backend, State.of(checkpoint), head)
    except Damaged:
        return None  # the full replay says what is wrong


def _replay(backend: Reads, state: State, head: Position) -> State:
    start = state.position
    witness = HeadWitness(head, start)
    state.replay(witness.watch(log.records(backend.read(layout.LOG, start.offset), start, acknowledged=head.offset)))
    if not witness.seen:
        raise Damaged(
            f"{backend.location}: the log ends at record {state.position.logseq}, but record {head.logseq} was acknowledged",
            reason="LOG_CUT_SHORT",
            hint="restore logs/asl.log from a copy of the store; asl-debug check tells what is still there",
        )
    return state


def refresh(backend: Reads, state: State) -> State:
    """Apply what other writers have added since STATE. Only within the lock."""
    head = read_head(backend)
    return state.replay(log.records(backend.read(layout.LOG, state.position.offset), state.position, acknowledged=head.offset))


def repair_tail(backend: Adds, state: State) -> bool:
    """Cut a torn tail off the log, kept in tmp/. Only within the lock, with STATE fresh. True when there was one."""
    if backend.size(layout.LOG) == state.position.offset:
        return False
    backend.cut(layout.LOG, state.position.offset)
    return True


def settle(backend: Adds, state: State) -> None:
    """Make durable what a killed writer left to be seen, before anything is built upon it or answered from it. Only within the lock."""
    for name in (layout.MARKER, layout.LOG):
        backend.ensure(name)
    backend.append(layout.LOG, b"", state.position.offset)
    backend.barrier()
    if read_head(backend) != state.position:
        backend.replace_head(encode_head(state.position))


def write_missing_checkpoint(backend: Adds, state: State) -> bool:
    """Write the file of the newest snapshot when a crash came between its anchor and its file. Only within the lock.

    An older file that is missing was there once: that is damage, which store.check names, and not mended in passing.
    """
    name = layout.snapshot(state.last_snapshot)
    if not state.last_snapshot or name in set(backend.names("snapshots")):
        return False
    replayed = State()
    for record in log.records(backend.read(layout.LOG, log.HEADER.size)):
        if record.kind == records.SNAPSHOT_ANCHOR and replayed.last_snapshot + 1 == state.last_snapshot:
            backend.create(name, replayed.checkpoint().encode())
            backend.barrier()
            return True
        replayed.replay([record])
    return False
