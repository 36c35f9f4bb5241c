# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""asl-admin pin: mark a snapshot as never to be removed."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from asl.cli import pins

if TYPE_CHECKING:
    from asl.cli.context import Context

HELP = "mark a snapshot as never to be removed"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    pins.arguments(parser, "pin")


def run(args: argparse.Namespace, context: Context) -> int:
    """Do it."""
    return pins.run(args, context, pin=True)
