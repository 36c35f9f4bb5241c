# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""asl-admin verify: read back what snapshots reach and check every digest."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from asl.cli import stores
from asl.cli.output import LOSSES_SHOWN, duration, printable, size
from asl.cli.reading import ReadingLine, example

if TYPE_CHECKING:
    from asl.cli.context import Context

HELP = "read back what snapshots reach and check every digest"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "snapshot", metavar="SNAPSHOT", nargs="?", help="a snapshot: its id, its digest (8 characters or more) or latest (default: all)"
    )
    parser.add_argument("--sample", metavar="PCT", type=float, help="read only this percentage of the content, the same one every time")
    stores.add_argument(parser)
    example(parser, "asl-admin verify latest --store /mnt/asl/local", "asl-admin verify --sample 5")


def run(args: argparse.Namespace, context: Context) -> int:
    """Verify. 0: everything is right, 5: something is damaged."""
    from asl.verify import verify

    store = stores.open_readonly(args, context)
    snapshot = store.find_snapshot(args.snapshot) if args.snapshot else None
    with ReadingLine(context) as line:
        result = verify(store, snapshot, args.sample, line.show)
    context.document(result)
    context.text(render(result))
    return 0 if result["ok"] else 5


def render(result: Mapping[str, Any]) -> str:
    """What was read, and the losses by path."""
    which = "snapshot " + ", ".join(result["snapshots"]) if len(result["snapshots"]) == 1 else f"{len(result['snapshots'])} snapshots"
    lines = [
        f"{which}: {result['files']} files, {result['artifacts']} artifacts read, {size(result['bytes'])}; {duration(result['seconds'])}"
    ]
    if result["artifacts_skipped"]:
        lines.append(f"a sample: {result['artifacts_skipped']} artifacts were not read, only looked up")
    found, total = result["damaged"], len(result["damaged"]) + result["damaged_omitted"]
    for each in found[:LOSSES_SHOWN]:
        place = f" bytes {each['offset']} to {each['offset'] + each['length'] - 1}" if "length" in each else ""
        where = f"{each['source']} {os.fsdecode(each['path'])}".strip() or "the snapshot itself"
        lines.append(f"DAMAGED snapshot {each['snapshot']}: {printable(where)}: {each['what']}{place}: {printable(each['why'])}")
    if total > LOSSES_SHOWN:
        lines.append(f"… and {total - LOSSES_SHOWN} more: --json lists them")
    lines.append("everything is as it was stored" if result["ok"] else f"{total} losses")
    return "\n".join(lines)
