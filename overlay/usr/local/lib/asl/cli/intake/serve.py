# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""asl-intake serve: the loop behind asl-intake.service."""

from __future__ import annotations

import argparse

from asl.cli import stores
from asl.cli.context import Context
from asl.errors import Unavailable

HELP = "work through the queue (what asl-intake.service runs)"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("--drain", action="store_true", help="end when the queue is empty")


def run(args: argparse.Namespace, context: Context) -> int:
    """Serve. Ends with exit status 130 on SIGINT and SIGTERM; the job it worked on stays queued."""
    from asl import logs
    from asl.intake import serve

    logs.configure()
    if stores.mode() in ("", "none") and not args.drain:
        context.note("mode is none: waiting for the operator (asl-intake submit SOURCE --store DIR)")
    if not serve.serve(context.configured, drain=args.drain):
        if args.drain:
            return 0
        raise Unavailable("another asl-intake serve works on this machine", reason="SERVER_PRESENT")
    return 0
