# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What pin and unpin share."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from asl.cli import stores
from asl.cli.reading import SNAPSHOT, example
from asl.formats import records

if TYPE_CHECKING:
    from asl.cli.context import Context


def arguments(parser: argparse.ArgumentParser, command: str) -> None:
    """Add the arguments."""
    parser.add_argument("snapshot", metavar="SNAPSHOT", help=SNAPSHOT)
    stores.add_argument(parser)
    example(parser, f"asl-admin {command} latest --store /mnt/asl/local")


def run(args: argparse.Namespace, context: Context, *, pin: bool) -> int:
    """Set or take away the mark; a second time changes nothing."""
    from asl.store.snapshots import find

    with stores.open_for_adding(args, context) as writer:
        snapshot = find(writer, args.snapshot)
        changed = snapshot.pinned != pin
        if changed:
            writer.record(records.SNAPSHOT_PIN if pin else records.SNAPSHOT_UNPIN, records.encode_number(snapshot.id))
    context.document({"snapshot": str(snapshot.id), "digest": snapshot.digest, "pinned": pin, "changed": changed})
    context.text(f"snapshot {snapshot.id} is {'' if changed else 'already '}{'pinned' if pin else 'not pinned'}")
    return 0
