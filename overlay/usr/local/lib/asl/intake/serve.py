# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The loop that works through the queue: asl-intake.service, or a detached process where there is no systemd.

One server a machine, one job at a time: two readers on one disk would only make it seek. A server that is killed leaves its job
without a result; the next server takes it up again, and what is stored is not stored twice.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Optional

from asl import paths
from asl.config import Config
from asl.errors import Interrupted, as_asl_error
from asl.intake import mount, queue
from asl.intake.progress import Progress
from asl.intake.reach import remote
from asl.intake.run import run as run_intake

log = logging.getLogger("asl.intake")
# The configuration with the settings of a job over it; raises Usage.
Configure = Callable[[Mapping[str, str]], Config]
# Seconds between two looks at the queue where nobody calls: a request may be written by hand.
LOOK = 5.0
# Seconds until a job that could not be given a result is tried again.
PUT_OFF = 60.0


def call() -> None:
    """Wake the server, if there is one."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as caller:
        caller.sendto(b"!", _bell())


def _bell() -> str:
    return paths.run("sockets", "intake")


@contextmanager
def _listening() -> Iterator[Optional[socket.socket]]:
    """The socket on which submit calls; None where it cannot be made, and the loop looks by itself."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bell:
        heard = True
        try:
            os.makedirs(os.path.dirname(_bell()), mode=0o700, exist_ok=True)
            with contextlib.suppress(FileNotFoundError):
                os.unlink(_bell())
            bell.bind(_bell())
        except OSError as error:
            log.warning("cannot listen on %s: %s", _bell(), error)
            heard = False
        yield bell if heard else None


def serve(configure: Configure, *, drain: bool) -> bool:
    """Work through the queue; with DRAIN until it is empty, else for ever. False when another server is there.

    A job that cannot even be given a result is put off: it must not keep the others waiting."""
    put_off: dict[str, float] = {}
    queue.make_folder(paths.state("locks"))
    with queue.hold(queue.server_lock()) as mine:
        if not mine:
            return False
        with _listening() as bell:
            while True:
                job = _next(put_off)
                if job is not None:
                    try:
                        work(job, configure)
                    except Exception as error:
                        log.error("job %s cannot be worked on: %s", job.id, as_asl_error(error).message)
                        put_off[job.id] = time.monotonic() + PUT_OFF
                    gc.collect()  # a server lives long, and what a job left behind in a cycle holds files open
                elif drain and _may_leave(put_off):
                    return True
                else:
                    _wait(bell)


def _next(put_off: Mapping[str, float]) -> Optional[queue.Job]:
    now = time.monotonic()
    return next((job for job in queue.jobs() if job.state == queue.QUEUED and put_off.get(job.id, now) <= now), None)


def _may_leave(put_off: Mapping[str, float]) -> bool:
    # Within the lock of the queue nobody submits: a submit that saw this server either finds it working or finds it gone.
    with queue.locked():
        if _next(put_off) is None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(queue.server_lock())
            return True
    return False


def _wait(bell: Optional[socket.socket]) -> None:
    ready = select.select([bell] if bell else [], [], [], LOOK)[0]
    for each in ready:
        each.recv(16)


def work(job: queue.Job, configure: Configure) -> None:
    """Run one job to its result. Raises KeyboardInterrupt, which leaves the job queued."""
    with queue.hold(job.path("lock")) as mine:
        if not mine:
            return
        result = _result(job, configure)
        job.save("result.json", result)
        job.forget("cancel")
        log.info("job %s: %s", job.id, result.get("error") or f"snapshot {result['snapshot']}, digest {result['digest']}")


def _result(job: queue.Job, configure: Configure) -> dict[str, Any]:
    def show(progress: dict[str, Any]) -> None:
        if job.has("cancel"):
            raise Interrupted("the job was cancelled", reason="CANCELLED", hint="submit it again: it goes on where it stopped")
        job.save("progress.json", progress)

    try:
        request = job.request
        log.info("job %s: %s", job.id, "; ".join(request.actions()))
        config = configure(job.settings)
        progress = Progress(show=show, limit=config.intake_bandwidth)
        reached = remote(config, request.store, request.domain)
        mount.check(config, request.store, request.sources)
        return run_intake(
            request,
            progress=progress,
            jobs=config.workers,
            block_size=config.block_size,
            remote=reached,
            block_compression=config.block_compression,
            block_level=config.block_level,
        )
    except Exception as error:  # whatever it is, it is the end of this job and of no other
        told = as_asl_error(error)
        return {**told.document(), "changed": False, "exit_code": told.exit_code}


def ensure_server(tool: str) -> bool:
    """Call the server; where there is none, start a detached one with TOOL (the path of asl-intake). True when it was started."""
    with queue.locked():
        present = queue.server_present()
        if not present:
            _detach(tool)
    if present:
        call()
    return not present


def _detach(tool: str) -> None:
    # A session of its own: it outlives the SSH connection that asked for it.
    with open(paths.state("runtime", "intake.log"), "ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-B", os.path.abspath(tool), "serve", "--drain"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            cwd="/",
        )
    process.returncode = 0  # not waited for: it is nobody's child when this process ends
