# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""asl-admin map: what of a disk was read, as a ddrescue mapfile."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

from asl.cli import parts
from asl.cli.context import Context
from asl.cli.output import fields, size
from asl.cli.reading import example
from asl.errors import Refused, Unavailable

if TYPE_CHECKING:
    from asl.sources.mapfile import RescueMap

HELP = "write which parts of a disk were read, as a ddrescue mapfile"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parts.add_arguments(parser)
    parser.add_argument("--output", metavar="FILE", help="write it there instead of to stdout; FILE must not exist")
    example(
        parser,
        "asl-admin map latest --output sda.map",
        "asl-admin restore latest --file sda.img && ddrescue -d -r3 /dev/sda sda.img sda.map",
    )


def run(args: argparse.Namespace, context: Context) -> int:
    """Write the map; with --json the sizes and the unread areas. Raises NotFound, Damaged, Refused."""
    from asl.cli.tools import VERSION
    from asl.intake.rescue import final_map
    from asl.sources.mapfile import READ, WORDS

    part = parts.choose(args, context, parts.RECIPE)
    found = final_map(part.snapshot, part.number - 1)
    text = found.text(f"asl.rescue {VERSION}, snapshot {part.snapshot.id}, {part.spec}")
    if args.output:
        _write(args.output, text)
    elif not context.json:
        sys.stdout.write(text)
    unread = [area for area in found.areas() if area.status != READ]
    context.document(
        {
            "snapshot": str(part.snapshot.id), "source": part.spec, "size": found.size, "bytes_read": found.total(READ),
            "bytes_unread": found.size - found.total(READ), "output": args.output,
            "unread": [{"offset": area.start, "length": area.end - area.start, "status": area.status} for area in unread],
        }
    )  # fmt: skip
    if args.output:
        context.text(_summary(found, WORDS))
    return 1 if unread else 0


def _summary(found: RescueMap, words: dict[str, str]) -> str:
    return fields([(words[status], size(found.total(status))) for status in "+?*/-" if found.total(status)])


def _write(path: str, text: str) -> None:
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    except FileExistsError as error:
        raise Refused(f"{path} exists already", reason="EXISTS", hint="choose another name") from error
    except OSError as error:
        raise Unavailable(f"{path} cannot be written: {error.strerror}", reason="WRITE_FAILED") from error
    with os.fdopen(fd, "w", encoding="ascii") as file:
        file.write(text)
