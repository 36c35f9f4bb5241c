# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Passes connections to this machine on to one of its hosts, which cannot reach each other: a process of its own, until stop()."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

WAIT_SECONDS = 30
_PID = "relay.pid"


def start(folder: Path, port: int, target: str) -> None:
    """Listen on PORT of this machine and pass everything on to TARGET, the same port. Returns when it listens."""
    argv = [sys.executable, "-B", str(Path(__file__).resolve()), str(port), target]
    started = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    (folder / _PID).write_text(str(started.pid))
    end = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < end:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        time.sleep(0.05)
    raise TimeoutError(f"the relay does not listen on {port}")


def stop(folder: Path) -> None:
    """End the relay of FOLDER, when there is one. Only that very process is meant: its command line is looked at."""
    with contextlib.suppress(OSError, ValueError):
        pid = int((folder / _PID).read_text())
        if str(Path(__file__).resolve()).encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
            os.kill(pid, signal.SIGKILL)


def _pass(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while piece := source.recv(262144):
            sink.sendall(piece)
    for each in (source, sink):
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)


def main(port: int, target: str) -> None:
    """Serve for ever."""
    listener = socket.create_server(("0.0.0.0", port), backlog=64)
    while True:
        client, _ = listener.accept()
        try:
            server = socket.create_connection((target, port), 10)
        except OSError:
            client.close()
            continue
        for source, sink in ((client, server), (server, client)):
            threading.Thread(target=_pass, args=(source, sink), daemon=True).start()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
