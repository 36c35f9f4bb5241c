# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""asl-admin gc-check: say what no snapshot reaches; removes nothing."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from asl.cli import stores
from asl.cli.output import fields, rest, size, table
from asl.cli.reading import ReadingLine, example

if TYPE_CHECKING:
    from asl.cli.context import Context

HELP = "say what no snapshot reaches; removes nothing"
SHOWN = 20


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    stores.add_argument(parser)
    example(parser, "asl-admin gc-check --store /mnt/asl/local")


def run(args: argparse.Namespace, context: Context) -> int:
    """Say it."""
    from asl.store.gc import gc_check

    with ReadingLine(context) as line:
        result = gc_check(stores.open_readonly(args, context), line.show)
    context.document(result)
    context.text(render(result))
    return 0


def render(result: Mapping[str, Any]) -> str:
    """The sums, and the blocks with the most bytes that nothing reaches."""
    unnamed, dropped = result["blocks_unnamed"], result["segments_dropped"]
    head = fields(
        [
            ("snapshots", f"{result['snapshots']}{' (pinned: ' + ', '.join(result['pinned']) + ')' if result['pinned'] else ''}"),
            ("not reached", f"{size(result['bytes_unreached'])} in {len(result['blocks'])} blocks"),
            ("whole blocks", sum(1 for each in result["blocks"] if each["whole"])),
            ("named by no segment", _sum(unnamed, "blocks")),
            ("merged segments kept", _sum(dropped, "segments")),
        ]
    )
    rows: list[Sequence[object]] = [("block", "size", "artifacts", "reached", "not reached")]
    most = sorted(result["blocks"], key=lambda each: -each["bytes_unreached"])
    for each in most[:SHOWN]:
        rows.append((each["block"][:16], size(each["size"]), each["artifacts"], size(each["bytes_reached"]), size(each["bytes_unreached"])))
    parts = [head, table(rows, right=(1, 2, 3, 4)) if most else ""]
    parts += rest(len(most) - SHOWN)
    return "\n".join([*(part for part in parts if part), "nothing was removed"])


def _sum(found: Sequence[Mapping[str, Any]], what: str) -> str:
    return f"{len(found)} {what}, {size(sum(each['size'] or 0 for each in found))}" if found else ""
