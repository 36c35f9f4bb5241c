# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""asl-admin unpin: take the mark away again."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from asl.cli import pins

if TYPE_CHECKING:
    from asl.cli.context import Context

HELP = "take the mark away again"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    pins.arguments(parser, "unpin")


def run(args: argparse.Namespace, context: Context) -> int:
    """Do it."""
    return pins.run(args, context, pin=False)
