# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""asl-admin get: write the bytes of an artifact to stdout or a file."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

from asl.cli import stores
from asl.cli.output import size
from asl.cli.reading import example
from asl.errors import Refused, Usage
from asl.names import parse_reference, reference_text

if TYPE_CHECKING:
    from asl.cli.context import Context
    from asl.store.large import Payload

HELP = "write the bytes of an artifact to stdout or a file"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("reference", metavar="REF", help="a reference (68 hex characters) or a digest (64)")
    parser.add_argument("--output", metavar="FILE", help="the file to write, which must not exist (default: standard output)")
    stores.add_reading(parser)
    example(parser, "asl-admin get 0001ba7816bf… --output notes.txt --store /mnt/asl/local")


def run(args: argparse.Namespace, context: Context) -> int:
    """Write the payload. A file appears only when its digest is right; on stdout, damage is told at the end."""
    from asl.store.large import open_payload

    if context.json and not args.output:
        raise Usage("with --json the bytes cannot go to stdout too", hint="name a file with --output")
    digest = parse_reference(args.reference)
    payload = open_payload(stores.open_readonly(args, context), digest)
    if not args.output:
        for piece in payload.pieces:
            sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()
        return 0
    _write(args.output, payload)
    context.document(
        {"reference": reference_text(digest), "type_tag": payload.type_tag, "size": payload.size, "output": os.path.abspath(args.output)}
    )
    context.text(f"{args.output}: {size(payload.size)}")
    return 0


def _write(path: str, payload: Payload) -> None:
    """Write PAYLOAD beside PATH, and give it its name when all of it is right."""
    if os.path.lexists(path):
        raise Refused(f"{path} exists; nothing was written", reason="EXISTS", hint="name another file")
    part = f"{path}.part-{os.getpid()}"
    try:
        with open(part, "xb") as file:
            for piece in payload.pieces:
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        if os.path.lexists(path):
            raise Refused(f"{path} appeared meanwhile; nothing was written", reason="EXISTS", hint="name another file")
        os.rename(part, path)
    finally:
        if os.path.exists(part):
            os.unlink(part)
