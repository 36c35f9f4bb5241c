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
import math
import mmap
import os
import select
import signal
import struct
import time
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, NoReturn, Optional, Union

from asl.kernel import Kernel, load, sweeping
from asl.kernel.sweeping import COME, Descriptors, NativeSweeper, PythonSweeper, Sweep
from asl.sources.base import READ_SIZE

if TYPE_CHECKING:
    import socket

# _Wish; the answer: bytes read, the error number of what follows them or 0, and how many steps in a row follow that cannot be read.
_ASK, _ANSWER = struct.Struct("<QIIIQQIII"), struct.Struct("<QII")
# Ways to read: as one, from the front step by step, from the end step by step.
WHOLE, FORWARDS, BACKWARDS = 0, 1, 2
# Steps are read for so many seconds before the child answers with what it has, or for this part of the deadline: the rest is for the
# one that takes long.
_SWEEP, _SHARE = 2.0, 0.25
# How many reads may be asked for ahead. Beside theirs, one slot is being read, one digested.
MOST_AHEAD = 4
SLOTS = MOST_AHEAD + 2
# How far the sweep that is under way has come, behind the slots. Of a child that hangs it is all there will ever be known.
_COME_AT = SLOTS * READ_SIZE


class Asked(NamedTuple):
    """A read that is under way, in steps of so many bytes."""

    number: int
    slot: int
    at: int
    size: int
    way: int
    step: int


class Step(NamedTuple):
    """How a stretch is read step by step: in steps of SIZE bytes, up to the first one that cannot be read and on over those that follow it
    and cannot be read either, MOST_BAD of them. DEPTH steps may be under way at a time, and then as many may have to be bad."""

    size: int
    most_bad: int = 1
    depth: int = 1


class _Wish(NamedTuple):
    """What the child is asked for. AHEAD: only where the read before it did not fail."""

    number: int
    slot: int
    way: int
    ahead: int
    at: int
    size: int
    step: int
    most_bad: int
    depth: int


class Swept(NamedTuple):
    """What came of reading step by step: DATA, and behind it BAD steps in a row that could not be read, the first with the error
    number FAILED; the last one never came back where it HUNG. Neither data nor bad steps for all that was asked: no time for more.
    STEP: bytes of a step, which are those of an earlier wish where it was made ahead."""

    data: memoryview
    bad: int
    failed: int
    hung: bool = False
    step: int = 0


class PatientReader:
    """Reads FD (which stays the caller's). Raises OSError ETIMEDOUT for a read that takes longer than DEADLINE seconds."""

    def __init__(self, fd: int, deadline: float, kernel: Optional[Kernel] = None) -> None:
        self._fd, self.deadline = fd, deadline
        self._sweeper = (kernel or load()).sweeper  # chosen before there is a child
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
        found = self._get((at, size, WHOLE), Step(0), ahead)
        if found.failed:
            raise OSError(found.failed, os.strerror(found.failed))
        return found.data

    def sweep(self, at: int, size: int, step: Step, *, backward: bool, ahead: Sequence[tuple[int, int]] = ()) -> Swept:
        """Read SIZE bytes (READ_SIZE at most) at AT in steps that begin and end at multiples of STEP's size, BACKWARD from their end.
        AHEAD as in read()."""
        return self._get((at, size, BACKWARDS if backward else FORWARDS), step, ahead)

    def prepare(self, at: int, size: int, step: Step, *, backward: bool) -> None:
        """Ask for what sweep() will be asked for next, whatever became of the read before it; nothing else is wanted any more."""
        if self._link is not None:
            self._forget()
            self._ask(at, size, BACKWARDS if backward else FORWARDS, step)

    def _get(self, wanted: tuple[int, int, int], step: Step, ahead: Sequence[tuple[int, int]]) -> Swept:
        if self._link is None:
            self._start()
        if self._asked and self._asked[0][2:5] != wanted:
            self._forget()
        if not self._asked:
            self._ask(*wanted, step)
        for each in ahead[len(self._asked) - 1 :]:
            self._ask(*each, wanted[2], step, ahead=True)
        found = self._answer(self._asked.popleft())
        if found.failed == errno.ECANCELED:
            self._forget()
            self._ask(*wanted, step)
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
            time.sleep(0.01)  # a child that was killed is gone in a moment, unless the kernel holds it

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
        import socket  # trees are read without

        here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._pid = os.fork()
        if self._pid == 0:
            _Child(self._fd, there, self._memory, self._sweeper, min(_SWEEP, _SHARE * self.deadline)).serve()  # never returns
        there.close()
        self._link = here

    def _ask(self, at: int, size: int, way: int, step: Step, *, ahead: bool = False) -> None:
        self._number += 1
        slot = self._number % SLOTS
        assert self._link is not None
        self._asked.append(Asked(self._number, slot, at, size, way, step.size))
        with contextlib.suppress(OSError):  # a child that is gone does not answer either
            self._link.send(_ASK.pack(self._number, slot, way, ahead, at, size, *step))

    def _forget(self) -> None:
        """Wait for what was asked for and is not wanted any more: an answer must not be taken for another one."""
        while self._asked:
            self._answer(self._asked.popleft())
        if self._link is None:
            self._start()

    def _answer(self, asked: Asked) -> Swept:
        """What was read, and what was not. A child that does not answer in time is left behind."""
        if self._link is None or self._memory is None:
            return Swept(memoryview(b""), 0, errno.EIO, step=asked.step)  # what was asked of a child that is gone
        # The clock starts when the one before was answered, not when it was asked: the child does one read at a time.
        waiting = select.poll()  # select() knows no descriptor above 1023
        waiting.register(self._link, select.POLLIN)
        ready = waiting.poll(math.ceil(self.deadline * 1000))
        answer = b""
        if ready:
            with contextlib.suppress(OSError):
                answer = self._link.recv(_ANSWER.size)
        slot = memoryview(self._memory)[asked.slot * READ_SIZE :][: asked.size]
        if len(answer) == _ANSWER.size:
            count, failed, bad = _ANSWER.unpack(answer)
            return Swept(slot[:count], bad, failed, step=asked.step)
        number, count, bad = COME.unpack_from(self._memory, _COME_AT)
        if number != asked.number:
            count = bad = 0
        # A copy: the slot goes with the child. The sector it hangs in is one more.
        data = bytes(slot[asked.size - count :] if asked.way == BACKWARDS else slot[:count])
        self._abandon()
        return Swept(memoryview(data), bad + 1, errno.EIO if ready else errno.ETIMEDOUT, hung=True, step=asked.step)

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


class _Child:
    """In the child: answers until the other end is closed. PATIENCE: seconds for one sweep."""

    def __init__(
        self, fd: int, link: socket.socket, memory: mmap.mmap, sweeper: Union[PythonSweeper, NativeSweeper], patience: float
    ) -> None:
        self._link, self._memory, self._sweeper, self._patience = link, memory, sweeper, patience
        self._view = memoryview(memory)
        self._fds = Descriptors(-1, fd)

    def serve(self) -> NoReturn:
        """Answer, then end at once, without any of the parent's exit handlers."""
        try:
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)  # the parent decides when to stop
            _close_others(self._fds.plain, self._link.fileno())
            with contextlib.suppress(OSError):
                flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_DIRECT
                self._fds = self._fds._replace(direct=os.open(f"/proc/self/fd/{self._fds.plain}", flags))
            failed, asked = False, self._link.recv(_ASK.size)
            while len(asked) == _ASK.size:
                failed = self._fulfil(_Wish._make(_ASK.unpack(asked)), failed=failed)
                asked = self._link.recv(_ASK.size)
        finally:
            os._exit(0)

    def _fulfil(self, wish: _Wish, *, failed: bool) -> bool:
        """Read and answer; whether something could not be read. FAILED: whether that was so of the wish before."""
        into, bad = self._view[wish.slot * READ_SIZE :][: wish.size], 0
        if wish.ahead and failed:
            count, error = 0, errno.ECANCELED  # whoever asked does not know yet, and will want something else
        elif wish.way == WHOLE:
            count, error = sweeping.read_at(self._fds, into, wish.at)
        else:
            backward = wish.way == BACKWARDS
            wanted = Sweep(wish.at, wish.size, wish.step, wish.most_bad, wish.depth, backward, self._patience, wish.number)
            count, bad, error = self._sweeper.sweep(self._fds, wanted, into, self._memory, _COME_AT)
        self._link.send(_ANSWER.pack(count, error, bad))
        return bool(error) or count < wish.size


def _close_others(*keep: int) -> None:
    """What the parent has locked must not stay locked because a child of it hangs."""
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2 and int(name) not in keep:
            with contextlib.suppress(OSError):
                os.close(int(name))
