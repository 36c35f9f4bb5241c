# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask something that may never answer: a sick disk, a hung mount, a name server.

A read that hangs in the kernel cannot be taken back, so it is done by a process of its own. That process is killed at the deadline
and, when even that does not help, left behind: we go on without it.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import selectors
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Optional, TypeVar

T = TypeVar("T")


class Outcome(NamedTuple):
    """What a child found out (``value``), or why it did not (``error``)."""

    value: Any
    error: Optional[str] = None
    timed_out: bool = False


class _Child:
    def __init__(self, name: str, function: Callable[[], Any]) -> None:
        self.name = name
        self.began = time.monotonic()
        self.data = bytearray()
        self.handle, write = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            _answer(function, write)  # never returns
        os.close(write)

    def end(self, *, kill: bool) -> None:
        os.close(self.handle)
        if kill:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
        # A child that hangs in the kernel does not die: look once, do not wait for it.
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, os.WNOHANG if kill else 0)

    def outcome(self) -> Outcome:
        try:
            value, error = json.loads(self.data)
        except ValueError:
            return Outcome(None, "the reading process ended without an answer")
        return Outcome(value, error)


def _answer(function: Callable[[], Any], write: int) -> None:
    """In the child: run, send ``[value, error]`` as JSON, end at once without any of the parent's exit handlers."""
    status = 1
    try:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        try:
            answer: list[Any] = [function(), None]
        except OSError as error:
            answer = [None, (error.strerror or str(error)).lower()]
        except Exception as error:
            answer = [None, f"{type(error).__name__}: {error}"]
        with os.fdopen(write, "wb") as pipe:
            pipe.write(json.dumps(answer).encode("ascii"))
        status = 0
    finally:
        os._exit(status)


def in_children(functions: Mapping[str, Callable[[], Any]], seconds: float, *, jobs: int = 8) -> dict[str, Outcome]:
    """Run every function in a process of its own, ``jobs`` at a time, each with ``seconds``. Results must be JSON values.

    Never raises for what a function does: an exception or a passed deadline is that name's Outcome. Order is that of ``functions``.
    """
    waiting = list(functions.items())
    outcomes: dict[str, Outcome] = {}
    sys.stdout.flush()
    with selectors.DefaultSelector() as selector:
        running: dict[int, _Child] = {}
        try:
            while waiting or running:
                while waiting and len(running) < jobs:
                    child = _Child(*waiting.pop(0))
                    running[child.handle] = child
                    selector.register(child.handle, selectors.EVENT_READ)
                first = min(child.began for child in running.values())
                for key, _events in selector.select(max(0.0, first + seconds - time.monotonic())):
                    child = running[key.fd]
                    data = os.read(key.fd, 1 << 16)
                    child.data += data
                    if not data:
                        selector.unregister(key.fd)
                        running.pop(key.fd).end(kill=False)
                        outcomes[child.name] = child.outcome()
                for child in [each for each in running.values() if time.monotonic() - each.began >= seconds]:
                    selector.unregister(child.handle)
                    running.pop(child.handle).end(kill=True)
                    outcomes[child.name] = Outcome(None, f"no answer within {seconds:g} seconds", timed_out=True)
        finally:
            for child in running.values():
                child.end(kill=True)
    return {name: outcomes[name] for name in functions}


def in_child(function: Callable[[], Any], seconds: float) -> Outcome:
    """Run one function in a process of its own; see in_children."""
    return in_children({"": function}, seconds)[""]


def in_thread(function: Callable[[], T], seconds: float) -> T:
    """Run a function that can wait for the network, but not hang in the kernel. Raises TimeoutError, or what the function raised."""
    answers: queue.Queue[tuple[Optional[T], Optional[BaseException]]] = queue.Queue()

    def work() -> None:
        try:
            answers.put((function(), None))
        except BaseException as error:
            answers.put((None, error))

    threading.Thread(target=work, daemon=True).start()
    try:
        value, error = answers.get(timeout=max(0.0, seconds))
    except queue.Empty:
        raise TimeoutError(f"no answer within {seconds:g} seconds") from None
    if error is not None:
        raise error
    return value  # type: ignore[return-value]
