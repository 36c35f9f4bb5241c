# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""asl-intake cancel: stop a job."""

from __future__ import annotations

import argparse

from asl.cli.context import Context

HELP = "stop a job; what it has stored stays and is used by the next run"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("job", metavar="JOB", help="the id of the job, as submit prints it")


def run(args: argparse.Namespace, context: Context) -> int:
    """Ask the job to stop; it does so within about a second of its next read."""
    from asl.intake import queue, serve

    job = queue.find(args.job)
    stopping = queue.cancel(job)
    serve.call()
    context.document({"job": job.id, "changed": stopping, "state": job.state})
    context.text(f"job {job.id}: {'stopping' if stopping else 'it has ended already'}")
    return 0
