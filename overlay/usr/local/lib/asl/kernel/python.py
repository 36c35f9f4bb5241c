# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernel in Python: complete, the reference for libasl.so, and some hundred times slower."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Optional, Union

from asl.kernel.contract import (
    DIGEST,
    FILTER_BITS,
    FILTER_BLOCK,
    HEAD,
    PAGE,
    RECORD,
    Buffer,
    ChunkParams,
    Kernel,
    Mapped,
    Sink,
    Spans,
    Table,
    Write,
    digest,
)

if TYPE_CHECKING:
    from asl.kernel.files import PythonFiles
    from asl.kernel.merging import Input, PythonMerge
    from asl.kernel.sweeping import PythonSweeper

# Part of the format: other values would cut the same bytes elsewhere. native/gear.h holds the same table.
GEAR = tuple(int.from_bytes(hashlib.sha256(b"asl.rescue gear 1" + bytes([i])).digest()[:8], "little") for i in range(256))

MODULO = (1 << 64) - 1
STRIDE = 16  # bytes hashed before the hash is cut back to 64 bits; higher bits never reach the mask, they only cost time
SLAB = 256 * PAGE  # bytes compared at once by zero_runs
ZEROS, ZERO_PAGE = bytes(SLAB), bytes(PAGE)


class PythonKernel(Kernel):
    """The twin. ``why`` is the reason, in one clause, why it stands in for libasl.so."""

    name = "python"
    slow = True

    def __init__(self, why: str) -> None:
        self.why = why

    @functools.cached_property
    def files(self) -> PythonFiles:  # type: ignore[override]
        from asl.kernel.files import PythonFiles

        return PythonFiles()

    @functools.cached_property
    def sweeper(self) -> PythonSweeper:  # type: ignore[override]
        from asl.kernel.sweeping import PythonSweeper

        return PythonSweeper()

    def cut(self, data: Buffer, params: ChunkParams, final: bool) -> list[int]:
        ends: list[int] = []
        start = 0
        with memoryview(data) as whole, whole.cast("B") as view:
            while start < len(view):
                size = _first_chunk(bytes(view[start : start + params.maximum]), params)
                if not size and not final:
                    break
                start = start + size if size else len(view)
                ends.append(start)
        return ends

    def zero_runs(self, data: Buffer, minimum: int) -> list[tuple[int, int]]:
        if minimum < 0:
            raise ValueError(f"zero_runs: minimum is {minimum}, and must be 0 or more")
        with memoryview(data) as whole, whole.cast("B") as view:
            size = len(view)
            runs: list[tuple[int, int]] = []
            for start, end in _zero_pieces(view):
                if runs and runs[-1][1] == start:
                    runs[-1] = (runs[-1][0], end)
                else:
                    runs.append((start, end))
        return [(start, end) for start, end in runs if end - start >= minimum or start == 0 or end == size]

    def digests(self, data: Buffer, spans: Spans) -> bytes:
        with memoryview(data) as whole, whole.cast("B") as view:
            return b"".join([digest(view[start:end]) for start, end in pairs(spans, len(view))])

    def verify(self, fd: int, spans: Spans, digests: bytes, memory: memoryview) -> bytes:
        good = bytearray(len(spans) // 2)
        for number, (start, end) in enumerate(pairs(spans, 2**63 - 1)):
            if end - start > len(memory):
                raise ValueError(f"a span of {end - start} bytes, and memory for {len(memory)}")
            with contextlib.suppress(OSError):
                found = hashlib.sha256(os.pread(fd, end - start, start)).digest()
                good[number] = found == digests[DIGEST * number : DIGEST * number + DIGEST]
        return bytes(good)

    def sink(self, write: Write, fd: Optional[int] = None) -> Sink:
        return PythonSink(write)

    def table(self, segments: Sequence[Mapped]) -> Table:
        return PythonTable(segments)

    def filter_stretch(self, records: Buffer, blocks: int, first: int, size: int) -> bytes:
        check_stretch(blocks, first, size)
        made = bytearray(size)
        with memoryview(records) as whole, whole.cast("B") as view:
            for at in range(0, len(view) - RECORD + 1, RECORD):
                block, bits = _in_filter(bytes(view[at : at + DIGEST]), blocks)
                if not first <= block < first + size // FILTER_BLOCK:
                    raise ValueError("a record that belongs to another stretch of the filter")
                for bit in bits:
                    made[(block - first) * FILTER_BLOCK + (bit >> 3)] |= 1 << (bit & 7)
        return bytes(made)

    def merge(self, inputs: Sequence[Input], blocks: int) -> PythonMerge:
        from asl.kernel.merging import PythonMerge

        return PythonMerge(inputs, blocks)


class PythonSink(Sink):
    """hashlib, and the function that writes."""

    def __init__(self, write: Write) -> None:
        self._write, self._hash = write, hashlib.sha256()

    def hash(self, data: Union[bytes, bytearray, memoryview]) -> None:
        self._hash.update(data)

    def write(self, data: Union[bytes, bytearray, memoryview]) -> None:
        self._write(data)

    def hash_chunks(self, data: Buffer, spans: Spans) -> None:
        with memoryview(data) as whole, whole.cast("B") as view:
            for start, end in pairs(spans, len(view)):
                self._hash.update(HEAD.pack(0, end - start))
                self._hash.update(view[start:end])

    def write_chunks(self, data: Buffer, spans: Spans) -> None:
        with memoryview(data) as whole, whole.cast("B") as view:
            parts: list[Buffer] = []
            for start, end in pairs(spans, len(view)):
                parts += (HEAD.pack(0, end - start), view[start:end])
            self._write(b"".join(parts))

    def digest(self) -> bytes:
        return self._hash.digest()


class PythonTable(Table):
    """Filter, then a search that begins where the digest ought to be."""

    def __init__(self, segments: Sequence[Mapped]) -> None:
        self._segments = tuple(segments)
        for each in self._segments:
            check_areas(each)

    def find(self, digest: bytes) -> Optional[tuple[int, int]]:
        for position, each in enumerate(self._segments):
            number = _search(each, digest) if _may_have(each, digest) else None
            if number is not None:
                return position, number
        return None

    def places(self, digests: bytes) -> list[Optional[tuple[int, int]]]:
        return [self.find(digests[at : at + DIGEST]) for at in range(0, len(digests), DIGEST)]

    def known(self, digests: bytes) -> bytes:
        return bytes(place is not None for place in self.places(digests))


def pairs(spans: Spans, length: int) -> list[tuple[int, int]]:
    """SPANS as pairs. ValueError where they do not lie inside LENGTH bytes."""
    found = list(zip(spans[::2], spans[1::2]))
    if len(spans) % 2 or any(not 0 <= start <= end <= length for start, end in found):
        raise ValueError(f"spans that do not lie inside {length} bytes")
    return found


def check_areas(segment: Mapped) -> None:
    """ValueError where records or filter lie outside of the segment's data."""
    size = len(segment.data)
    if min(segment[1:]) < 0 or segment.filter_size % FILTER_BLOCK or segment.filter + segment.filter_size > size:
        raise ValueError("a filter outside of its segment")
    if segment.records + segment.record_count * RECORD > size:
        raise ValueError("records outside of their segment")


def check_stretch(blocks: int, first: int, size: int) -> None:
    """ValueError for a stretch that does not lie inside of a filter."""
    if size <= 0 or size % FILTER_BLOCK or not 0 <= first <= blocks - size // FILTER_BLOCK:
        raise ValueError(f"{size} bytes from block {first} of {blocks} are no filter")


def _in_filter(digest: bytes, blocks: int) -> tuple[int, list[int]]:
    """(the block of DIGEST in a filter of so many, its bits there)."""
    block = int.from_bytes(digest[:8], "big") * blocks >> 64
    word = int.from_bytes(digest[8:16], "little")
    return block, [word >> 9 * bit & 511 for bit in range(FILTER_BITS)]


def _may_have(segment: Mapped, digest: bytes) -> bool:
    if not segment.filter_size:
        return True
    block, bits = _in_filter(digest, segment.filter_size // FILTER_BLOCK)
    at = segment.filter + block * FILTER_BLOCK
    line = segment.data[at : at + FILTER_BLOCK]
    return all(line[bit >> 3] >> (bit & 7) & 1 for bit in bits)


def _search(segment: Mapped, digest: bytes) -> Optional[int]:
    """The number of the record with DIGEST. Digests are uniform: it stands near its proportional place, within a few standard
    deviations, which grow with the square root of the number of records."""
    data, base, count = segment.data, segment.records, segment.record_count
    guess = int.from_bytes(digest[:8], "big") * count >> 64
    step = 4 + int(count**0.5) * 3 // 2
    low, high = max(0, guess - step), min(count, guess + step)
    # A window that the digest is not inside of is widened to the end on that side: never wrong, only slower.
    if low and data[base + low * RECORD : base + low * RECORD + DIGEST] > digest:
        low = 0
    if high < count and data[base + high * RECORD : base + high * RECORD + DIGEST] <= digest:
        high = count
    while low < high:
        middle = (low + high) // 2
        found = data[base + middle * RECORD : base + middle * RECORD + DIGEST]
        if found < digest:
            low = middle + 1
        elif found > digest:
            high = middle
        else:
            return middle
    return None


def _top(bits: int) -> int:
    """The mask of the upper ``bits`` of 64 bits."""
    return ((1 << bits) - 1) << (64 - bits)


def _first_chunk(window: bytes, params: ChunkParams) -> int:
    """Length of the first chunk of ``window``, which is cut off at ``params.maximum``; 0 where it does not decide it."""
    bits = params.average.bit_length() - 1
    end, state = _scan(window, params.minimum, min(params.average, len(window)), 0, _top(bits + 2))
    if not end:
        end, _state = _scan(window, params.average, len(window), state, _top(bits - 2))
    if not end and len(window) == params.maximum:
        end = params.maximum
    return end


def _scan(window: bytes, at: int, stop: int, state: int, mask: int) -> tuple[int, int]:
    """Hash bytes at..stop-1: (offset behind the first byte after which no bit of the mask is set, else 0; the hash)."""
    gear = GEAR
    for base in range(at, stop, STRIDE):
        for seen, byte in enumerate(window[base : min(base + STRIDE, stop)], 1):
            state = (state << 1) + gear[byte]
            if not state & mask:
                return base + seen, state
        state &= MODULO
    return 0, state


def _zero_pieces(view: memoryview) -> list[tuple[int, int]]:
    """Ascending (start, end) of zero pages, a slab of them or one by one: neighbours are not joined."""
    pieces: list[tuple[int, int]] = []
    for base in range(0, len(view), SLAB):
        slab = bytes(view[base : base + SLAB])
        if slab == ZEROS:
            pieces.append((base, base + SLAB))
            continue
        for at in range(0, len(slab), PAGE):
            size = min(PAGE, len(slab) - at)
            if slab.startswith(ZERO_PAGE[:size], at):  # compares in place
                pieces.append((base + at, base + at + size))
    return pieces
