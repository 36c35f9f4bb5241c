# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""asl-debug check: check every byte of a store and name each fault."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from asl.cli import stores
from asl.cli.output import duration, first_of, printable, size
from asl.cli.reading import ReadingLine, example
from asl.errors import Usage

if TYPE_CHECKING:
    from asl.cli.context import Context
    from asl.store.check import CheckResult
    from asl.store.check.findings import Fault

HELP = "check every byte of a store and name each fault"
SHOWN = 50


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    stores.add_argument(parser)
    parser.add_argument(
        "--rebuild", action="store_true", help="first make log, index and checkpoints anew from the blocks; nobody may write to the store"
    )
    example(parser, "asl-debug check --store /mnt/asl/local")


def run(args: argparse.Namespace, context: Context) -> int:
    """Check the store, with what the admitted peers have for it. 0: no fault, 5: faults. Raises NotFound, Unavailable."""
    from asl.backends.posix import Posix
    from asl.store import raw
    from asl.store.check import check
    from asl.store.rebuild import rebuild

    location, remote, peers = stores.reading_place(args, context, fresh=True)
    if args.rebuild and "://" in location:
        hint = "run it where the store lies, and name its directory"
        raise Usage(f"{location} cannot be rebuilt through a gateway", reason="REMOTE_UNSUPPORTED", hint=hint)
    anew: dict[str, Any] = {}
    with ReadingLine(context) as line:
        if args.rebuild:
            anew = rebuild(Posix(location), line.show).document()
            context.text(_rebuilt(anew["rebuilt"]))
        result = check(raw(location, remote), line.show, peers)
    context.document({"store": location, **anew, **result.document()})
    context.text(render(result))
    return 0 if result.ok else 5


def _rebuilt(done: dict[str, Any]) -> str:
    text = f"made anew from {done['blocks']} blocks: {done['artifacts']} artifacts, {done['snapshots']} snapshots"
    if done["from_receipts"]:
        text += f", {done['from_receipts']} of them from their receipts"
    if done["receipts_passed_over"]:
        text += f"; {done['receipts_passed_over']} receipts were passed over, which name no snapshot"
    if done["renumbered"]:
        text += "; some have other ids now"
    return text


def render(result: CheckResult) -> str:
    """The faults, the notes, and what was checked."""
    lines = []
    for title, found in (("FAULT", result.faults), ("note", result.notes)):
        lines += first_of(found, _fault, head=f"{title} ", shown=SHOWN)
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


def _fault(each: Fault) -> str:
    return f"{each.object}: {printable(each.what)} [{each.reason}]"
