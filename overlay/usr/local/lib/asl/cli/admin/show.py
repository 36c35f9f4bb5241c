# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""asl-admin show: show one snapshot: sources, sizes, losses, receipt."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from asl.cli import stores
from asl.cli.output import fields, losses_text, printable, size, table
from asl.cli.reading import SNAPSHOT, example, local_time
from asl.errors import Damaged

if TYPE_CHECKING:
    from asl.cli.context import Context
    from asl.store import StoredSnapshot

HELP = "show one snapshot: sources, sizes, losses, receipt"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("snapshot", metavar="SNAPSHOT", help=SNAPSHOT)
    stores.add_reading(parser)
    example(parser, "asl-admin show latest --store /mnt/asl/local")


def run(args: argparse.Namespace, context: Context) -> int:
    """Show it. 5 when the manifest cannot be read; a damaged receipt is said and takes only its part away."""
    store = stores.open_readonly(args, context)
    shown = document(store.find_snapshot(args.snapshot))
    context.document({"store": store.backend.location, **shown})
    context.text(render(shown))
    return 0 if shown["receipt"] is not None else 5


def document(snapshot: StoredSnapshot) -> dict[str, Any]:
    """Everything that is known of SNAPSHOT. Raises Damaged when its manifest is."""
    roots = [root.document() for root in snapshot.manifest.sources]
    shown = {**snapshot.document(), "chunking": dict(snapshot.manifest.chunking)}
    try:
        receipt: dict[str, Any] = snapshot.receipt
    except Damaged as error:
        plain = [{"source": name, **root} for name, root in zip(snapshot.about.sources, roots)]
        return {**shown, "sources": plain, "losses_listed": [], "losses_omitted": 0, "receipt": None, "receipt_error": error.message}
    told = receipt.get("sources", [])
    names = snapshot.about.sources
    sources = [{"source": names[at] if at < len(names) else "", **each, **root} for at, (each, root) in enumerate(zip(told, roots))]
    losses = [loss for each in told for loss in each.get("losses", [])]
    for each in sources:
        each.pop("losses", None)
    omitted = sum(each.get("losses_omitted", 0) for each in told)
    summary = {key: value for key, value in receipt.items() if key not in ("sources", "format")}
    return {**shown, "sources": sources, "losses_listed": losses, "losses_omitted": omitted, "receipt": summary}


def render(shown: Mapping[str, Any]) -> str:
    """The snapshot for people."""
    receipt = shown["receipt"] or {}
    head = fields(
        [
            ("snapshot", f"{shown['snapshot']}{'  (pinned)' if shown['pinned'] else ''}"),
            ("digest", shown["digest"]),
            ("domain", shown["domain"]),
            ("sealed", local_time(shown["sealed"])),
            ("labels", " ".join(f"{key}={value}" for key, value in sorted(shown["labels"].items()))),
            ("content", f"{size(shown['size'])} in {shown['files']} files"),
            ("read", _when(receipt)),
            ("host", " · ".join(str(receipt[key]) for key in ("host", "system") if receipt.get(key))),
            ("engine", receipt.get("engine")),
            ("receipt", f"DAMAGED: {shown['receipt_error']}" if shown.get("receipt_error") else None),
        ]
    )
    rows: list[Sequence[object]] = [("source", "kind", "files", "size", "unread", "root")]
    for each in shown["sources"]:
        unread = size(each["unread"]) if each["unread"] else ""
        rows.append((each["source"], each["kind"], each.get("files", "?"), size(each["size"]), unread, each["root"]))
    views = [f"note: {each['source']}: {each['view']}" for each in shown["sources"] if each["view"]]
    notes = [f"note: {each['source']}: {printable(note)}" for each in shown["sources"] for note in each.get("notes", [])]
    parts = [head, table(rows, right=(2, 3, 4)), *views, *notes, losses_text(shown["losses_listed"], shown["losses_omitted"])]
    return "\n".join(part for part in parts if part)


def _when(receipt: Mapping[str, Any]) -> str:
    if not isinstance(receipt.get("began"), int) or not isinstance(receipt.get("ended"), int):
        return ""
    return f"{local_time(receipt['began'])} to {local_time(receipt['ended'])}"
