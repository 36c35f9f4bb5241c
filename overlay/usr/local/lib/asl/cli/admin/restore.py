# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""asl-admin restore: a snapshot, or a part of it, back onto a disk."""

from __future__ import annotations

import argparse
import sys
import time
from typing import TYPE_CHECKING, Any

from asl.cli import parts
from asl.cli.context import Context
from asl.cli.output import fields, first_of, losses_text, printable, size
from asl.errors import Interrupted, Usage

if TYPE_CHECKING:
    from asl.restore import RestoreResult
    from asl.restore.result import Changes

HELP = "write a snapshot, or a part of it, back to a directory, a file or a device"
# Seconds between two updates of the progress line.
INTERVAL = 0.5


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parts.add_arguments(parser)
    to = parser.add_mutually_exclusive_group(required=True)
    to.add_argument("--to", metavar="DIR", help="restore a tree below this directory; parts keep their path")
    to.add_argument("--file", metavar="FILE", help="restore a disk or a stream into this file")
    to.add_argument("--device", metavar="DEV", help="restore a disk onto this block device")
    parser.add_argument("--path", metavar="PATH", help="only what is at this path of the tree")
    parser.add_argument("--overwrite", action="store_true", help="replace what is there and differs; what is right already is left alone")
    parser.add_argument("--serial", metavar="SERIAL", help="the serial number of the device, which has to be named where it holds data")
    parser.add_argument("--verify", action="store_true", help="read everything again from the destination when it is written")
    parser.add_argument("--dry-run", action="store_true", help="say what would be written; write nothing")


def run(args: argparse.Namespace, context: Context) -> int:
    """Restore and print what was done; 1 when something was lost."""
    if args.path and not args.to:
        raise Usage("--path is for trees: use it with --to", hint="asl-admin cat SNAPSHOT PATH > FILE writes one file of a tree")
    if args.serial and not args.device:
        raise Usage("--serial names a device: use it with --device")
    part = parts.choose(args, context, parts.TREE if args.to else parts.RECIPE)
    if args.dry_run:
        return _plan(args, context, part)
    line = _Line(context)
    try:
        result = _restore(args, part, line)
    except KeyboardInterrupt:
        named = " and --serial" if args.device and not args.serial else ""
        how = "run the same command again" if args.overwrite and not named else f"run the same command with --overwrite{named}"
        raise Interrupted("stopped before the end", hint=f"{how}: it goes on where it stopped") from None
    finally:
        line.close()
    document = {"snapshot": str(part.snapshot.id), "source": part.spec, "view": part.root.view, **result.document()}
    document["actions"] = _actions(args, part) if document["changed"] else []
    context.document(document)
    context.text(_text(document))
    return 1 if result.losses else 0


def _restore(args: argparse.Namespace, part: parts.Part, line: _Line) -> RestoreResult:
    from asl.restore import restore_content, restore_tree

    store, root = part.snapshot.store, part.root
    if not args.to:
        return restore_content(
            store, root.root, args.device or args.file, size=root.size, device=bool(args.device), overwrite=args.overwrite,
            serial=args.serial, verify=args.verify, progress=line.show,
        )  # fmt: skip
    path = parts.path_of(args.path)
    return restore_tree(
        store, root.root, path, args.to, overwrite=args.overwrite, name=part.name, verify=args.verify, progress=line.show
    )  # fmt: skip


def _actions(args: argparse.Namespace, part: parts.Part) -> list[str]:
    what = f"{args.path} of {part.spec}" if args.path else part.spec
    return [f"restore {what} from snapshot {part.snapshot.id} to {args.to or args.device or args.file}"]


def _plan(args: argparse.Namespace, context: Context, part: parts.Part) -> int:
    from asl.restore import content_changes, plan_content, plan_tree, tree_changes

    store, root, path = part.snapshot.store, part.root, parts.path_of(args.path)
    if args.to:
        changes = tree_changes(store, root.root, path, args.to, overwrite=args.overwrite, name=part.name)
        found = plan_tree(store, root.root, path)
    else:
        device = bool(args.device)
        changes = content_changes(
            store, root.root, args.device or args.file, size=root.size, device=device, overwrite=args.overwrite, serial=args.serial
        )
        found = plan_content(store, root.root, root.size)
    destination = args.to or args.device or args.file
    rows = [(name, size(value) if name not in ("files", "directories", "damaged") else value) for name, value in found.items()]
    context.document(
        {
            "snapshot": str(part.snapshot.id), "source": part.spec, "view": part.root.view, "destination": destination, "dry_run": True,
            **changes.document(), "actions": _actions(args, part) if changes else [], "plan": found,
        }
    )  # fmt: skip
    text = fields([("would restore", part.spec), ("destination", destination), *rows])
    context.text("\n".join([text, *_changes_text(changes)]))
    return 0


def _changes_text(changes: Changes) -> list[str]:
    """The first names that would change."""
    if not changes:
        return ["all of it is there already"]
    return first_of(changes.listed, lambda each: f"{each.what:10}  {printable(each.path)}", changes.omitted)


def _text(document: dict[str, Any]) -> str:
    head = fields(
        [
            ("snapshot", document["snapshot"]),
            ("source", document["source"]),
            ("destination", document["destination"]),
            ("files", f"{document['files']} ({document['skipped']} were right already)" if document["skipped"] else document["files"]),
            ("written", size(document["bytes"])),
            ("verified", "read again from the destination" if document["verified"] else None),
            ("note", document["view"]),
        ]
    )
    return "\n".join(text for text in (head, losses_text(document["losses"], document["losses_omitted"])) if text)


class _Line:
    """The progress line on stderr, when that is a terminal."""

    def __init__(self, context: Context) -> None:
        self._on = sys.stderr.isatty() and not context.quiet
        self._last = 0.0

    def show(self, result: RestoreResult) -> None:
        """Draw it, when it is time."""
        now = time.monotonic()
        if self._on and now - self._last >= INTERVAL:
            self._last = now
            lost = len(result.losses) + result.losses_omitted
            sys.stderr.write(f"\r\x1b[Krestoring · {result.files} files · {size(result.bytes)}{f' · LOSSES {lost}' if lost else ''}")
            sys.stderr.flush()

    def close(self) -> None:
        """Clear it."""
        if self._last:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
