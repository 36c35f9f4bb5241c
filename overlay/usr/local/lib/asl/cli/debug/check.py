# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""asl-debug check: check every byte of a store and name each fault."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from asl.cli import stores
from asl.cli.output import duration, printable, size
from asl.cli.reading import ReadingLine, example

if TYPE_CHECKING:
    from asl.cli.context import Context
    from asl.store.check import CheckResult

HELP = "check every byte of a store and name each fault"
SHOWN = 50


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    stores.add_argument(parser)
    example(parser, "asl-debug check --store /mnt/asl/local")


def run(args: argparse.Namespace, context: Context) -> int:
    """Check the store. 0: no fault, 5: faults. Raises NotFound, Unavailable."""
    from asl.store import raw
    from asl.store.check import check

    location = stores.location(args, context)
    with ReadingLine(context) as line:
        result = check(raw(location, stores.reached(location, args, context)), line.show)
    context.document({"store": location, **result.document()})
    context.text(render(result))
    return 0 if result.ok else 5


def render(result: CheckResult) -> str:
    """The faults, the notes, and what was checked."""
    lines = []
    for title, found in (("FAULT", result.faults), ("note", result.notes)):
        lines += [f"{title} {each.object}: {printable(each.what)} [{each.reason}]" for each in found[:SHOWN]]
        if len(found) > SHOWN:
            lines.append(f"… and {len(found) - SHOWN} more: --json lists them")
    counts = result.counts
    lines.append(
        f"{counts.get('files', 0)} files, {size(counts.get('bytes', 0))}: {counts.get('blocks', 0)} blocks, "
        f"{counts.get('artifacts', 0)} artifacts, {counts.get('segments', 0)} segments, {counts.get('log_records', 0)} log records, "
        f"{counts.get('snapshots', 0)} snapshots; {duration(result.seconds)}"
    )
    lines.append("no fault" if result.ok else f"{len(result.faults)} faults")
    if not result.ok:
        lines.append("next: asl-admin verify names the files that are hit")
    return "\n".join(lines)
