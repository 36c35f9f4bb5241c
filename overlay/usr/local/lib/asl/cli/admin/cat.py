# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""asl-admin cat: write one file of a snapshot to stdout."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from asl.cli import parts
from asl.cli.context import Context
from asl.cli.output import losses_text
from asl.errors import Usage

if TYPE_CHECKING:
    from asl.restore.ranges import Range

HELP = "write one file of a snapshot to stdout"
_ZEROS = bytes(1024 * 1024)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parts.add_arguments(parser)
    parser.add_argument("path", metavar="PATH", nargs="?", help="a file of the tree; without it, the disk or stream itself")


def run(args: argparse.Namespace, context: Context) -> int:
    """Write the bytes; zeros stand for what is lost, which is then listed on stderr, and the status is 1."""
    from asl.restore import ranges

    if context.json:
        raise Usage("cat writes the file itself, not JSON", hint="asl-admin ls --json describes it")
    part = parts.choose(args, context, parts.TREE if args.path else None)
    store = part.snapshot.store
    out, losses, at = sys.stdout.buffer, [], 0
    where = args.path or part.spec
    for each in _ranges(part, parts.path_of(args.path)):
        lost = ""
        if each.kind == ranges.DATA:
            try:
                out.write(ranges.chunk(store, each))
            except ranges.DAMAGE as error:
                lost = str(error)
                _zeros(each.length)
        else:
            _zeros(each.length)
            if each.kind != ranges.HOLE:
                lost = each.reason or "it could not be read when the snapshot was made"
        if lost:
            losses.append({"what": "lost", "where": f"{where}: {each.length} bytes at {at}", "why": lost})
        at += each.length
    out.flush()
    if losses:
        print(losses_text(losses), file=sys.stderr)
    return 1 if losses else 0


def _ranges(part: parts.Part, path: bytes) -> Iterator[Range]:
    from asl.formats import tree
    from asl.restore import ranges
    from asl.store import contents

    store, root = part.snapshot.store, part.root
    if root.root_kind == parts.RECIPE:
        return ranges.recipe_ranges(store, root.root, root.size)
    entry = contents.resolve(store, root.root, path)
    if entry.type == tree.HARDLINK:
        entry = contents.resolve(store, root.root, entry.target)
    if entry.type != tree.FILE:
        hint = f"it points to {os.fsdecode(entry.target)!r}" if entry.type == tree.SYMLINK else "asl-admin ls lists directories"
        raise Usage(f"{os.fsdecode(path)!r} is no file but a {tree.TYPE_NAMES[entry.type]}", reason="NOT_A_FILE", hint=hint)
    return ranges.file_ranges(store, entry)


def _zeros(length: int) -> None:
    while length > 0:
        part = min(length, len(_ZEROS))
        sys.stdout.buffer.write(_ZEROS[:part])
        length -= part
