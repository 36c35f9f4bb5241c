# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernel in Python: complete, the reference for libasl.so, and some hundred times slower."""

from __future__ import annotations

import hashlib

from asl.kernel.contract import PAGE, Buffer, ChunkParams, Kernel

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


def _top(bits: int) -> int:
    """The mask of the upper ``bits`` of 64 bits."""
    return ((1 << bits) - 1) << (64 - bits)


def _first_chunk(window: bytes, params: ChunkParams) -> int:
    """Length of the first chunk of ``window``, which is cut off at ``params.maximum``; 0 where it does not decide it."""
    bits = params.average.bit_length() - 1
    end, state = _scan(window, params.minimum, min(params.average, len(window)), 0, _top(bits + 2))
    if not end:
        end, _ = _scan(window, params.average, len(window), state, _top(bits - 2))
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
