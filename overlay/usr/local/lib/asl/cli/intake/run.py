# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""asl-intake run: read sources into a store, here and now."""

from __future__ import annotations

import argparse

from asl import kernel
from asl.cli import requests
from asl.cli.context import Context
from asl.cli.output import ProgressLine, result_text

HELP = "read sources into a store as one sealed snapshot, here and now"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    requests.add_arguments(parser)
    parser.add_argument("--jobs", type=int, metavar="N", help="hashing threads (default: intake.jobs, else one per CPU)")


def run(args: argparse.Namespace, context: Context) -> int:
    """Run the intake and print its result."""
    from asl.intake import mount
    from asl.intake.progress import Progress
    from asl.intake.reach import remote
    from asl.intake.run import run as run_intake

    request = requests.from_arguments(args, context)
    chosen = kernel.load()
    if chosen.slow:
        context.note(f"note: libasl is not used ({chosen.why}); the Python twin gives the same bytes, but slowly")
    line = ProgressLine(context)
    jobs = args.jobs if args.jobs is not None else context.config.workers
    try:
        progress = Progress(show=line.show, limit=context.config.intake_bandwidth)
        reached = remote(context.config, request.store, request.domain)
        config = context.config
        mount.check(config, request.store, request.sources)
        result = run_intake(
            request,
            progress=progress,
            jobs=jobs,
            block_size=config.block_size,
            remote=reached,
            block_compression=config.block_compression,
            block_level=config.block_level,
        )
    finally:
        line.close()
    context.document(result)
    context.text(result_text(result))
    return int(result["exit_code"])
