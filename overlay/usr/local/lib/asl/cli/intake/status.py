# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""asl-intake status: jobs, or one job."""

from __future__ import annotations

import argparse

from asl.cli.context import Context
from asl.cli.jobs import exit_code, job_text

HELP = "show jobs, or one job"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("job", metavar="JOB", nargs="?", help="the id of a job, as submit prints it")


def run(args: argparse.Namespace, context: Context) -> int:
    """Print the job; without one, all of them. The exit status is that of a finished job."""
    from asl.intake import queue

    if args.job:
        job = queue.find(args.job).document()
        # A finished job gives the keys of its result at the top level as well, like run.
        context.document({**(job["result"] or {}), **job})
        context.text(job_text(job))
        return exit_code(job)
    every = [job.document() for job in queue.jobs()]
    context.document({"jobs": every, "server": queue.server_present()})
    context.text("\n".join(job_text(job) for job in every) or "no jobs")
    return 0
