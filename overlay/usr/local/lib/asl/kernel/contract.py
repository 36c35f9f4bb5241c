# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a kernel owes its callers, whichever half does the work."""

from __future__ import annotations

import hashlib
import mmap
import struct
from abc import ABC, abstractmethod
from array import array
from collections.abc import Sequence
from typing import TYPE_CHECKING, Callable, ClassVar, NamedTuple, Optional, Union

from asl.errors import Usage

Buffer = Union[bytes, bytearray, memoryview, mmap.mmap]

# Where things begin and end, in bytes: start, end, start, end … (array of type "Q").
if TYPE_CHECKING:
    from asl.kernel.files import NativeFiles, PythonFiles
    from asl.kernel.merging import Input, PythonMerge
    from asl.kernel.sweeping import NativeSweeper, PythonSweeper

    Spans = array[int]
else:
    Spans = array  # cannot be subscripted before Python 3.12

# Writes bytes, all of them, behind what was written before.
Write = Callable[[Union[bytes, bytearray, memoryview]], None]

PAGE = 4096  # bytes; the grid of zero_runs
DIGEST = 32  # bytes of SHA-256
HEAD = struct.Struct(">BQ")  # before an untagged artifact: 0, then its length
RECORD = 44  # bytes of a record in a segment; it begins with its digest
FILTER_BLOCK = 64  # bytes of a block of the filter of a segment
FILTER_BITS = 7  # bits set there for each digest
AVERAGE_MIN = 16  # bytes: leaves log2(average) - 2 = 2 bits to compare
CHUNK_MAX = 1 << 40  # bytes: keeps every sum of sizes far below 2^64


def digest(data: Buffer) -> bytes:
    """The digest of the untagged artifact that DATA, counted in bytes, is."""
    hasher = hashlib.sha256(HEAD.pack(0, len(data)))
    hasher.update(data)
    return hasher.digest()


class _Sizes(NamedTuple):
    """A tuple, since classes of dataclasses are costly to make (and inspect to import) at the start of a tool."""

    minimum: int = 16 * 1024
    average: int = 64 * 1024
    maximum: int = 256 * 1024


class ChunkParams(_Sizes):
    """The three sizes of content-defined chunks, in bytes. Default: 16, 64 and 256 KiB.

    1 <= minimum <= average <= maximum <= 2^40, average a power of two and at least 16; else Usage (CHUNK_SIZES_INVALID).
    Other sizes give other chunks: a store finds duplicates only among chunks cut with equal sizes.
    """

    __slots__ = ()

    if not TYPE_CHECKING:  # which knows the arguments by the fields

        def __init__(self, *_given: object, **_named: object) -> None:
            self._check()

    def _check(self) -> None:
        sizes = f"chunk sizes {self.minimum}/{self.average}/{self.maximum} bytes cannot be used"
        if self.average < AVERAGE_MIN or self.average & (self.average - 1):
            raise Usage(
                f"{sizes}: the average must be a power of two and at least {AVERAGE_MIN}; choose 65536, for example",
                reason="CHUNK_SIZES_INVALID",
            )
        if not 1 <= self.minimum <= self.average <= self.maximum <= CHUNK_MAX:
            raise Usage(
                f"{sizes}: they must ascend from at least 1 to at most 2^40; choose a quarter and four times the average",
                reason="CHUNK_SIZES_INVALID",
            )

    @classmethod
    def for_average(cls, average: int) -> ChunkParams:
        """A quarter of the average, the average, four times the average (bytes). Raises Usage like the constructor."""
        return cls(average // 4, average, average * 4)


class Mapped(NamedTuple):
    """A segment as it is mapped: where its records and its filter begin in `data`, and how many records and bytes they have."""

    data: Union[bytes, mmap.mmap]
    records: int
    record_count: int
    filter: int = 0
    filter_size: int = 0  # 0: it has none


class Table(ABC):
    """Segments to look digests up in; the first one that has a digest counts. Safe in any number of threads."""

    @abstractmethod
    def find(self, digest: bytes) -> Optional[tuple[int, int]]:
        """(number of the segment in the order given, number of the record in it); None where nobody has DIGEST."""

    @abstractmethod
    def places(self, digests: bytes) -> list[Optional[tuple[int, int]]]:
        """find() for each of the digests that stand one behind the other in DIGESTS."""

    @abstractmethod
    def known(self, digests: bytes) -> bytes:
        """One byte for each of the digests that stand one behind the other in DIGESTS: 1 where a segment has it, else 0."""


class Sink(ABC):
    """Hashes what is written to a file in the making. One thread at a time may hash, and one write, which may be another one."""

    @abstractmethod
    def hash(self, data: Union[bytes, bytearray, memoryview]) -> None:
        """Hash DATA."""

    @abstractmethod
    def write(self, data: Union[bytes, bytearray, memoryview]) -> None:
        """Write DATA. OSError."""

    @abstractmethod
    def hash_chunks(self, data: Buffer, spans: Spans) -> None:
        """Hash the encodings of untagged artifacts (nine bytes, then these bytes of DATA) one behind the other."""

    @abstractmethod
    def write_chunks(self, data: Buffer, spans: Spans) -> None:
        """Write the same. OSError."""

    def put(self, data: Union[bytes, bytearray, memoryview]) -> None:
        """Hash and write DATA. OSError."""
        self.hash(data)
        self.write(data)

    def chunks(self, data: Buffer, spans: Spans) -> None:
        """hash_chunks() and write_chunks()."""
        self.hash_chunks(data, spans)
        self.write_chunks(data, spans)

    @abstractmethod
    def digest(self) -> bytes:
        """The SHA-256 of everything so far; nothing may follow."""


class Kernel(ABC):
    """Pure functions over bytes: no state, so one kernel may be used from any number of threads at once.

    Data is any contiguous bytes-like object, of any size and item type, and must not change during a call; while a call
    runs, a bytearray cannot be resized and an mmap cannot be closed. Other objects: TypeError.
    """

    files: Union[PythonFiles, NativeFiles]  # names of a directory in batches: not pure, they look at files
    sweeper: Union[PythonSweeper, NativeSweeper]  # failing disks step by step: not pure either
    name: ClassVar[str]  # "libasl" or "python"
    slow: ClassVar[bool]  # worth a warning to the person who waits
    why: str = ""  # when slow: one clause that says why the native half is not used

    @abstractmethod
    def cut(self, data: Buffer, params: ChunkParams, final: bool) -> list[int]:
        """Ascending end offsets of the content-defined chunks of ``data``, whose first byte begins a chunk.

        Within a chunk, byte i (counted from 0) updates hash = (hash << 1) + GEAR[byte] modulo 2^64, beginning with
        i = minimum and hash = 0. The chunk ends behind the first such byte after which the top (log2(average) + 2) bits of
        the hash are zero, or (log2(average) - 2) bits where i >= average; at the latest it is ``maximum`` long
        (FastCDC, Xia et al. 2020, normalised chunking level 2).

        Without ``final`` only chunks whose end the data decides are given: the caller keeps the bytes behind the last end
        (always fewer than ``maximum``), appends more and calls again. With ``final`` those bytes are the last chunk. So the
        chunks of a stream do not depend on how it is sliced into calls. No bytes, no chunks.
        """

    @abstractmethod
    def zero_runs(self, data: Buffer, minimum: int) -> list[tuple[int, int]]:
        """Ascending maximal runs (start, end) of all-zero pages, in byte offsets of ``data``.

        Pages are 4096 bytes, counted from offset 0; a shorter rest at the end is a page too. Runs shorter than ``minimum``
        bytes (0 or more, else ValueError) are left out, except those that touch the start or the end of the data: their
        other half may lie outside of it.
        """

    def parts(self, data: memoryview, at: int, sizes: Sequence[int], params: ChunkParams, hole: int) -> tuple[Spans, list[int]]:
        """Cut contents of these SIZES that lie one behind the other in DATA from AT on: what lies in one between zero_runs() of HOLE bytes
        (not 0) and more as the end of a stream each. (The spans of all chunks, the number of them in each content.) ValueError for
        contents outside of DATA."""
        spans: Spans = array("Q")
        numbers: list[int] = []
        if at < 0 or min(sizes, default=0) < 0 or at + sum(sizes) > len(data) or hole < 1:
            raise ValueError(f"contents that do not lie inside {len(data)} bytes")
        for size in sizes:
            content, done, before = data[at : at + size], 0, len(spans)
            holes = [run for run in self.zero_runs(content, hole) if run[1] - run[0] >= hole]
            for start, behind in [*holes, (size, size)]:
                ends = [done + end for end in self.cut(content[done:start], params, True)]
                for each, end in zip([done, *ends], ends):
                    spans.extend((at + each, at + end))
                done = behind
            numbers.append((len(spans) - before) // 2)
            at += size
        return spans, numbers

    @abstractmethod
    def digests(self, data: Buffer, spans: Spans) -> bytes:
        """The digests of the untagged artifacts that these spans of DATA are, one behind the other.

        A digest is SHA-256 over 0x00, the length as eight bytes big-endian, and the bytes. ValueError for spans outside of DATA.
        """

    @abstractmethod
    def verify(self, fd: int, spans: Spans, digests: bytes, memory: memoryview) -> bytes:
        """One byte for each of SPANS of the open file FD: 1 where its bytes have the SHA-256 that stands in DIGESTS, else 0, also where
        they cannot be read. No span may be longer than MEMORY, which is used to read into: ValueError."""

    @abstractmethod
    def sink(self, write: Write, fd: Optional[int] = None) -> Sink:
        """A sink that writes with WRITE, or where that is faster to the descriptor FD of the same file at its offset."""

    @abstractmethod
    def table(self, segments: Sequence[Mapped]) -> Table:
        """SEGMENTS ready for look-up. They stay mapped as long as the table lives. ValueError for areas outside of their data."""

    def filter(self, records: Buffer, size: int) -> bytes:
        """The filter of SIZE bytes (a multiple of 64, not 0) over RECORDS. docs/formats.md has its rule."""
        return self.filter_stretch(records, size // FILTER_BLOCK, 0, size)

    @abstractmethod
    def filter_stretch(self, records: Buffer, blocks: int, first: int, size: int) -> bytes:
        """What RECORDS set in a filter of so many BLOCKS, of which only SIZE bytes are given, from the block FIRST on. ValueError for
        records that belong elsewhere."""

    @abstractmethod
    def merge(self, inputs: Sequence[Input], blocks: int) -> PythonMerge:
        """The records of INPUTS in one order (kernel.merging); BLOCKS is how many blocks they have in common."""


# What trial() gives for a kernel that is right.
TRIAL = "3d953de1d4fa6d0ba47e2d658218387922c9570b430477af3815cb5d98770a67"


def trial(kernel: Kernel) -> str:
    """A digest of what KERNEL answers about 16 KiB of data and zero pages: chunks, runs, digests. Raises RuntimeError."""
    data = b"".join(hashlib.sha256(bytes((number,))).digest() for number in range(PAGE // DIGEST))
    data += bytes(2 * PAGE) + b"\x01" * (PAGE - 1)
    cuts = [kernel.cut(data, ChunkParams(32, 128, 512), final) for final in (False, True)]
    said = (*cuts, kernel.zero_runs(data, 0), kernel.digests(data, array("Q", (0, PAGE, PAGE, len(data)))))
    return hashlib.sha256(repr(said).encode("ascii")).hexdigest()
