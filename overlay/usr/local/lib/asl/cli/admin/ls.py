# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""asl-admin ls: list a directory of a snapshot."""

from __future__ import annotations

import argparse
import os
import stat
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Optional

from asl.cli import parts
from asl.cli.context import Context
from asl.cli.output import losses_text, printable

if TYPE_CHECKING:
    from asl.formats.tree import Entry
    from asl.store.contents import Payloads

HELP = "list a directory of a snapshot"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parts.add_arguments(parser)
    parser.add_argument("path", metavar="PATH", nargs="?", help="a path of the tree (default: its root)")
    parser.add_argument("--recursive", "-R", action="store_true", help="with everything below")
    parser.add_argument("--long", "-l", action="store_true", help="with mode, owner, size and time")


def run(args: argparse.Namespace, context: Context) -> int:
    """List; 1 when parts of the directory are damaged."""
    from asl.formats import tree
    from asl.store import contents

    part = parts.choose(args, context, parts.TREE)
    store, path = part.snapshot.store, parts.path_of(args.path)
    top = contents.resolve(store, part.root.root, path)
    losses: list[dict[str, str]] = []
    found = _below(store, top, path, args.recursive, losses) if top.type == tree.DIRECTORY else iter([(path, top)])
    rows = []
    for where, entry in found:
        if context.json:
            rows.append(_row(where, entry))
        else:
            shown = where if args.recursive or top.type != tree.DIRECTORY else entry.name
            context.text(_line(shown or entry.name, entry, args.long))
    context.document({"snapshot": str(part.snapshot.id), "source": part.spec, "path": os.fsdecode(path), "entries": rows, "losses": losses})
    context.text(losses_text(losses))
    return 1 if losses else 0


def _below(store: Payloads, top: Entry, path: bytes, recursive: bool, losses: list[dict[str, str]]) -> Iterator[tuple[bytes, Entry]]:
    """(path, entry) of everything in the directory TOP, in order; damaged nodes are put into LOSSES."""
    from asl.formats import tree
    from asl.restore import ranges

    def entries(directory: Entry, where: bytes) -> Iterator[Entry]:
        def lost(count: Optional[int], reason: str) -> None:
            many = "entries" if count is None else f"{count} entries"
            losses.append({"what": "damaged", "where": os.fsdecode(where) or ".", "why": f"{many} cannot be listed: {reason}"})

        return ranges.directory(store, directory.digest, lost) if directory.content == tree.TREE else iter(())

    open_directories = [(path, entries(top, path))]
    while open_directories:
        above, rest = open_directories[-1]
        entry = next(rest, None)
        if entry is None:
            open_directories.pop()
            continue
        where = b"%s/%s" % (above, entry.name) if above else entry.name
        yield where, entry
        if recursive and entry.type == tree.DIRECTORY:
            open_directories.append((where, entries(entry, where)))


def _row(path: bytes, entry: Entry) -> dict[str, Any]:
    from asl.formats import tree

    row: dict[str, Any] = {
        "path": os.fsdecode(path), "name": os.fsdecode(entry.name), "type": tree.TYPE_NAMES[entry.type], "mode": f"{entry.mode:04o}",
        "uid": entry.uid, "gid": entry.gid, "size": entry.size, "mtime": entry.mtime_s, "mtime_ns": entry.mtime_ns, "flags": flags(entry),
    }  # fmt: skip
    if entry.target:
        row["target"] = os.fsdecode(entry.target)
    if entry.type in (tree.CHARACTER, tree.BLOCK):
        row["device"] = list(entry.rdev)
    if entry.xattrs:
        row["xattrs"] = [os.fsdecode(name) for name, _value in entry.xattrs]
    return row


def flags(entry: Entry) -> list[str]:
    """What is not whole about ENTRY, in words."""
    from asl.formats import tree

    words = {tree.UNREAD: "unread", tree.CHANGED: "changed", tree.XATTRS_LOST: "xattrs_lost"}
    return [word for bit, word in words.items() if entry.flags & bit]


def _line(name: bytes, entry: Entry, long: bool) -> str:
    from asl.formats import tree

    shown = printable(os.fsdecode(name))
    if not long:
        return shown + ("/" if entry.type == tree.DIRECTORY else "")
    formats = {
        tree.DIRECTORY: stat.S_IFDIR, tree.SYMLINK: stat.S_IFLNK, tree.CHARACTER: stat.S_IFCHR, tree.BLOCK: stat.S_IFBLK,
        tree.FIFO: stat.S_IFIFO, tree.SOCKET: stat.S_IFSOCK,
    }  # fmt: skip
    mode = stat.filemode(formats.get(entry.type, stat.S_IFREG) | entry.mode)
    extent = f"{entry.rdev[0]}, {entry.rdev[1]}" if entry.type in (tree.CHARACTER, tree.BLOCK) else str(entry.size)
    arrow = {tree.SYMLINK: " -> ", tree.HARDLINK: " = "}.get(entry.type)
    target = f"{arrow}{printable(os.fsdecode(entry.target))}" if arrow else ""
    marks = f"  [{', '.join(flags(entry))}]" if entry.flags else ""
    return f"{mode} {entry.uid:>6} {entry.gid:>6} {extent:>14} {_time(entry)} {shown}{target}{marks}"


def _time(entry: Entry) -> str:
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(entry.mtime_s))
    except (OverflowError, ValueError, OSError):
        return str(entry.mtime_s)
