# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""asl-admin tombstone: hide an artifact, or lift the tombstone again."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from asl.cli import stores
from asl.cli.reading import example
from asl.errors import NotFound
from asl.formats import records
from asl.names import Digest, parse_reference, reference_text

if TYPE_CHECKING:
    from asl.cli.context import Context
    from asl.store import Writer

HELP = "hide an artifact, or lift the tombstone again"
DOMAIN = 0


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("reference", metavar="REF", help="a reference (68 hex characters) or a digest (64)")
    parser.add_argument("--lift", action="store_true", help="make the artifact visible again")
    stores.add_argument(parser)
    example(parser, "asl-admin tombstone 0001ba7816bf… --store /mnt/asl/local", "asl-admin tombstone 0001ba7816bf… --lift")


def run(args: argparse.Namespace, context: Context) -> int:
    """Hide or show; a second time changes nothing. The bytes stay in the store."""
    digest = parse_reference(args.reference)
    with stores.open_for_adding(args, context) as writer:
        changed = _lift(writer, digest) if args.lift else _hide(writer, digest)
    reference = reference_text(digest)
    context.document({"reference": reference, "hidden": not args.lift, "changed": changed})
    context.text(f"{reference} is {'' if changed else 'already '}{'visible' if args.lift else 'hidden'}")
    return 0


def _hide(writer: Writer, digest: Digest) -> bool:
    if writer.state.hidden(digest, DOMAIN):
        return False
    if not writer.has(digest):
        raise NotFound(f"{writer.backend.location}: there is no artifact {reference_text(digest)}")
    writer.record(records.TOMBSTONE, records.Tombstone(digest, DOMAIN).encode())
    return True


def _lift(writer: Writer, digest: Digest) -> bool:
    stone = writer.state.tombstones.get((DOMAIN, digest))
    if stone is None:
        return False
    writer.record(records.TOMBSTONE_LIFT, records.Tombstone(digest, DOMAIN, stone).encode())
    return True
