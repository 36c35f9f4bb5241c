# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writing: put artifacts, make them visible, seal snapshots. Many writers may write to one store at once.

The order of every commit, and what a crash leaves after each step:
 1. the blocks           blocks nobody names: the next writer takes them in (adopt)
 2. barrier, the segment  a segment the log does not know: invisible
 3. barrier, the record   committed; the caller was not told, asks again and finds it done
 4. barrier, meta/head    acknowledged
Invariant: a name never becomes readable before what it names is behind a barrier.
A failed write or barrier is final for the writer: the kernel may have dropped the dirty pages and call the next one a success.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, Optional

from asl import kernel
from asl.backends import layout
from asl.backends.base import Adds
from asl.errors import AslError, Conflict, Unavailable
from asl.formats import artifact, records, segment
from asl.formats import log as log_format
from asl.formats.artifact import Buffer
from asl.formats.snapshot import About, Checkpoint
from asl.kernel import Spans
from asl.names import Digest
from asl.store import adopt, marker, merge, recovery
from asl.store.frames import Compression
from asl.store.packer import Packer, Sealed
from asl.store.reader import Reader
from asl.store.state import Snapshot, State, find_equal

DEFAULT_BLOCK_SIZE = 64 * 1024 * 1024
# An artifact from this size on is not packed with others: it gets blocks of its own.
LARGE = 8 * 1024 * 1024
# Sealed blocks between two commits: 1 GiB at the default size. A kill loses nothing stored, only the work of adopting them.
BLOCKS_PER_COMMIT = 16
# Artifacts between two commits, at most about so many: each costs some 300 bytes of memory until it is in a segment.
ARTIFACTS_PER_COMMIT = 100_000
# Attempts to append where no lock keeps other writers off; each one lost is one of theirs won.
MOST_RACES = 1000


class Writer(Reader):
    """A reader that can add. One thread at a time. Use as a context manager; leaving it without commit() abandons open work."""

    backend: Adds
    reads_back: ClassVar[bool] = True
    """What was put can be read again, and records can be added to the log."""

    def __init__(
        self, backend: Adds, *, block_size: int = DEFAULT_BLOCK_SIZE, adopting: bool = True, compression: Optional[Compression] = None
    ) -> None:
        """ADOPTING: take in blocks that no segment names. A gateway does not: its clients send the segments of their blocks later."""
        super().__init__(backend, State())
        self._packer = Packer(backend, block_size, compression)
        self._pending: dict[Digest, Optional[segment.Location]] = {}
        self._sealed_blocks = 0
        self._broken: Optional[AslError] = None
        self.bytes_stored = 0
        self.receipt: Optional[dict[str, Any]] = None  # what a gateway signs; none is given here
        self.found_later: Callable[[int], None] = lambda length: None  # see store.remote; never called here
        with self._guard(), backend.lock():
            self.state = recovery.load(backend)
            recovery.repair_tail(backend, self.state)
            recovery.settle(backend, self.state)
            recovery.write_missing_checkpoint(backend, self.state)
            backend.sweep()
        self.index.follow(self.state)
        self.adopted = self._adopt() if adopting else 0

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._packer.abandon()

    @property
    def store_id(self) -> str:
        """The id of the store."""
        return marker.check(self.backend)

    def learn(self, digests: Iterable[bytes]) -> None:
        """DIGESTS will be asked for with has(). There is nothing to be prepared here; a remote store asks for all of them at once."""

    def has(self, digest: bytes) -> bool:
        """True when the artifact is visible, or will be after the next commit()."""
        return digest in self._pending or super().has(digest)

    def have(self, digests: bytes) -> bytes:
        """has() for each of the digests that stand one behind the other in DIGESTS: one byte each, 1 or 0."""
        found = bytearray(self.index.known(digests))
        for number, there in enumerate(found):
            digest = Digest(digests[32 * number : 32 * number + 32])
            if not there:
                found[number] = digest in self._pending
            elif self.state.tombstones:
                found[number] = self.has(digest)
        return bytes(found)

    def put(self, payload: Buffer, type_tag: Optional[int] = None) -> Digest:
        """Store an artifact and return its digest. Visible after commit(). Raises Unavailable."""
        digest = artifact.digest(payload, type_tag)
        self.add(digest, payload, type_tag)
        return digest

    def add(self, digest: Digest, payload: Buffer, type_tag: Optional[int] = None, *, again: bool = False) -> bool:
        """Store the artifact with DIGEST, which the caller has computed; True when it was new. AGAIN: also when it is there."""
        if not again and self.has(digest):
            return False
        head = artifact.header(len(payload), type_tag)
        if len(payload) >= LARGE:
            self.add_parts(digest, _parts(head, payload))
            return True
        with self._guard():
            self._pending[digest] = None
            self._packer.add(digest, head, payload)
            self._settle()
        return True

    def add_chunks(self, data: Buffer, spans: Spans, digests: bytes, done: Callable[[], None]) -> bytes:
        """Store untagged artifacts in one go: these spans of DATA, which have these DIGESTS. One byte for each: 1 when it was new.

        DATA must not change before DONE is called, which may happen in any thread, and before this returns."""
        known, hidden, pending, longest = self.index.known(digests), self.state.tombstones, self._pending, LARGE
        chosen: list[tuple[bytes, int, int]] = []
        new = bytearray(len(known))
        for number, there in enumerate(known):
            digest = Digest(digests[32 * number : 32 * number + 32])
            if digest in pending or (there and not (hidden and self.state.hidden(digest))):
                continue
            start, end = spans[2 * number], spans[2 * number + 1]
            new[number] = 1
            if end - start >= longest:
                self.add_parts(digest, _parts(artifact.header(end - start), memoryview(data)[start:end]))
                continue
            pending[digest] = None
            chosen.append((digest, start, end))
        if not chosen:
            done()
            return bytes(new)
        with self._guard():
            self._packer.add_chunks(data, chosen, done)
            self._settle()
        return bytes(new)

    def _settle(self) -> None:
        """Note which blocks were published, and commit when there is much that only this process knows."""
        for sealed in self._packer.sealed():
            self._took(sealed)
        if self._sealed_blocks >= BLOCKS_PER_COMMIT or len(self._pending) >= ARTIFACTS_PER_COMMIT:
            self._commit()

    def add_parts(self, digest: Digest, parts: Iterable[Buffer]) -> None:
        """Store the artifact with DIGEST whose encoding PARTS make up, each in a block of its own. When PARTS raises, nothing is
        added."""
        extents, at = [], 0
        for part in parts:
            with self._guard():
                block_id, size = self._packer.part(digest, at, part)
            extents.append(segment.Extent(block_id, 0, len(part)))
            self.bytes_stored += size
            at += len(part)
        self._pending[digest] = extents
        self._sealed_blocks += 1
        if self._sealed_blocks >= BLOCKS_PER_COMMIT:
            self.commit()

    def _took(self, sealed: Sealed) -> None:
        self.bytes_stored += sealed.stored_size
        self._sealed_blocks += 1
        for digest, offset, length in sealed.artifacts:
            self._pending[Digest(digest)] = (segment.Extent(sealed.block, offset, length),)

    def get(self, digest: bytes) -> artifact.Artifact:
        """As Reader.get; what was put and not committed yet is committed first."""
        if digest in self._pending:
            self.commit()
        return super().get(digest)

    def commit(self) -> State:
        """Make every artifact put so far visible, all or none. Returns the state that shows them. Raises Unavailable.

        Also when there was nothing to add: whatever others made visible before this returns is durable then."""
        with self._guard():
            if not self._commit():
                self._append([])
        return self.state

    def _commit(self) -> bool:
        for sealed in self._packer.flush():
            self._took(sealed)
        entries = [(digest, location) for digest, location in self._pending.items() if location]
        if entries:
            self.backend.barrier()
            data = segment.encode(entries, kernel.load().filter)
            seal = self._publish_segment(lambda: (data,))
            self.backend.barrier()
            self._append_what(lambda: self._sealing(seal))
        self._pending.clear()
        self._sealed_blocks = 0
        return bool(entries)

    def _publish_segment(self, make: Callable[[], Iterable[bytes]]) -> records.Seal:
        """Give what MAKE makes the next free segment id: create-only settles it between writers. MAKE may be called more than once."""
        taken = [layout.parse_number(name) or 0 for name in self.backend.names("segments")]
        segment_id = max([*taken, *self.state.segments], default=0) + 1
        while True:
            staged, hasher = self.backend.stage(), hashlib.sha256()
            try:
                for piece in make():
                    staged.write(piece)
                    hasher.update(piece)
                staged.publish(layout.segment(segment_id))
            except Conflict:
                segment_id += 1
            else:
                return records.Seal(segment_id, hasher.digest())
            finally:
                staged.drop()

    def _append(self, payloads: Sequence[tuple[int, bytes]]) -> None:
        self._append_what(lambda: payloads)

    def _append_what(self, make: Callable[[], Sequence[tuple[int, bytes]]]) -> None:
        """Append the records that MAKE gives for the state it finds."""
        with self.backend.lock():
            self._append_made(make)
        self.index.follow(self.state)

    def _append_made(self, make: Callable[[], Sequence[tuple[int, bytes]]]) -> None:
        """As _append_what(), within the lock. The records are made anew when another writer was first all the same: where a backend
        has no lock, create-only decides."""
        for _race in range(MOST_RACES):
            self._catch_up()
            try:
                return self._append_locked(make())
            except Conflict:  # also when the answer to our own append was lost: MAKE sees it in the state
                continue
        raise Unavailable(f"{self.backend.location}: the log grows faster than it can be added to", reason="BUSY", hint="try again")

    def _sealing(self, seal: records.Seal) -> Sequence[tuple[int, bytes]]:
        """The record that makes the segment of SEAL visible, unless it is."""
        if self.state.segments.get(seal.segment_id) == seal.segment_hash:
            return []
        return [(records.SEGMENT_SEAL, seal.encode())]

    def add_segment(self, data: bytes) -> int:
        """Make the segment DATA visible, which somebody else has built over blocks that are durable; its id. Raises Unavailable.

        Asked again with the same bytes it finds them sealed, and appends nothing."""
        digest = hashlib.sha256(data).digest()
        with self._guard():
            self.refresh()
            for number, known in self.state.segments.items():
                if known == digest:
                    return number
            seal = self._publish_segment(lambda: (data,))
            self.backend.barrier()
            self._append_what(lambda: self._sealing(seal))
        return seal.segment_id

    def _catch_up(self) -> None:
        recovery.refresh(self.backend, self.state)
        recovery.repair_tail(self.backend, self.state)

    def _append_locked(self, payloads: Sequence[tuple[int, bytes]]) -> None:
        start, position, data = self.state.position, self.state.position, b""
        for kind, payload in payloads:
            record, position = log_format.encode(position, kind, payload)
            data += record
        self.backend.append(layout.LOG, data, start.offset)
        self.backend.barrier()
        self.state.replay(log_format.records(data, start))
        self.backend.replace_head(recovery.encode_head(self.state.position))

    def find_sealed(self, about: About) -> Optional[Snapshot]:
        """The sealed snapshot with the content, sources and labels of ABOUT, the newest of them; None when there is none."""
        return find_equal(recovery.load(self.backend, full=True).snapshots, about)

    def seal_snapshot(self, about: About) -> Snapshot:
        """Commit, and seal what ABOUT names as the next snapshot. Acknowledged when this returns. Raises Unavailable."""
        with self._guard():
            self._commit()
            merge.merge_segments(self)
            made: list[Checkpoint] = []

            def anchor() -> Sequence[tuple[int, bytes]]:
                if made and any(each.id == made[0].snapshot and each.about == about for each in self.state.snapshots):
                    return []
                made[:] = [self.state.checkpoint()]
                root = hashlib.sha256(made[0].encode()).digest()
                return [(records.SNAPSHOT_ANCHOR, records.Anchor(made[0].snapshot, root, about.encode()).encode())]

            with self.backend.lock():
                self._append_made(anchor)
                with contextlib.suppress(Conflict):  # another writer saw it missing, and wrote the very same file
                    self.backend.create(layout.snapshot(made[0].snapshot), made[0].encode())
                self.backend.barrier()
            self.index.follow(self.state)
        return next(each for each in reversed(self.state.snapshots) if each.id == made[0].snapshot)

    def replace_segments(self, old: Sequence[int], make: Callable[[], Iterable[bytes]]) -> None:
        """Make the segment visible whose bytes MAKE makes, and OLD invisible, in one step. Used by merge."""
        seal = self._publish_segment(make)
        self.backend.barrier()

        def drop() -> Sequence[tuple[int, bytes]]:
            if not all(number in self.state.segments for number in old):
                return []  # another writer merged them meanwhile
            return [(records.SEGMENT_SEAL, seal.encode()), (records.SEGMENT_DROP, records.encode_drop(old))]

        self._append_what(drop)

    def record(self, kind: int, payload: bytes) -> None:
        """Append one record of policy (tombstone, lift, pin, unpin)."""
        with self._guard():
            self._append([(kind, payload)])

    def _adopt(self) -> int:
        """Take in sealed blocks that no segment names: what a killed writer had stored. The number of artifacts."""
        found = adopt.adoptable(self.backend, self.index.blocks())
        for digest, location in found:
            if not self.has(digest):
                self._pending[digest] = location
                for extent in location:
                    self.backend.ensure(layout.block(extent.block))
        return len(found)

    @contextmanager
    def _guard(self) -> Iterator[None]:
        """Refuse everything after a failure: what is durable is not known until the store is opened anew."""
        if self._broken is not None:
            raise Unavailable("a write to the store failed earlier in this process; open it anew", reason="STORE_BROKEN") from self._broken
        try:
            yield
        except Unavailable as error:
            self._broken = error
            raise


def _parts(head: bytes, payload: Buffer) -> Iterator[Buffer]:
    """HEAD and PAYLOAD in parts of LARGE bytes."""
    view = memoryview(payload)
    first = LARGE - len(head)
    yield head + bytes(view[:first])
    for at in range(first, len(view), LARGE):
        yield view[at : at + LARGE]
