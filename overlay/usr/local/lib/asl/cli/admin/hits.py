# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""asl-admin hits: which files lie where a disk could not be read."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from asl.cli import parts
from asl.cli.output import duration, first_of, printable, size
from asl.cli.reading import ReadingLine, example
from asl.errors import Unavailable

if TYPE_CHECKING:
    from asl.cli.context import Context

HELP = "name the files that lie where a disk could not be read"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parts.add_arguments(parser)
    parser.add_argument("--image", metavar="FILE", help="what this disk was restored into: looked at where the system has no FUSE")
    example(parser, "asl-admin hits latest --source device:/dev/sda --store /mnt/asl/local")


def run(args: argparse.Namespace, context: Context) -> int:
    """Name them. 0: no file is hit, 1: some are, or could not be looked for. Raises Unavailable, Usage."""
    from asl.hits.disk import Disk
    from asl.hits.find import find, sector_of

    if os.geteuid() != 0:
        raise Unavailable("file systems can be mounted by root only", reason="PERMISSION", hint="run this as root")
    part = parts.choose(args, context, parts.RECIPE)
    sector, image = sector_of(details_of(part.snapshot.receipt, part.number - 1)), args.image and os.path.abspath(args.image)
    with ReadingLine(context) as line:
        line.count(part.spec, 0)  # drawn here as well: what another process draws is cleared only where this one drew something
        result = find(Disk(part.snapshot.store, part.root.root, part.root.size), part.spec, image=image, sector=sector, progress=line.count)
    context.document({"snapshot": str(part.snapshot.id), "source": part.spec, **result})
    context.text(render(result))
    unknown = any(each["why"] and each["bytes_unread"] for each in result["volumes"])
    return 1 if result["files"] or unknown else 0


def details_of(receipt: Mapping[str, Any], number: int) -> Any:
    """What the receipt tells of its source NUMBER (from 0)."""
    sources = receipt.get("sources")
    return sources[number].get("details") if isinstance(sources, list) and number < len(sources) else None


def render(result: Mapping[str, Any]) -> str:
    """The volumes, and the files that are hit."""
    if not result["bytes_unread"]:
        return "every byte of it is there"
    lines = []
    for each in result["volumes"]:
        name = f"partition {each['number']}" if each["number"] else "the disk"
        kind = f" ({each['type']}{' ' + printable(each['label']) if each['label'] else ''})" if each["type"] else ""
        told = f"{each['files']} files, {each['files_hit']} of them hit" if each["files"] is not None else each["why"]
        lines.append(f"{name}{kind}: {size(each['bytes_unread'])} unread: {printable(str(told))}")
        if each["files"] is not None:
            lines[-1] += "".join(f"; {printable(each[key])}" for key in ("view", "why") if each[key])
    lines += first_of(result["files"], _hit, result["files_omitted"])
    named = sum(each["bytes_hit"] for each in result["volumes"])
    rest = "" if named >= result["bytes_unread"] else "; the rest is free space, or what file systems keep for themselves"
    lines.append(f"{size(result['bytes_unread'])} unread, {size(named)} of it in files{rest}; {duration(result['seconds'])}")
    return "\n".join(lines)


def _hit(each: Mapping[str, Any]) -> str:
    where = f"{each['volume']}: " if each["volume"] else ""
    return f"HIT {where}{printable(each['path'])}: {_what(each)}"


def _what(each: Mapping[str, Any]) -> str:
    if each["what"] != "unread":
        return f"{each['what']}: {printable(each['why'])}"
    shown = ", ".join(f"{length} at {start}" for start, length in each["ranges"][:3])
    more = len(each["ranges"]) + each["ranges_omitted"] - 3
    return f"bytes {shown}" + (f" and {more} more ranges" if more > 0 else "")
