# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Naming a part of a snapshot: SNAPSHOT, --source, PATH."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING, NamedTuple, Optional

from asl.cli import stores
from asl.cli.context import Context
from asl.cli.reading import SNAPSHOT
from asl.errors import Usage

if TYPE_CHECKING:
    from asl.formats.snapshot import SourceRoot
    from asl.store import StoredSnapshot

TREE, RECIPE = "tree", "recipe"
_WORDS = {TREE: "a tree of files", RECIPE: "one run of bytes"}


class Part(NamedTuple):
    """One source of a snapshot. `number` counts from 1, `spec` is how it was named when it was read."""

    snapshot: StoredSnapshot
    number: int
    spec: str
    root: SourceRoot

    @property
    def name(self) -> bytes:
        """What a file restored from it may be called when the source has no name of its own."""
        return os.fsencode(os.path.basename(self.spec.rstrip("/")) or "content")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add SNAPSHOT, --source and --store."""
    parser.add_argument("snapshot", metavar="SNAPSHOT", help=SNAPSHOT)
    parser.add_argument("--source", metavar="N|SOURCE", help="which source, where the snapshot has several: its number or its name")
    stores.add_reading(parser)


def path_of(text: Optional[str]) -> bytes:
    """PATH as the bytes it was on the disk, relative to the root of the source."""
    return os.fsencode(text or "").strip(b"/")


def choose(args: argparse.Namespace, context: Context, kind: Optional[str] = None) -> Part:
    """The source that ARGS name, of KIND (tree, recipe; None for either). Raises Usage when that is not clear, NotFound, Damaged."""
    snapshot = stores.open_readonly(args, context).find_snapshot(args.snapshot)
    roots, specs = snapshot.manifest.sources, snapshot.about.sources
    known = [Part(snapshot, number + 1, specs[number] if number < len(specs) else "", root) for number, root in enumerate(roots)]
    listed = ", ".join(f"{part.number} = {part.spec}" for part in known)
    if args.source is not None:
        found = [part for part in known if args.source in (str(part.number), part.spec)]
        if not found:
            raise Usage(f"snapshot {snapshot.id} has no source {args.source}", reason="NO_SOURCE", hint=f"it has {listed}")
        if kind and found[0].root.root_kind != kind:
            raise Usage(f"{found[0].spec} is {_WORDS[found[0].root.root_kind]}, not {_WORDS[kind]}", reason="SOURCE_KIND", hint=_hint(kind))
        return found[0]
    fitting = [part for part in known if kind in (None, part.root.root_kind)]
    if not fitting and kind:
        raise Usage(f"no source of snapshot {snapshot.id} is {_WORDS[kind]}", reason="SOURCE_KIND", hint=_hint(kind))
    if len(fitting) != 1:
        raise Usage(f"snapshot {snapshot.id} has {len(fitting)} sources to choose from", reason="AMBIGUOUS", hint=f"--source: {listed}")
    return fitting[0]


def _hint(kind: str) -> str:
    if kind == TREE:
        return "asl-admin restore --file or --device, and asl-admin cat, take it as it is"
    return "asl-admin restore --to DIR writes trees; asl-admin ls lists them"
