# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stretch of a failing disk, read step by step up to what cannot be read. The halves of a kernel that do so."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import mmap
import os
import struct
import time
from typing import NamedTuple

from asl.kernel.files import checked

SWEEP = struct.Struct("=2q8Q")  # struct asl_sweep
COME = struct.Struct("=3Q")  # struct asl_come: number of the sweep, bytes read, bad steps behind them
SWEPT = struct.Struct("=Qq")  # struct asl_swept
DEPTH = 8  # ASL_DEPTH


class Sweep(NamedTuple):
    """What is to be read: SIZE bytes at AT, in steps that begin and end at multiples of STEP (bytes), BACKWARD from their end, up to the
    first one that cannot be read and on over those that follow it and cannot be read either, MOST_BAD of them.

    DEPTH steps may be under way at a time (DEPTH at most, and no more than may be bad). No step begins after PATIENCE seconds, but for
    the first. NUMBER is how whoever looks on knows it."""

    at: int
    size: int
    step: int
    most_bad: int
    depth: int
    backward: bool
    patience: float
    number: int


class Descriptors(NamedTuple):
    """The same device twice: past the page cache (-1 where that cannot be), and through it."""

    direct: int
    plain: int


def read_at(fds: Descriptors, into: memoryview, at: int) -> tuple[int, int]:
    """Fill INTO from offset AT, past the cache where that can be: (bytes read, fewer only at the end of the device; 0), or (0, errno)."""
    if fds.direct >= 0:
        found = _read(fds.direct, into, at)
        if found[1] != errno.EINVAL:  # not whole sectors: through the cache, then
            return found
    found = _read(fds.plain, into, at)
    with contextlib.suppress(OSError):
        os.posix_fadvise(fds.plain, at, len(into), os.POSIX_FADV_DONTNEED)
    return found


def _read(fd: int, into: memoryview, at: int) -> tuple[int, int]:
    done = 0
    try:
        while done < len(into):
            count = os.preadv(fd, [into[done:]], at + done)
            if not count:
                break
            done += count
    except OSError as error:
        return 0, error.errno or errno.EIO
    return done, 0


class PythonSweeper:
    """The twin: one step at a time."""

    def sweep(self, fds: Descriptors, wanted: Sweep, into: memoryview, shared: mmap.mmap, come: int) -> tuple[int, int, int]:
        """(bytes read, which lie at the beginning of INTO; bad steps behind them; errno of the first of those, or 0).

        How far it has come is kept at the offset COME of SHARED (COME's layout), so that a step that hangs hides none of those before
        it. Raises ValueError for what cannot be."""
        check(wanted, into, len(shared) - come)
        at, size, until = wanted.at, wanted.size, time.monotonic() + wanted.patience
        done = good = bad = first = 0
        while done < size and bad < wanted.most_bad and (not done or time.monotonic() < until):
            if wanted.backward:
                step = min(size - done, (at + size - done - 1) % wanted.step + 1)
                start = size - done - step
            else:
                step = min(size - done, wanted.step - (at + done) % wanted.step)
                start = done
            count, failed = read_at(fds, into[start : start + step], at + start)
            if count == step and not failed:
                if bad:
                    break
                good += step
            else:
                first, bad = first or failed or errno.EIO, bad + 1
            done += step
            COME.pack_into(shared, come, wanted.number, good, bad)
        if wanted.backward:
            into[:good] = bytes(into[size - good : size])
        return good, bad, first


class NativeSweeper:
    """asl_sweep."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._sweep = library.asl_sweep
        self._context = ctypes.c_uint64(0)  # the kernel's, for as long as this process lives

    def sweep(self, fds: Descriptors, wanted: Sweep, into: memoryview, shared: mmap.mmap, come: int) -> tuple[int, int, int]:
        """As the twin."""
        check(wanted, into, len(shared) - come)
        patience = min(int(wanted.patience * 1e9), 1 << 62)
        how = SWEEP.pack(*fds, *wanted[:3], wanted.most_bad, wanted.depth, wanted.backward, patience, wanted.number)
        swept = ctypes.create_string_buffer(SWEPT.size)
        memory = (ctypes.c_char * len(into)).from_buffer(into)
        told = (ctypes.c_char * COME.size).from_buffer(shared, come)
        good = checked(self._sweep(how, memory, len(into), ctypes.byref(self._context), told, swept), wanted.size)
        bad, failed = SWEPT.unpack(swept.raw)
        return good, bad, failed


def check(wanted: Sweep, into: memoryview, room: int) -> None:
    """Raise ValueError where WANTED does not fit INTO, or ROOM is too small for what is told meanwhile."""
    if not 0 <= wanted.size <= len(into) or wanted.at < 0 or room < COME.size:
        raise ValueError(f"{wanted.size} bytes at {wanted.at} do not fit into {len(into)}")
    if wanted.step < 1 or wanted.most_bad < 1 or not 1 <= wanted.depth <= DEPTH or wanted.patience < 0:
        raise ValueError(f"steps of {wanted.step} bytes, {wanted.most_bad} bad ones, {wanted.depth} at a time, for {wanted.patience} s")
