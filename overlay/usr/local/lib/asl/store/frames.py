# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compressed blocks: the plain content in frames of equal size, each compressed by itself.

Extents always count plain bytes (docs/formats.md, block): the seek table says where the frames lie that hold them. Frames are
compressed side by side and written in order. Frame by frame libzstd keeps as it is what does not shrink, at 34 bytes and a
fraction of the time. A block is written plain, which is read back faster still, when nothing at its beginning shrinks.
"""

from __future__ import annotations

import functools
import itertools
import os
from collections import OrderedDict, deque
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple, Optional, Union

from asl.backends import layout
from asl.backends.base import Reads
from asl.errors import Damaged, Unavailable, Unsupported
from asl.formats import artifact, block
from asl.kernel import Sink, Spans, zstd
from asl.names import BlockID

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

# Plain bytes in a frame: large enough for a good ratio, small enough that one chunk costs a millisecond.
FRAME = 1024 * 1024
# A frame that keeps more than this share of its size does not shrink. When so many at the beginning of a block do not, the block is
# plain (the probe). Fewer would give up whole blocks for one archive; more would be held in memory.
WORTH, LOOK = 0.95, 8
# Frames that are kept decompressed: chunks that lie together are mostly asked for together.
KEPT = 8
# Blocks whose seek tables are remembered.
_TABLES = 64
Data = Union[bytes, bytearray, memoryview]


class Compression(NamedTuple):
    """How blocks are compressed: the LEVEL of zstd, and whether a block may stay plain that is not worth it (PROBE)."""

    level: int = zstd.LEVEL
    probe: bool = True


@functools.cache
def _pool() -> ThreadPoolExecutor:
    """The threads that compress: one for all writers of the process."""
    from concurrent.futures import ThreadPoolExecutor

    return ThreadPoolExecutor(len(os.sched_getaffinity(0)), "asl-zstd")


def need() -> zstd.Zstd:
    """libzstd. Raises Unavailable."""
    found = zstd.find()
    if found is None:
        raise Unavailable(
            "blocks cannot be compressed: there is no libzstd on this host",
            reason="NO_ZSTD",
            hint="install libzstd1, or set block.compression = off",
        )
    return found


def decompress(frame: bytes, size: int) -> bytes:
    """The SIZE plain bytes of FRAME. Raises Damaged, and Unsupported where there is no libzstd."""
    found = zstd.find()
    if found is None:
        raise Unsupported(
            "a compressed block cannot be read: there is no libzstd on this host", reason="NO_ZSTD", hint="install libzstd1 (Debian's name)"
        )
    try:
        return found.decompress(frame, size)
    except zstd.ZstdError as error:
        raise Damaged(f"a frame of a compressed block is damaged: {error}", reason="BAD_BLOCK") from error


class Framer:
    """The body of one block on its way to a sink: held until a frame was worth it, then in frames; or plain.

    Made by one thread; used by one thread at a time."""

    def __init__(self, sink: Sink, codec: zstd.Zstd, compression: Compression) -> None:
        self._sink, self._codec, self._level = sink, codec, compression.level
        self._frame = memoryview(bytearray(FRAME))
        self._fill = 0
        self._waiting: deque[tuple[Future[bytes], memoryview]] = deque()
        self._free: list[memoryview] = []
        self._held: list[memoryview] = []  # frames that did not shrink, while nothing is decided
        self._plain: Optional[bool] = None
        if not compression.probe:
            self._begin(plain=False)
        self.sizes: list[int] = []

    def _begin(self, *, plain: bool) -> None:
        """It is decided: the header, and what was held."""
        self._plain = plain
        header = block.Header() if plain else block.Header(encoding=block.ZSTD, frame_size=FRAME)
        self._sink.put(header.encode())
        for each in self._held:
            if plain:
                self._sink.put(each)
            else:
                self._compress(each)
        self._held.clear()

    def put(self, data: Data) -> None:
        """Append plain DATA."""
        if self._plain:
            self._sink.put(data)
            return
        at, view = 0, memoryview(data)
        while at < len(view):
            taken = min(FRAME - self._fill, len(view) - at)
            self._frame[self._fill : self._fill + taken] = view[at : at + taken]
            self._fill += taken
            at += taken
            if self._fill == FRAME:
                self._turn()
                if self._plain:
                    self._sink.put(view[at:])
                    return

    def chunks(self, data: Data, spans: Spans) -> None:
        """Append the encodings of untagged artifacts, which are these SPANS of DATA."""
        view, at = memoryview(data), 0
        while at < len(spans) and not self._plain:
            start, end = spans[at], spans[at + 1]
            self.put(artifact.header(end - start))
            self.put(view[start:end])
            at += 2
        if at < len(spans):
            self._sink.chunks(data, spans[at:])

    def _turn(self) -> None:
        """A frame is full, or the last one."""
        full = self._frame[: self._fill]
        if self._plain is None:
            self._look(full)
        else:
            self._compress(full)
        self._frame = self._free.pop() if self._free else memoryview(bytearray(FRAME))
        self._fill = 0

    def _look(self, full: memoryview) -> None:
        """The probe: the first frame that shrinks decides for frames, enough of them that do not for a plain block."""
        self._held.append(full)
        if len(self._codec.compress(full, self._level)) <= WORTH * len(full):
            self._begin(plain=False)
        elif len(self._held) >= LOOK:
            self._begin(plain=True)

    def _compress(self, full: memoryview) -> None:
        self._waiting.append((_pool().submit(self._codec.compress, full, self._level), full))
        while len(self._waiting) > 4:
            self._settle()

    def _settle(self) -> None:
        future, memory = self._waiting.popleft()
        made = future.result()
        if len(memory) == FRAME:  # all but the last
            self._free.append(memory)
        self.sizes.append(len(made))
        self._sink.put(made)

    def end(self, plain_size: int, offsets: list[int]) -> int:
        """Write what is left, and the tables; the stored size of the block."""
        if self._fill:
            self._turn()
        if self._plain is None:
            self._begin(plain=True)
        while self._waiting:
            self._settle()
        body = plain_size if self._plain else sum(self.sizes)
        tail = block.encode_tail(plain_size, body, offsets, self.sizes)
        self._sink.put(tail)
        return block.HEADER.size + body + len(tail)


class _Frames(NamedTuple):
    """The seek table of a block: plain bytes in all and in a frame, and where each frame begins in the file, and the last ends."""

    plain_size: int
    frame_size: int
    starts: list[int]


class FrameReader:
    """Reads plain bytes out of compressed blocks. Safe in any number of threads."""

    def __init__(self, backend: Reads) -> None:
        self._backend = backend
        self._mutex = Lock()
        self._tables: OrderedDict[BlockID, _Frames] = OrderedDict()
        self._kept: OrderedDict[tuple[BlockID, int], bytes] = OrderedDict()

    def read(self, block_id: BlockID, header: block.Header, offset: int, length: int) -> bytes:
        """LENGTH plain bytes at OFFSET, fewer where the block ends. Raises Damaged, NotFound, Unsupported."""
        frames = self._table(block_id, header)
        end = min(offset + length, frames.plain_size)
        if offset >= end:
            return b""
        size = frames.frame_size
        pieces = []
        for number in range(offset // size, (end - 1) // size + 1):
            base = number * size
            pieces.append(self._frame(block_id, frames, number)[max(0, offset - base) : end - base])
        return b"".join(pieces)

    def _table(self, block_id: BlockID, header: block.Header) -> _Frames:
        with self._mutex:
            known = self._tables.get(block_id)
        if known is None:
            known = self._read_table(block_id, header)
            with self._mutex:
                self._tables[block_id] = known
                if len(self._tables) > _TABLES:
                    self._tables.popitem(last=False)
        return known

    def _read_table(self, block_id: BlockID, header: block.Header) -> _Frames:
        name = layout.block(block_id)
        size = self._backend.size(name)
        trailer = block.decode_trailer(self._backend.read(name, max(0, size - block.TRAILER.size), block.TRAILER.size), size)
        at = block.HEADER.size + trailer.body_size
        sizes, _offsets = block.decode_tables(self._backend.read(name, at, trailer.tables), trailer)
        block.check_frames(header, trailer, sizes)
        starts = list(itertools.accumulate(sizes, initial=block.HEADER.size))
        return _Frames(trailer.plain_size, header.frame_size, starts)

    def _frame(self, block_id: BlockID, frames: _Frames, number: int) -> bytes:
        key = (block_id, number)
        with self._mutex:
            found = self._kept.get(key)
            if found is not None:
                self._kept.move_to_end(key)
                return found
        start, end = frames.starts[number], frames.starts[number + 1]
        stored = self._backend.read(layout.block(block_id), start, end - start)
        found = decompress(stored, min(frames.frame_size, frames.plain_size - number * frames.frame_size))
        with self._mutex:
            self._kept[key] = found
            if len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return found
