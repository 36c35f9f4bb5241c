# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packing: artifacts one behind the other into blocks, written and hashed in a thread of their own.

One block is open at a time. Its bytes go to a staged file as they come, so memory is bounded by the queue, not by the block.
"""

from __future__ import annotations

import hashlib
import queue
import threading
from typing import NamedTuple, Optional

from asl.backends import layout
from asl.backends.base import Adds, Staged
from asl.errors import Conflict
from asl.formats import block
from asl.formats.artifact import Buffer
from asl.names import BlockID

# Bytes collected before they are handed to the writing thread, and how many such pieces may wait: 8 MiB in flight at most.
_PIECE, _WAITING = 1024 * 1024, 8


class Sealed(NamedTuple):
    """A block that is published: its name and the tokens of the artifacts in it, as (token, offset, length)."""

    block: BlockID
    artifacts: list[tuple[bytes, int, int]]
    stored_size: int


class _OpenBlock:
    """The block that is being filled. Only the writing thread touches `_staged` and `_hash`."""

    def __init__(self, staged: Staged, header: block.Header) -> None:
        self._staged, self._hash = staged, hashlib.sha256()
        self._pieces: queue.Queue[Optional[bytes]] = queue.Queue(_WAITING)
        self._error: Optional[BaseException] = None
        self._buffer = bytearray(header.encode())
        self.plain_size = 0
        self.artifacts: list[tuple[bytes, int, int]] = []
        self._thread = threading.Thread(target=self._work, name="asl-block", daemon=True)
        self._thread.start()

    def _work(self) -> None:
        while True:
            piece = self._pieces.get()
            if piece is None:
                return
            if self._error is None:
                try:
                    self._hash.update(piece)
                    self._staged.write(piece)
                except BaseException as error:  # handed to the thread that waits for it
                    self._error = error

    def add(self, head: bytes, body: Buffer) -> int:
        """Append one artifact; its offset in the plain content."""
        if self._error is not None:
            raise self._error
        offset = self.plain_size
        self._buffer += head
        self._buffer += body
        self.plain_size += len(head) + len(body)
        if len(self._buffer) >= _PIECE:
            self._flush()
        return offset

    def _flush(self) -> None:
        self._pieces.put(bytes(self._buffer))
        self._buffer.clear()

    def finish(self, offsets: list[int]) -> tuple[BlockID, int]:
        """Write the tables and wait for the thread: the block's name and stored size. Raises what the thread met."""
        self._buffer += block.encode_tail(self.plain_size, self.plain_size, offsets)
        size = block.HEADER.size + self.plain_size + 4 * len(offsets) + block.TRAILER.size
        self._flush()
        self.stop()
        if self._error is not None:
            raise self._error
        return BlockID(self._hash.digest()), size

    def stop(self) -> None:
        """End the thread."""
        self._pieces.put(None)
        self._thread.join()


class Packer:
    """Fills and seals blocks. One thread."""

    def __init__(self, backend: Adds, block_size: int) -> None:
        self._backend = backend
        self._block_size = block_size
        self._open: Optional[_OpenBlock] = None
        self._staged: Optional[Staged] = None

    def add(self, digest: bytes, head: bytes, body: Buffer) -> Optional[Sealed]:
        """Append an artifact that fits into a block; the block that was sealed to make room, if any."""
        sealed = None
        if self._open and self._open.plain_size + len(head) + len(body) > self._block_size:
            sealed = self.seal()
        if self._open is None:
            self._staged = self._backend.stage()
            self._open = _OpenBlock(self._staged, block.Header())
        offset = self._open.add(head, body)
        self._open.artifacts.append((digest, offset, len(head) + len(body)))
        return sealed

    def seal(self) -> Optional[Sealed]:
        """Publish the open block, if there is one."""
        if self._open is None or self._staged is None:
            return None
        filled, staged = self._open, self._staged
        self._open = self._staged = None
        try:
            block_id, size = filled.finish([offset for _, offset, _ in filled.artifacts])
            self._publish(staged, block_id)
        finally:
            staged.drop()
        return Sealed(block_id, filled.artifacts, size)

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
        try:
            staged.publish(layout.block(block_id))
        except Conflict:  # equal name, equal bytes: somebody stored the very same block, and may have died before his barrier
            self._backend.ensure(layout.block(block_id))
        # Blocks become durable in their order: what a block refers to lies in itself or in a block that is there as well, so
        # that a later writer may take in blocks nobody names.
        self._backend.barrier()

    def abandon(self) -> None:
        """Drop the open block: nothing was promised about it."""
        if self._open:
            self._open.stop()
        if self._staged:
            self._staged.drop()
        self._open = self._staged = None
