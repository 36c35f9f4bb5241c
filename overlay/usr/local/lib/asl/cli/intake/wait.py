# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""asl-intake wait: until a job ends."""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any, Optional

from asl.cli.context import Context
from asl.cli.jobs import exit_code, job_text
from asl.cli.output import ProgressLine
from asl.errors import Unavailable

HELP = "wait for a job to end"
# Seconds between two looks. A look is one stat of one file in RAM.
LOOK = 0.25
# Seconds that a server gets to show up before it counts as dead, and how many deaths are borne: one more start is a resume,
# again and again would hide a fault.
GRACE = 3.0
DEATHS = 3


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("job", metavar="JOB", help="the id of the job, as submit prints it")
    parser.add_argument("--timeout", type=float, metavar="SECONDS", help="give up waiting after so long; the job goes on")
    parser.add_argument("--collect", action="store_true", help="take the result: submitting the same request again means a new run")


def run(args: argparse.Namespace, context: Context) -> int:
    """Wait; print the job. A timeout is no failure of the job: it is printed as it stands, exit status 0 with `finished` false."""
    job = wait(args.job, args.timeout, context)
    if args.collect and job["finished"]:
        from asl.intake import queue

        queue.collect(queue.find(args.job))
    context.document({**(job["result"] or {}), **job})
    context.text(job_text(job))
    return exit_code(job)


def wait(job_id: str, timeout: Optional[float], context: Context) -> dict[str, Any]:
    """The job's document when it has ended, or when TIMEOUT seconds are over. Raises NotFound, Unavailable."""
    from asl.intake import queue, serve, wellformed

    job = queue.find(job_id)
    end = None if timeout is None else time.monotonic() + timeout
    line = ProgressLine(context)
    started, alive = 0, time.monotonic()
    try:
        while not job.has("result.json"):
            if queue.server_present():
                alive = time.monotonic()
            elif time.monotonic() - alive > GRACE:
                if started == DEATHS:
                    what = f"job {job_id} does not end: its process died {started} times"
                    raise Unavailable(what, reason="WORKER_DIED", hint="see /var/lib/asl/runtime/intake.log and dmesg (out of memory?)")
                started += serve.ensure_server(sys.argv[0])
                alive = time.monotonic()
            progress = wellformed.progress(job.load("progress.json"))
            if progress:
                line.show(progress)
            if end is not None and time.monotonic() >= end:
                break
            time.sleep(LOOK)
    finally:
        line.close()
    return job.document()
