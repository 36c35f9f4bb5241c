# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""asl-intake survey: every disk, what is on it, and what could be taken."""

from __future__ import annotations

import argparse

from asl.cli.context import Context
from asl.cli.surveys import disks_text, pools_text

HELP = "show every disk, its health, what is on it and what could be taken; changes nothing"


def arguments(parser: argparse.ArgumentParser) -> None:
    """--device and --deadline."""
    parser.add_argument("--device", metavar="PATH", action="append", default=[], help="only this device or image file; may be repeated")
    parser.add_argument(
        "--deadline", metavar="SECONDS", type=float, default=30.0, help="how long each device may take (default: %(default)g)"
    )


def run(args: argparse.Namespace, context: Context) -> int:
    """Exit 0 also when a disk does not answer: that is what the survey says of it."""
    from asl.survey import survey

    result = survey(args.device, seconds=args.deadline, tools=True)
    context.document(result)
    context.text("\n\n".join([disks_text(result["disks"]), *([pools_text(result["pools"])] if result["pools"] else [])]))
    return 0
