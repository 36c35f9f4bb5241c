# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packing: artifacts one behind the other into blocks, hashed in one thread of their own and written in another.

One block is being filled, and one may be on its way out: its threads finish while the next one is filled. Chunks are written from
where they lie, without a copy, so memory is bounded by what waits, not by the block. To hash and to write takes longer than all else
together does on the other core, where one thread does both; so two do, each in order. Compressed blocks have one thread: what it hashes
and writes is little, and made by others (store.frames). Blocks are published in order, by the caller's
thread: a backend sees one thread at a time, but for the bytes of the objects in the making.
"""

from __future__ import annotations

import hashlib
import queue
import threading
from array import array
from collections.abc import Callable, Sequence
from typing import NamedTuple, Optional, Union

from asl import kernel
from asl.backends import layout
from asl.backends.base import Adds, OnFile, Staged
from asl.backends.posix import failure
from asl.errors import Conflict, NotFound
from asl.formats import artifact, block
from asl.formats.artifact import Buffer
from asl.names import BlockID
from asl.store.frames import Compression, Framer, need

# Bytes collected before they are handed to the threads, and how many such pieces (or batches of chunks) may wait.
_PIECE, _WAITING = 1024 * 1024, 6
_HEAD = artifact.UNTAGGED.size


class Sealed(NamedTuple):
    """A block that is published: its name, the artifacts in it as (digest, offset, length), its stored size."""

    block: BlockID
    artifacts: list[tuple[bytes, int, int]]
    stored_size: int


class Hold:
    """Counts who still needs the memory of a batch; calls DONE when nobody does any more. Begins with one holder."""

    def __init__(self, done: Callable[[], None]) -> None:
        self._done, self._count, self._mutex = done, 1, threading.Lock()

    def take(self) -> Hold:
        """One more holder."""
        with self._mutex:
            self._count += 1
        return self

    def drop(self) -> None:
        """One holder less."""
        with self._mutex:
            self._count -= 1
            last = self._count == 0
        if last:
            self._done()


class _Chunks(NamedTuple):
    """Chunks to be written from where they lie."""

    data: Buffer
    spans: array[int]
    hold: Hold


class _End(NamedTuple):
    """The compressed block is complete: what its tables are made of."""

    plain_size: int
    offsets: list[int]


_Piece = Union[bytes, _Chunks, _End]


class _Lane:
    """A thread that does WORK with each piece, in order. After an error it only takes what comes."""

    def __init__(self, name: str, work: Callable[[_Piece], None]) -> None:
        self._work = work
        self._pieces: queue.Queue[Optional[_Piece]] = queue.Queue(_WAITING)
        self.error: Optional[BaseException] = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while True:
            piece = self._pieces.get()
            if piece is None:
                return
            if self.error is None:
                try:
                    self._work(piece)
                except BaseException as error:  # handed to the thread that waits for it
                    self.error = error
            if isinstance(piece, _Chunks):
                piece.hold.drop()

    def put(self, piece: Optional[_Piece]) -> None:
        """PIECE comes next; None: nothing more."""
        self._pieces.put(piece)

    def join(self) -> None:
        """Wait for its end."""
        self._thread.join()

    def stop(self) -> None:
        """End it, unless it has ended."""
        if self._thread.is_alive():
            self._pieces.put(None)
            self._thread.join()


class _OpenBlock:
    """The block that is being filled, or that finishes. Only its threads touch `_sink`."""

    def __init__(self, location: str, staged: Staged, compression: Optional[Compression]) -> None:
        self.staged = staged
        self._location = location
        self._sink = kernel.load().sink(staged.write, staged.fileno() if isinstance(staged, OnFile) else None)
        self._framer = Framer(self._sink, need(), compression) if compression else None
        self._buffer = bytearray() if compression else bytearray(block.Header().encode())
        self._size = 0
        self.plain_size = 0
        self.artifacts: list[tuple[bytes, int, int]] = []
        self._lanes = [_Lane("asl-block", self._write)]
        if not compression:
            self._lanes.append(_Lane("asl-digest", self._hash))

    def _hash(self, piece: _Piece) -> None:
        if isinstance(piece, _Chunks):
            self._sink.hash_chunks(piece.data, piece.spans)
        elif isinstance(piece, bytes):
            self._sink.hash(piece)

    def _write(self, piece: _Piece) -> None:
        try:
            if isinstance(piece, _Chunks):
                (self._framer.chunks if self._framer else self._sink.write_chunks)(piece.data, piece.spans)
            elif isinstance(piece, bytes):
                (self._framer.put if self._framer else self._sink.write)(piece)
            elif self._framer:
                self._size = self._framer.end(piece.plain_size, piece.offsets)
        except OSError as error:
            raise failure(f"{self._location}: cannot write", error) from error

    def _put(self, piece: _Piece) -> None:
        for lane in self._lanes:
            lane.put(piece)

    def _check(self) -> None:
        """Raise what a thread met."""
        for lane in self._lanes:
            if lane.error is not None:
                raise lane.error

    def add(self, digest: bytes, head: bytes, body: Buffer) -> None:
        """Append one artifact. Raises what a thread met."""
        self._check()
        self.artifacts.append((digest, self.plain_size, len(head) + len(body)))
        self._buffer += head
        self._buffer += body
        self.plain_size += len(head) + len(body)
        if len(self._buffer) >= _PIECE:
            self._flush()

    def add_chunks(self, chunks: _Chunks) -> None:
        """Append untagged artifacts, which are noted in `artifacts` already. Raises what a thread met. Drops a hold."""
        try:
            self._check()
            self._flush()
            for lane in self._lanes:
                chunks.hold.take()
                lane.put(chunks)
        finally:
            chunks.hold.drop()

    def _flush(self) -> None:
        if self._buffer:
            self._put(bytes(self._buffer))
            self._buffer.clear()

    def end(self) -> None:
        """Let the threads write the tables and end by themselves."""
        offsets = [offset for _digest, offset, _length in self.artifacts]
        if self._framer:
            self._flush()
            self._put(_End(self.plain_size, offsets))
        else:
            tail = block.encode_tail(self.plain_size, self.plain_size, offsets)
            self._size = block.HEADER.size + self.plain_size + len(tail)
            self._buffer += tail
            self._flush()
        for lane in self._lanes:
            lane.put(None)

    def name(self) -> tuple[BlockID, int]:
        """Behind end(): wait for the threads; the name of the block and its stored size. Raises what they met."""
        for lane in self._lanes:
            lane.join()
        self._check()
        return BlockID(self._sink.digest()), self._size

    def stop(self) -> None:
        """End the threads, and drop the object."""
        for lane in self._lanes:
            lane.stop()
        self._lanes.clear()  # they know the block: its memory would wait for the collector of cycles
        self.staged.drop()


class Packer:
    """Fills and seals blocks. One thread."""

    def __init__(self, backend: Adds, block_size: int, compression: Optional[Compression] = None) -> None:
        """COMPRESSION: None means plain blocks. Raises Unavailable where there is no libzstd."""
        if compression:
            need()
        self._compression = compression
        self._backend = backend
        self._block_size = block_size
        self._open: Optional[_OpenBlock] = None
        self._ending: Optional[_OpenBlock] = None
        self._sealed: list[Sealed] = []

    def add(self, digest: bytes, head: bytes, body: Buffer) -> None:
        """Append an artifact that fits into a block."""
        self._room(len(head) + len(body)).add(digest, head, body)

    def add_chunks(self, data: Buffer, chosen: Sequence[tuple[bytes, int, int]], done: Callable[[], None]) -> None:
        """Append untagged artifacts: (digest, start, end) in DATA, which must not change before DONE is called, from any thread."""
        hold = Hold(done)
        spans: array[int] = array("Q")
        into: Optional[_OpenBlock] = None
        try:
            for digest, start, end in chosen:
                size = _HEAD + end - start
                if into is None or into.plain_size + size > self._block_size:
                    if into is not None:
                        into.add_chunks(_Chunks(data, spans, hold.take()))
                        spans = array("Q")
                    into = self._room(size)
                into.artifacts.append((digest, into.plain_size, size))
                into.plain_size += size
                spans.extend((start, end))
            if into is not None:
                into.add_chunks(_Chunks(data, spans, hold.take()))
        finally:
            hold.drop()

    def _room(self, size: int) -> _OpenBlock:
        """The block that SIZE more bytes go into. One that ends is published when the next one is half full: not yet done, it would
        be waited for."""
        if self._open and self._open.plain_size + size > self._block_size:
            self._end()
        if self._open is None:
            self._open = _OpenBlock(self._backend.location, self._backend.stage(), self._compression)
        elif self._ending and 2 * self._open.plain_size > self._block_size:
            self._publish_ending()
        return self._open

    def _end(self) -> None:
        self._publish_ending()
        if self._open is not None:
            self._ending, self._open = self._open, None
            self._ending.end()

    def _publish_ending(self) -> None:
        if self._ending is None:
            return
        ending, self._ending = self._ending, None
        try:
            block_id, size = ending.name()
            self._publish(ending.staged, block_id)
        finally:
            ending.stop()
        self._sealed.append(Sealed(block_id, ending.artifacts, size))

    def sealed(self) -> list[Sealed]:
        """The blocks that were published since this was asked last, in order."""
        found, self._sealed = self._sealed, []
        return found

    def flush(self) -> list[Sealed]:
        """Publish every block that is open: all that sealed() has not told yet."""
        self._end()
        self._publish_ending()
        return self.sealed()

    def part(self, digest: bytes, offset: int, data: Buffer) -> tuple[BlockID, int]:
        """Publish one part of a large artifact, OFFSET bytes into its encoding; the block's name and stored size."""
        header = block.Header(kind=block.PART, part_offset=offset, part_of=digest).encode()
        tail = block.encode_tail(len(data), len(data), ())
        hasher = hashlib.sha256(header)
        hasher.update(data)
        hasher.update(tail)
        staged = self._backend.stage()
        try:
            for piece in (header, data, tail):
                staged.write(piece)
            self._publish(staged, BlockID(hasher.digest()))
        finally:
            staged.drop()
        return BlockID(hasher.digest()), len(header) + len(data) + len(tail)

    def _publish(self, staged: Staged, block_id: BlockID) -> None:
        self._clear(block_id)
        try:
            staged.publish(layout.block(block_id))
        except Conflict:  # equal name, equal bytes: somebody stored the very same block, and may have died before his barrier
            self._backend.ensure(layout.block(block_id))
        # Blocks become durable in their order: what a block refers to lies in itself or in a block that is there as well, so
        # that a later writer may take in blocks nobody names.
        self._backend.barrier()

    def _clear(self, block_id: BlockID) -> None:
        """What has the name of a block and is not that block must not pass for it."""
        name = layout.block(block_id)
        try:
            self._backend.size(name)
        except NotFound:
            return
        if hashlib.sha256(self._backend.read(name)).digest() != block_id:
            self._backend.set_aside(name)

    def abandon(self) -> None:
        """Drop what is open: nothing was promised about it."""
        for each in (self._open, self._ending):
            if each is not None:
                each.stop()
        self._open = self._ending = None
