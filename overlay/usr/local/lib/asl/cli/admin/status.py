# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""asl-admin status: show the state of a store."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from asl.cli import stores
from asl.cli.output import fields, size
from asl.cli.reading import example, local_time

if TYPE_CHECKING:
    from asl.cli.context import Context

HELP = "show the state of a store"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    stores.add_reading(parser)
    example(parser, "asl-admin status --store /mnt/asl/local")


def run(args: argparse.Namespace, context: Context) -> int:
    """Show it."""
    from asl.store.stats import status

    found = status(stores.open_readonly(args, context))
    context.document(found)
    context.text(render(found))
    return 0


def render(found: Mapping[str, Any]) -> str:
    """The state for people."""
    latest = found["latest"]
    pinned = f", {found['pinned']} pinned" if found["pinned"] else ""
    stones = f", {found['tombstones']} tombstones" if found["tombstones"] else ""
    share = f" of {size(found['capacity'])}" if found["capacity"] else ""
    return fields(
        [
            ("store", f"{found['store']}  (id {found['store_id']}, format {found['format']})"),
            ("snapshots", f"{found['snapshots']}{pinned}"),
            ("latest", f"{latest['snapshot']}, sealed {local_time(latest['sealed'])}: {' '.join(latest['sources'])}" if latest else None),
            ("content", f"{size(found['content_bytes'])} in all snapshots together"),
            ("blocks", f"{found['blocks']}, {size(found['block_bytes'])}"),
            ("segments", f"{found['segments_visible']} visible of {found['segments']}, {size(found['segment_bytes'])}"),
            ("artifacts", f"{found['artifacts']}{stones}"),
            ("log", f"{size(found['log_bytes'])}, acknowledged up to record {found['acknowledged_logseq']} of {found['logseq']}"),
            ("torn tail", f"{found['torn_bytes']} bytes; the next writer cuts them off" if found["torn_bytes"] > 0 else None),
            ("free", f"{size(found['free'])}{share}"),
        ]
    )
