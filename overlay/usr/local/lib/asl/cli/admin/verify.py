# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""asl-admin verify: read back what snapshots reach and check every digest, or read the source again."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from asl.cli import stores
from asl.cli.output import duration, first_of, lost_place, printable, size, table
from asl.cli.reading import SNAPSHOT, ReadingLine, example
from asl.errors import Usage

if TYPE_CHECKING:
    from asl.cli.context import Context

HELP = "read back what snapshots reach and check every digest; or hold the source against a snapshot"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "snapshot", metavar="SNAPSHOT", nargs="?", help=f"{SNAPSHOT} (default: all)"
    )
    parser.add_argument("--sample", metavar="PCT", type=float, help="read only this percentage of the content, the same one every time")
    parser.add_argument(
        "--source",
        metavar="N|SOURCE",
        nargs="?",
        const="",
        help="read the source again and hold it against SNAPSHOT (default: latest): every source of it, or the one with this number or "
        "name; any other SOURCE is where the snapshot's only one of its kind is now. What the snapshot lacks is not read again",
    )
    stores.add_reading(parser)
    examples = ("latest --store /mnt/asl/local", "--sample 5", "latest --source", "latest --source device:/dev/sdc")
    example(parser, *(f"asl-admin verify {each}" for each in examples))


def run(args: argparse.Namespace, context: Context) -> int:
    """Verify. 0: everything is right, 5: something is damaged, or is another thing in the source; 1: nothing is, of what could be
    compared with the source."""
    from asl.verify import verify

    if args.source is not None:
        return run_source(args, context)
    store = stores.open_readonly(args, context, fresh=True)
    snapshot = store.find_snapshot(args.snapshot) if args.snapshot else None
    with ReadingLine(context) as line:
        result = verify(store, snapshot, args.sample, line.show)
    context.document(result)
    context.text(render(result))
    return 0 if result["ok"] else 5


def run_source(args: argparse.Namespace, context: Context) -> int:
    """Hold the source against the snapshot. 0: equal, 1: equal as far as it could be compared, 5: something differs, or the store cannot
    say what was there."""
    from asl.compare import compare

    if args.sample is not None:
        raise Usage("a source is read as a whole", reason="BAD_SAMPLE", hint="leave --sample or --source out")
    if args.snapshot is None and args.source and ":" not in args.source:
        args.snapshot, args.source = args.source, ""  # `verify --source latest`: the word belongs to the snapshot
    store = stores.open_readonly(args, context, fresh=True)
    with ReadingLine(context) as line:
        result = compare(store, store.find_snapshot(args.snapshot or "latest"), args.source, line.show)
    context.document(result)
    context.text(render_source(result))
    if not result["ok"]:
        return 5
    return 0 if result["complete"] else 1


def render_source(result: Mapping[str, Any]) -> str:
    """Each source with what was compared, then what differs by name, then what could not be compared."""
    rows: list[Sequence[object]] = [("source", "read", "files", "equal", "not stored", "not readable")]
    for each in result["sources"]:
        figures = [size(each[key]) if each[key] else "" for key in ("bytes_unread", "bytes_unreadable")]
        rows.append((each["source"], each["read"], each["files"], size(each["bytes"]), *figures))
    lines = [f"snapshot {result['snapshot']} against its source; {duration(result['seconds'])}", table(rows, right=(2, 3, 4, 5))]
    lines += [f"note: {each['source']}: {printable(note)}" for each in result["sources"] for note in each["notes"]]
    for name, word in (("differences", ""), ("not_compared", "not compared: ")):
        lines += first_of(result[name], _finding, result[f"{name}_omitted"], head=word)
    return "\n".join([*lines, *_verdict(result)])


def _verdict(result: Mapping[str, Any]) -> list[str]:
    """What the comparison comes to. That the store cannot say what was there is the store's fault, and no difference."""
    found, damaged = len(result["differences"]) + result["differences_omitted"], result["not_compared_damaged"]
    said = [f"the store is DAMAGED: it cannot say what was there in {damaged} places; see asl-admin heal"] if damaged else []
    if found:
        return [*said, f"the source is NOT as it was: {found} differences"]
    return [*said, "the source is as it was" + ("" if result["complete"] else ", as far as it could be compared")]


def _finding(each: Mapping[str, Any]) -> str:
    parts = [f"{each['what'].upper()} {each['source']} {printable(os.fsdecode(each['path']))}".rstrip()]
    parts += [f": {', '.join(each['fields'])}"] if each.get("fields") else []
    ranges = each.get("ranges", [])
    if ranges:
        more = len(ranges) + each["ranges_omitted"] - 1
        parts.append(f" bytes {ranges[0][0]} to {sum(ranges[0]) - 1}" + (f" and {more} ranges more" if more else ""))
    parts += [f" with {each['below']} names below"] if each.get("below") else []
    return "".join([*parts, f" ({printable(each['why'])})"])


def render(result: Mapping[str, Any]) -> str:
    """What was read, and the losses by path."""
    which = "snapshot " + ", ".join(result["snapshots"]) if len(result["snapshots"]) == 1 else f"{len(result['snapshots'])} snapshots"
    lines = [
        f"{which}: {result['files']} files, {result['artifacts']} artifacts read, {size(result['bytes'])}; {duration(result['seconds'])}"
    ]
    if result["artifacts_skipped"]:
        lines.append(f"a sample: {result['artifacts_skipped']} artifacts were not read, only looked up")
    found, omitted = result["damaged"], result["damaged_omitted"]
    lines += first_of(found, lambda each: f"DAMAGED {lost_place(each)}: {printable(each['why'])}", omitted)
    lines.append("everything is as it was stored" if result["ok"] else f"{len(found) + omitted} losses")
    return "\n".join(lines)
