# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""asl-debug artifact: print one artifact: type, size, location, content."""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Optional

from asl.cli import stores
from asl.cli.debug.block import type_name
from asl.cli.output import fields, printable, size
from asl.cli.reading import example
from asl.errors import AslError
from asl.formats import canonical, recipe, tree
from asl.formats.artifact import TAG_MANIFEST, TAG_RECEIPT, TAG_RECIPE, TAG_TREE
from asl.names import parse_reference, reference_text

if TYPE_CHECKING:
    from asl.cli.context import Context
    from asl.store import Store

HELP = "print one artifact: type, size, location, content"
# Bytes of plain data that are shown, and the most that a structure is decoded from.
SHOWN, DECODED = 256, 64 * 1024 * 1024
_KINDS = {recipe.DATA: "data", recipe.HOLE: "hole", recipe.UNREAD: "unread", recipe.CHILD: "child"}
_CONTENTS = {tree.NONE: "none", tree.CHUNK: "chunk", tree.RECIPE: "recipe", tree.TREE: "tree"}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("reference", metavar="REF", help="a reference (68 hex characters) or a digest (64)")
    stores.add_argument(parser)
    example(parser, "asl-debug artifact 0001ba7816bf… --store /mnt/asl/local")


def run(args: argparse.Namespace, context: Context) -> int:
    """Print it; every byte of it is read and its digest checked. Raises NotFound, Damaged."""
    store = stores.open_readonly(args, context)
    shown = document(store, parse_reference(args.reference))
    context.document({"store": store.backend.location, **shown})
    context.text(render(shown))
    return 0


def document(store: Store, digest: bytes) -> dict[str, Any]:
    """Everything about the artifact with DIGEST. `content` is decoded where the type is known; plain data shows its first bytes."""
    from asl.store.large import open_payload

    payload = open_payload(store, digest)
    kept = bytearray()
    for piece in payload.pieces:
        kept += piece[: max(0, (DECODED if payload.type_tag is not None else SHOWN) - len(kept))]
    extents = [{"block": each.block.hex(), "offset": each.offset, "length": each.length} for each in store.locate(digest)]
    return {
        "reference": reference_text(digest), "type_tag": payload.type_tag, "type": type_name(payload.type_tag), "size": payload.size,
        "extents": extents, "content": _content(payload.type_tag, bytes(kept)), "first_bytes": bytes(kept[:SHOWN]).hex(),
    }  # fmt: skip


def _content(tag: Optional[int], payload: bytes) -> Any:
    try:
        if tag in (TAG_MANIFEST, TAG_RECEIPT):
            return canonical.decode(payload, "this artifact")
        if tag == TAG_TREE:
            return _tree(tree.decode(payload))
        if tag == TAG_RECIPE:
            return _recipe(recipe.decode(payload))
    except AslError as error:
        return {"error": error.message}
    return None


def _tree(node: tree.Node) -> dict[str, Any]:
    entries = [
        {
            "name": each.name, "type": tree.TYPE_NAMES[each.type], "mode": f"{each.mode:04o}", "uid": each.uid, "gid": each.gid,
            "mtime": [each.mtime_s, each.mtime_ns], "size": each.size, "content": _CONTENTS[each.content],
            "reference": reference_text(each.digest) if each.content else None, "target": each.target, "flags": each.flags,
            "xattrs": [name for name, _value in each.xattrs],
        }
        for each in node.entries
    ]  # fmt: skip
    branches = [{"reference": reference_text(each.digest), "entries": each.below, "first": each.first} for each in node.branches]
    return {"level": node.level, "entries": entries, "branches": branches}


def _recipe(node: recipe.Node) -> dict[str, Any]:
    entries = [
        {"kind": _KINDS[each.kind], "length": each.length, "reference": reference_text(each.digest) if each.digest else None}
        for each in node.entries
    ]
    return {"level": node.level, "size": node.size, "entries": entries}


def render(shown: Mapping[str, Any]) -> str:
    """The artifact for people."""
    places = [f"{each['block']} at {each['offset']}, {each['length']} bytes" for each in shown["extents"]]
    head = fields(
        [
            ("reference", shown["reference"]),
            ("type", shown["type"]),
            ("size", f"{shown['size']} bytes ({size(shown['size'])})"),
            ("block", places[0]),
            ("and", f"{len(places) - 1} more extents" if len(places) > 1 else None),
        ]
    )
    return "\n".join([head, "", _content_text(shown)]) if shown["size"] else head


def _content_text(shown: Mapping[str, Any]) -> str:
    content = shown["content"]
    if content is None:
        return hex_text(bytes.fromhex(shown["first_bytes"]), shown["size"])
    if shown["type"] == "tree" and "entries" in content:
        lines = [f"{each['mode']} {each['type']:<9} {each['size']:>12} {_name(each['name'])}" for each in content["entries"]]
        return "\n".join(lines + [f"{each['entries']} entries from {_name(each['first'])} on" for each in content["branches"]])
    if shown["type"] == "recipe" and "entries" in content:
        starts = itertools.accumulate((each["length"] for each in content["entries"]), initial=0)
        pairs = zip(starts, content["entries"])
        return "\n".join(f"{start:>14} {each['length']:>12} {each['kind']:<6} {each['reference'] or ''}".rstrip() for start, each in pairs)
    return json.dumps(content, indent=1, sort_keys=True)


def _name(name: bytes) -> str:
    return printable(name.decode("utf-8", "surrogateescape"))


def hex_text(data: bytes, total: int) -> str:
    """DATA, the beginning of TOTAL bytes, as offset, hex and ASCII."""
    lines = []
    for at in range(0, len(data), 16):
        row = data[at : at + 16]
        text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
        lines.append(f"{at:08x}  {row.hex(' '):<47}  {text}")
    if total > len(data):
        lines.append(f"… {total - len(data)} more bytes")
    return "\n".join(lines)
