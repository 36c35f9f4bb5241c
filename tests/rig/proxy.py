# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A TCP proxy on the loopback that is as bad as a network can be: it resets, stalls, truncates and duplicates, or is far away."""

from __future__ import annotations

import contextlib
import queue
import random
import socket
import struct
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

RESET, STALL, TRUNCATE, DUPLICATE = "reset", "stall", "truncate", "duplicate"
FAULTS = (RESET, STALL, TRUNCATE, DUPLICATE)
_PIECE = 65536


class Fault(NamedTuple):
    """What happens to a connection when AFTER bytes have gone one way (`up`: from the client)."""

    kind: str
    up: bool
    after: int


class Proxy:
    """Forwards every connection to PORT. PLAN gives the fault of the next connection, or None."""

    def __init__(self, port: int, plan: Callable[[], Fault | None] = lambda: None, *, one_way: float = 0.0, rate: float = 0.0) -> None:
        """ONE_WAY seconds of delay each way, RATE bytes a second from the client for all connections together (0: no limit)."""
        self._target, self._plan, self._one_way, self._rate = port, plan, one_way, rate
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = int(self._listener.getsockname()[1])
        self.url = f"https://localhost:{self.port}"
        self.done: dict[str, int] = dict.fromkeys(FAULTS, 0)
        self.connections = 0
        self.bytes_up = 0
        self._free_at, self._mutex = 0.0, threading.Lock()
        self._open: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            try:
                server = socket.create_connection(("127.0.0.1", self._target), 5)
                server.settimeout(None)
            except OSError:
                _reset(client)
                continue
            self._open |= {client, server}
            fault = self._plan()
            for each in (client, server):
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for source, sink, up in ((client, server, True), (server, client, False)):
                mine = fault if fault and fault.up == up else None
                target = self._far if self._one_way else self._pump
                threading.Thread(target=target, args=(source, sink, mine, up), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, fault: Fault | None, up: bool) -> None:
        gone = 0
        with contextlib.suppress(OSError):
            while piece := source.recv(_PIECE):
                if fault and gone + len(piece) > fault.after:
                    sink.sendall(piece[: fault.after - gone])
                    self._strike(fault, source, sink, piece)
                    fault = None
                    continue
                sink.sendall(piece)
                gone += len(piece)
                self.bytes_up += len(piece) if up else 0
        self._end(source, sink)

    def _strike(self, fault: Fault, source: socket.socket, sink: socket.socket, piece: bytes) -> None:
        with self._mutex:
            self.done[fault.kind] += 1
        if fault.kind == DUPLICATE:
            sink.sendall(piece)
            sink.sendall(piece)
            return
        if fault.kind == STALL:
            threading.Event().wait(1.5)  # longer than the tests' client bears silence
        if fault.kind == TRUNCATE:
            with contextlib.suppress(OSError):
                sink.shutdown(socket.SHUT_WR)
            raise ConnectionAbortedError
        _reset(source)
        _reset(sink)
        raise ConnectionAbortedError

    def _far(self, source: socket.socket, sink: socket.socket, _fault: Fault | None, up: bool) -> None:
        """Each piece leaves ONE_WAY seconds after it came, and at RATE; the pipe holds what fits into it, as a long line does."""
        line: queue.Queue[tuple[float, bytes]] = queue.Queue(4096)

        def out() -> None:
            with contextlib.suppress(OSError):
                while True:
                    due, piece = line.get()
                    if not piece:
                        break
                    time.sleep(max(0.0, due - time.monotonic()))
                    sink.sendall(piece)
            self._end(source, sink)

        threading.Thread(target=out, daemon=True).start()
        with contextlib.suppress(OSError):
            while piece := source.recv(_PIECE):
                line.put((self._departure(len(piece)) if up else time.monotonic() + self._one_way, piece))
                self.bytes_up += len(piece) if up else 0
        line.put((0.0, b""))

    def _departure(self, size: int) -> float:
        with self._mutex:
            now = time.monotonic()
            self._free_at = max(self._free_at, now) + (size / self._rate if self._rate else 0.0)
            ahead = self._free_at - now
        if ahead > 0.05:
            time.sleep(ahead - 0.05)  # the line is full: the sender has to wait
        return now + ahead + self._one_way

    def _end(self, source: socket.socket, sink: socket.socket) -> None:
        for each in (source, sink):
            self._open.discard(each)
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def cut_all(self) -> None:
        """Reset every connection."""
        for each in list(self._open):
            _reset(each)

    def close(self) -> None:
        """Stop listening, and cut what is open."""
        self._listener.close()
        self.cut_all()


def _reset(connection: socket.socket) -> None:
    """Close so that the other side sees a reset."""
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.shutdown(socket.SHUT_RDWR)
    with contextlib.suppress(OSError):
        connection.close()


def plan(rng: random.Random, share: float, longest: int) -> Callable[[], Fault | None]:
    """Faults for this SHARE of connections, each after up to LONGEST bytes; small numbers are as likely as large ones."""

    def next_fault() -> Fault | None:
        if rng.random() > share:
            return None
        after = int(longest ** rng.random())
        return Fault(rng.choice(FAULTS), rng.random() < 0.7, after)

    return next_fault
