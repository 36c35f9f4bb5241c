# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""asl-admin snapshots: list snapshots."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from asl.cli import stores
from asl.cli.output import size, table
from asl.cli.reading import example, local_time

if TYPE_CHECKING:
    from asl.cli.context import Context

HELP = "list snapshots"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    stores.add_reading(parser)
    parser.add_argument("--label", action="append", default=[], metavar="KEY=VALUE", help="only those with this label; may be repeated")
    example(parser, "asl-admin snapshots --store /mnt/asl/local", "asl-admin snapshots --label host=web07.example.com")


def run(args: argparse.Namespace, context: Context) -> int:
    """List them, oldest first."""
    wanted = _labels(args.label).items()
    store = stores.open_readonly(args, context)
    listed = [each.document() for each in store.snapshots() if not wanted or wanted <= each.about.labels.items()]
    context.document({"store": store.backend.location, "snapshots": listed})
    none = "no snapshot with such labels" if wanted else "no snapshot yet"
    context.text(render(listed) if listed else f"{store.backend.location}: {none}")
    return 0


def _labels(words: Sequence[str]) -> Mapping[str, str]:
    if not words:
        return {}
    from asl.intake.request import parse_labels

    return parse_labels(words)


def render(listed: Sequence[Mapping[str, Any]]) -> str:
    """One line a snapshot."""
    rows: list[Sequence[object]] = [("id", "sealed", "domain", "size", "files", "losses", "sources", "labels", "digest", "pinned")]
    for each in listed:
        rows.append(
            (
                each["snapshot"],
                local_time(each["sealed"]),
                each["domain"],
                size(each["size"]),
                each["files"],
                each["losses"] or "",
                " ".join(each["sources"]),
                " ".join(f"{key}={value}" for key, value in sorted(each["labels"].items())) if each["labels"] else "",
                each["digest"][:12],
                "pinned" if each["pinned"] else "",
            )
        )
    return table(rows, right=(0, 3, 4, 5))
