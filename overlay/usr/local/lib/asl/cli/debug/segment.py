# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""asl-debug segment: list segments, or print the index entries of one."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from asl.cli import stores
from asl.cli.output import size, table
from asl.cli.reading import example
from asl.errors import AslError, NotFound
from asl.names import reference_text

if TYPE_CHECKING:
    from asl.cli.context import Context
    from asl.store import Store
    from asl.store.index import Segment

HELP = "print the index entries of a segment"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("segment", metavar="ID", nargs="?", type=int, help="the number of a segment (default: list them all)")
    stores.add_argument(parser)
    example(parser, "asl-debug segment --store /mnt/asl/local", "asl-debug segment 1 --store /mnt/asl/local")


def run(args: argparse.Namespace, context: Context) -> int:
    """Print. 5 when a segment is damaged."""
    store = stores.open_readonly(args, context)
    if args.segment is None:
        listed = [_summary(each) for each in reversed(store.index.segments())]
        context.document({"store": store.backend.location, "segments": listed})
        context.text(render_list(listed))
        return 0 if all(each["ok"] for each in listed) else 5
    segment = _find(store, args.segment)
    summary = _summary(segment)
    if context.json:
        context.document({"store": store.backend.location, **summary, "entries": list(_entries(segment))})
    else:
        for each in _entries(segment):
            print(_line(each))
        context.text(render_list([summary]))
    return 0 if summary["ok"] else 5


def _find(store: Store, number: int) -> Segment:
    for each in store.index.segments():
        if each.id == number:
            return each
    raise NotFound(f"{store.backend.location}: no segment {number} is visible", hint="asl-debug segment lists them")


def _summary(segment: Segment) -> dict[str, Any]:
    try:
        segment.verify()
        error = None
    except AslError as failed:
        error = failed.message
    blocks = len(segment.blocks())
    return {
        "segment": segment.id, "hash": segment.hash.hex(), "size": segment.size, "records": segment.count, "blocks": blocks,
        "ok": error is None, "error": error,
    }  # fmt: skip


def _entries(segment: Segment) -> Iterator[dict[str, Any]]:
    for digest, location in segment.entries():
        extents = [{"block": extent.block.hex(), "offset": extent.offset, "length": extent.length} for extent in location]
        yield {"reference": reference_text(digest), "extents": extents}


def _line(entry: Mapping[str, Any]) -> str:
    places = (f"{each['block'][:16]} at {each['offset']}, {each['length']} bytes" for each in entry["extents"])
    return f"{entry['reference']}  {'; '.join(places)}"


def render_list(listed: Sequence[Mapping[str, Any]]) -> str:
    """One line a segment."""
    rows: list[Sequence[object]] = [("segment", "records", "blocks", "size", "SHA-256", "")]
    for each in listed:
        state = "" if each["ok"] else f"DAMAGED: {each['error']}"
        rows.append((each["segment"], each["records"], each["blocks"], size(each["size"]), each["hash"][:16], state))
    return table(rows, right=(0, 1, 2, 3))
