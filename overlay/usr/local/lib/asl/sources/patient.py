# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads that may never come back: they are made by a child process that can be left behind.

A read of a dying disk can hang in the kernel for minutes or for ever, and whoever waits in it cannot even be killed. The child
reads into memory that both see; where no answer comes in time, the child is killed, or left where it hangs, its memory is given
up with it, and another child goes on. Reads may be asked for ahead, so that the disk works while the last bytes are digested; what was
asked for ahead is not read any more once a read has failed.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import mmap
import os
import select
import signal
import socket
import struct
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple, Optional

from asl.sources.base import READ_SIZE

# number, slot, way, whether the read before it must not have failed, offset, length, step (bytes), bad steps that may be tried in a row;
# the answer: bytes read, the error number of what follows them or 0, and how many steps in a row follow that cannot be read.
_ASK, _ANSWER = struct.Struct("<QIIIQQII"), struct.Struct("<QII")
# How far the sweep that is under way has come, behind the slots: its number, bytes read and bad steps behind them. Of a child that hangs
# it is all there will ever be known.
_COME = struct.Struct("<QQI")
# Ways to read: as one, from the front step by step, from the end step by step.
WHOLE, FORWARDS, BACKWARDS = 0, 1, 2
# Steps are read for so many seconds before the child answers with what it has, or for this part of the deadline: the rest is for the
# one that takes long.
_SWEEP, _SHARE = 2.0, 0.25
# How many reads may be asked for ahead. Beside theirs, one slot is being read, one digested.
MOST_AHEAD = 4
SLOTS = MOST_AHEAD + 2
_COME_AT = SLOTS * READ_SIZE


class Asked(NamedTuple):
    """A read that is under way."""

    number: int
    slot: int
    at: int
    size: int
    way: int


class Swept(NamedTuple):
    """What came of reading step by step: DATA, and behind it BAD steps in a row that could not be read, the first with the error
    number FAILED; the last one never came back where it HUNG. Neither data nor bad steps for all that was asked: no time for more."""

    data: memoryview
    bad: int
    failed: int
    hung: bool = False


class PatientReader:
    """Reads FD (which stays the caller's). Raises OSError ETIMEDOUT for a read that takes longer than DEADLINE seconds."""

    def __init__(self, fd: int, deadline: float) -> None:
        self._fd, self.deadline = fd, deadline
        self._pid = 0
        self._link: Optional[socket.socket] = None
        self._memory: Optional[mmap.mmap] = None
        self._asked: deque[Asked] = deque()
        self._number = 0
        self._left: list[int] = []
        self.abandoned = 0

    def read(self, at: int, size: int, *, ahead: Sequence[tuple[int, int]] = ()) -> memoryview:
        """SIZE bytes (READ_SIZE at most) at AT, fewer where the device ends; valid until the second call from now. Raises OSError.

        The page cache is bypassed where that can be. AHEAD: offset and length of the reads that will be asked for next, in order,
        MOST_AHEAD at most."""
        found = self._get((at, size, WHOLE), 0, 1, ahead)
        if found.failed:
            raise OSError(found.failed, os.strerror(found.failed))
        return found.data

    def sweep(
        self, at: int, size: int, step: int, *, backward: bool, most_bad: int = 1, ahead: Sequence[tuple[int, int]] = ()
    ) -> Swept:  # fmt: skip
        """Read SIZE bytes (READ_SIZE at most) at AT in steps that begin and end at multiples of STEP, BACKWARD from their end, up to the
        first one that cannot be read and on over those that follow it and cannot be read either, MOST_BAD of them. AHEAD as in read()."""
        return self._get((at, size, BACKWARDS if backward else FORWARDS), step, most_bad, ahead)

    def _get(self, wanted: tuple[int, int, int], step: int, most_bad: int, ahead: Sequence[tuple[int, int]]) -> Swept:
        if self._link is None:
            self._start()
        if self._asked and self._asked[0][2:] != wanted:
            self._forget()
        if not self._asked:
            self._ask(*wanted, step, most_bad)
        for each in ahead[len(self._asked) - 1 :]:
            self._ask(*each, wanted[2], step, most_bad, ahead=True)
        found = self._answer(self._asked.popleft())
        if found.failed == errno.ECANCELED:
            self._forget()
            self._ask(*wanted, step, most_bad)
            found = self._answer(self._asked.popleft())
        return found

    def close(self) -> None:
        """End the child."""
        if self._link is not None:
            self._link.close()
        if self._pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)
            self._left.append(self._pid)
        self._pid, self._link, self._memory = 0, None, None
        self._asked.clear()
        give_up = time.monotonic() + 1
        while self._reap() and time.monotonic() < give_up and self.abandoned == 0:
            select.select([], [], [], 0.01)  # a child that was killed is gone in a moment, unless the kernel holds it

    def _reap(self) -> bool:
        """Collect children that ended; True while some have not."""
        still = []
        for pid in self._left:
            with contextlib.suppress(ChildProcessError):
                if os.waitpid(pid, os.WNOHANG)[0] == 0:
                    still.append(pid)
        self._left = still
        return bool(still)

    def _start(self) -> None:
        self._memory = mmap.mmap(-1, _COME_AT + mmap.PAGESIZE)
        here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._pid = os.fork()
        if self._pid == 0:
            _serve(self._fd, there, self._memory, min(_SWEEP, _SHARE * self.deadline))  # never returns
        there.close()
        self._link = here

    def _ask(self, at: int, size: int, way: int, step: int, most_bad: int, *, ahead: bool = False) -> None:
        self._number += 1
        slot = self._number % SLOTS
        assert self._link is not None
        self._asked.append(Asked(self._number, slot, at, size, way))
        with contextlib.suppress(OSError):  # a child that is gone does not answer either
            self._link.send(_ASK.pack(self._number, slot, way, ahead, at, size, step, most_bad))

    def _forget(self) -> None:
        """Wait for what was asked for and is not wanted any more: an answer must not be taken for another one."""
        while self._asked:
            self._answer(self._asked.popleft())
        if self._link is None:
            self._start()

    def _answer(self, asked: Asked) -> Swept:
        """What was read, and what was not. A child that does not answer in time is left behind."""
        if self._link is None or self._memory is None:
            return Swept(memoryview(b""), 0, errno.EIO)  # what was asked of a child that is gone
        # The clock starts when the one before was answered, not when it was asked: the child does one read at a time.
        ready = select.select([self._link], [], [], self.deadline)[0]
        answer = b""
        if ready:
            with contextlib.suppress(OSError):
                answer = self._link.recv(_ANSWER.size)
        slot = memoryview(self._memory)[asked.slot * READ_SIZE :][: asked.size]
        if len(answer) == _ANSWER.size:
            count, failed, bad = _ANSWER.unpack(answer)
            return Swept(slot[:count], bad, failed)
        number, count, bad = _COME.unpack_from(self._memory, _COME_AT)
        if number != asked.number:
            count = bad = 0
        # A copy: the slot goes with the child. The sector it hangs in is one more.
        data = bytes(slot[asked.size - count :] if asked.way == BACKWARDS else slot[:count])
        self._abandon()
        return Swept(memoryview(data), bad + 1, errno.EIO if ready else errno.ETIMEDOUT, hung=True)

    def _abandon(self) -> None:
        self.abandoned += 1
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)
        self._left.append(self._pid)
        if self._link is not None:
            self._link.close()
        # The kernel may still write into the old memory when the read comes back one day.
        self._pid, self._link, self._memory = 0, None, None
        self._asked.clear()
        self._reap()


def _serve(fd: int, link: socket.socket, memory: mmap.mmap, patience: float) -> None:
    """In the child: answer until the other end is closed, then end at once, without any of the parent's exit handlers.

    PATIENCE: seconds for one sweep."""
    try:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # the parent decides when to stop
        _close_others(fd, link.fileno())
        view, direct, failed, short = memoryview(memory), -1, 0, False
        with contextlib.suppress(OSError):
            direct = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_DIRECT)
        while True:
            asked = link.recv(_ASK.size)
            if len(asked) != _ASK.size:
                break
            number, slot, way, ahead, at, size, step, most_bad = _ASK.unpack(asked)
            best, buffer, bad = fd if direct < 0 else direct, view[slot * READ_SIZE :][:size], 0
            if ahead and (failed or short):
                count, failed = 0, errno.ECANCELED  # whoever asked does not know yet, and will want something else
            elif way == WHOLE:
                count, failed = _read(best, fd, buffer, at)
            else:
                come = functools.partial(_COME.pack_into, memory, _COME_AT, number)
                count, bad, failed = _sweep((best, fd), buffer, at, (step, most_bad, way, time.monotonic() + patience), come)
            short = count < size
            link.send(_ANSWER.pack(count, failed, bad))
    finally:
        os._exit(0)


def _read(fd: int, plain: int, buffer: memoryview, at: int) -> tuple[int, int]:
    """Fill BUFFER from offset AT: (bytes read, fewer only at the end of the device; 0), or (0, error number)."""
    done = 0
    try:
        while done < len(buffer):
            count = os.preadv(fd, [buffer[done:]], at + done)
            if not count:
                break
            done += count
    except OSError as error:
        if error.errno == errno.EINVAL and fd != plain:  # not whole sectors: through the cache, then
            return _read(plain, plain, buffer, at)
        return 0, error.errno or errno.EIO
    if fd == plain:
        with contextlib.suppress(OSError):
            os.posix_fadvise(plain, at, done, os.POSIX_FADV_DONTNEED)
    return done, 0


def _sweep(
    fds: tuple[int, int], buffer: memoryview, at: int, how: tuple[int, int, int, float], come: Callable[[int, int], None]
) -> tuple[int, int, int]:
    """As PatientReader.sweep: (bytes read, bad steps behind them, error number of the first); HOW: step, most bad ones, way, until when.

    What was read lies at the beginning of BUFFER. COME is told of every step, so that one that hangs hides none of those before it."""
    multiple, most_bad, way, until = how
    size = len(buffer)
    done = good = bad = first = 0
    while done < size and bad < most_bad and (not done or time.monotonic() < until):
        if way == FORWARDS:
            step = min(size - done, multiple - (at + done) % multiple)
            start = done
        else:
            step = min(size - done, (at + size - done - 1) % multiple + 1)
            start = size - done - step
        count, failed = _read(*fds, buffer[start : start + step], at + start)
        if count == step and not failed:
            if bad:
                break
            good += step
        else:
            first, bad = first or failed or errno.EIO, bad + 1
        done += step
        come(good, bad)
    if way == BACKWARDS:
        buffer[:good] = bytes(buffer[size - good :])
    return good, bad, first


def _close_others(*keep: int) -> None:
    """What the parent has locked must not stay locked because a child of it hangs."""
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2 and int(name) not in keep:
            with contextlib.suppress(OSError):
                os.close(int(name))
