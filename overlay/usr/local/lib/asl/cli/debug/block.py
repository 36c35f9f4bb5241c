# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""asl-debug block: print what a block holds."""

from __future__ import annotations

import argparse
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from asl.backends import layout
from asl.cli import stores
from asl.cli.output import fields, printable, size, table
from asl.cli.reading import example
from asl.errors import AslError, NotFound, Usage
from asl.formats import artifact, block
from asl.names import reference_text
from asl.store import frames

if TYPE_CHECKING:
    from asl.backends.base import Reads
    from asl.cli.context import Context

HELP = "print what a block holds"
_KINDS = {block.PACKED: "packed", block.PART: "part"}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("block", metavar="ID", help="the block's SHA-256 in hex, or the beginning of it")
    stores.add_argument(parser)
    example(parser, "asl-debug block 3f5a --store /mnt/asl/local")


def run(args: argparse.Namespace, context: Context) -> int:
    """Print it. 5 when it is damaged. The store need not be one that can be opened."""
    from asl.store import raw

    location = stores.location(args, context)
    backend = raw(location, stores.reached(location, args, context))
    shown = document(backend, find(backend, args.block))
    context.document({"store": backend.location, **shown})
    context.text(render(shown))
    return 0 if shown["ok"] else 5


def find(backend: Reads, text: str) -> str:
    """The name of the one block whose id begins with TEXT. Raises Usage, NotFound."""
    if not re.fullmatch(r"[0-9a-f]{1,64}", text.lower()):
        raise Usage(f"{text!r} is not the beginning of a block's id", hint="give hex digits")
    found = [name for name in backend.names("blocks") if layout.parse_block(name) and name.rpartition("/")[2].startswith(text.lower())]
    if not found:
        raise NotFound(f"{backend.location}: no block begins with {text}", hint="asl-debug segment ID names blocks")
    if len(found) > 1:
        raise Usage(f"{len(found)} blocks begin with {text}", hint="give more characters")
    return found[0]


def document(backend: Reads, name: str) -> dict[str, Any]:
    """What the block called NAME holds, as far as it can be read."""
    data = backend.read(name)
    digest = hashlib.sha256(data).hexdigest()
    shown: dict[str, Any] = {"block": name.rpartition("/")[2], "size": len(data), "ok": digest == name.rpartition("/")[2], "error": None}
    if not shown["ok"]:
        shown["error"] = f"its bytes have the SHA-256 {digest}"
    shown["artifacts"] = []
    try:
        header, plain, offsets = block.open_plain(data, frames.decompress)
        shown["kind"] = _KINDS[header.kind]
        shown["plain_size"] = len(plain)
        if header.kind == block.PART:
            shown.update(part_of=reference_text(header.part_of), part_offset=header.part_offset)
        else:
            shown["artifacts"].extend(_artifacts(plain, offsets))
    except AslError as error:
        shown.update(ok=False, error=f"{shown['error']}; {error.message}" if shown["error"] else error.message)
    return shown


def _artifacts(plain: memoryview, offsets: Sequence[int]) -> Iterator[dict[str, Any]]:
    for offset, encoded in block.artifacts(plain, offsets):
        tag, _start, length = artifact.parse_header(encoded)
        reference = reference_text(hashlib.sha256(encoded).digest())
        yield {"reference": reference, "offset": offset, "length": len(encoded), "type_tag": tag, "size": length}


def render(shown: Mapping[str, Any]) -> str:
    """The block for people."""
    head = fields(
        [
            ("block", shown["block"]),
            ("size", f"{shown['size']} bytes ({size(shown['size'])})"),
            ("kind", shown.get("kind")),
            ("part of", f"{shown['part_of']}, from byte {shown['part_offset']} on" if "part_of" in shown else None),
            ("DAMAGED", printable(shown["error"]) if shown["error"] else None),
        ]
    )
    rows: list[Sequence[object]] = [("offset", "length", "type", "reference")]
    for each in shown["artifacts"]:
        rows.append((each["offset"], each["length"], type_name(each["type_tag"]), each["reference"]))
    return "\n".join([head, table(rows, right=(0, 1))]) if shown["artifacts"] else head


def type_name(tag: object) -> str:
    """A type tag in words."""
    if not isinstance(tag, int):
        return "data"
    return artifact.TAG_NAMES.get(tag) or f"{tag:#010x}"
