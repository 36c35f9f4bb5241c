# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""asl-admin init: make an empty store."""

from __future__ import annotations

import argparse

from asl.cli.context import Context

HELP = "make an empty store"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("directory", metavar="DIR", help="an empty directory, or one that does not exist yet")


def run(args: argparse.Namespace, context: Context) -> int:
    """Make the store; a second time changes nothing."""
    from asl.intake import mount
    from asl.store import init_store

    mount.check(context.config, args.directory, [])
    store_id, made = init_store(args.directory)
    context.document({"store": args.directory, "store_id": store_id, "changed": made})
    context.text(f"{args.directory}: {'an empty store was made' if made else 'is a store already; nothing was changed'} (id {store_id})")
    return 0
