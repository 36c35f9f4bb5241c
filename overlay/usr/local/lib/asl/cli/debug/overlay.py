# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""asl-debug overlay: hold this system against the overlay that was laid on it."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from asl.overlay.compare import compare
from asl.overlay.root import Root

if TYPE_CHECKING:
    from asl.cli.context import Context

HELP = "hold this system against the overlay contract"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    parser.add_argument("--root", default="/", metavar="DIR", help="the root to look at (default: /)")


def run(args: argparse.Namespace, context: Context) -> int:
    """Name every deviation. 0: none, 5: some. Raises Unavailable (NOT_LAID)."""
    document = compare(Root(args.root))
    context.document(document)
    context.text(render(document))
    return 0 if document["ok"] else 5


def render(document: dict[str, Any]) -> str:
    """One line for each deviation, aligned."""
    lines = []
    for each in document["deviations"]:
        line = f"{each['deviation']:8} {each['path']}"
        if each["found"] and each["deviation"] != "changed":
            line += f"  (is {each['found']}, should be {each['expected']})"
        lines.append(line)
    lines.append(f"{len(lines)} deviations" if lines else "everything is as it was laid")
    return "\n".join([*lines, f"overlay {document['digest'][:16]}"])
