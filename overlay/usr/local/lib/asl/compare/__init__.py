# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Holding a source against a snapshot: it is read again, and every byte, name and attribute has to be what was stored.

findings  what differs, what could not be compared     contents  one run of bytes, by the digests of its chunks
trees     names and attributes, both sides in step     known     a disk, without the parts that are known to be bad

Chunks are not read from the store: their digests stand in its recipes, and equal digests are equal bytes (`verify` reads the chunks). What
the snapshot lacks is not asked of the source again: it is listed as not compared, as is what the source does not give any more.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Optional

from asl.compare.contents import Content, hold
from asl.compare.findings import Findings
from asl.compare.known import device_pieces
from asl.compare.trees import TreeComparison
from asl.errors import Usage
from asl.formats.snapshot import SourceRoot
from asl.intake.safety import refuse_store_on_source
from asl.restore.ranges import recipe_ranges
from asl.sources.base import Pieces, Source
from asl.sources.device import DeviceSource
from asl.sources.open import open_source
from asl.store import Store, StoredSnapshot

__all__ = ["Pair", "choose", "compare"]

Progress = Callable[[str, int, int], None]


class Pair(NamedTuple):
    """One source of a snapshot, how it was called then, and where it is to be read now."""

    root: SourceRoot
    spec: str
    now: str


def choose(snapshot: StoredSnapshot, wanted: str = "") -> list[Pair]:
    """The sources of SNAPSHOT to read again: all, or the one that WANTED names by its number (from 1) or as it was called.

    Any other source (`device:/dev/sdc`) is where the snapshot's only one of that kind is now. Raises Usage, Damaged."""
    specs = snapshot.about.sources
    known = [Pair(root, *2 * (specs[at] if at < len(specs) else "",)) for at, root in enumerate(snapshot.manifest.sources)]
    if not wanted:
        return known
    found = [each for number, each in enumerate(known, 1) if wanted in (str(number), each.spec)]
    if not found and ":" in wanted:
        kind = open_source(wanted).kind
        found = [each._replace(now=wanted) for each in known if each.root.kind == kind]
    if len(found) != 1:
        listed = ", ".join(f"{number} = {each.spec}" for number, each in enumerate(known, 1))
        what = f"{wanted} is no source of snapshot {snapshot.id}" if not found else f"{wanted} may be any of {len(found)} sources"
        raise Usage(what, reason="NO_SOURCE" if not found else "AMBIGUOUS", hint=f"it has {listed}")
    return found


class Comparison:
    """One comparison. Use compare()."""

    def __init__(self, store: Store, snapshot: StoredSnapshot, progress: Optional[Progress]) -> None:
        self._store, self._snapshot, self._progress = store, snapshot, progress
        self._findings = Findings()
        self._done = self._total = 0

    def run(self, pairs: Sequence[Pair]) -> dict[str, Any]:
        """Read the sources of PAIRS; the result document."""
        began, place = time.monotonic(), self._store.backend.location
        self._total = sum(each.root.size for each in pairs)
        sources = []
        for pair in pairs:
            refuse_store_on_source(pair.now, place)
            sources.append(self._source(pair, open_source(pair.now, exclude_paths=[place])))
        found = self._findings
        return {
            "ok": found.ok, "complete": found.complete, "store": place, "snapshot": str(self._snapshot.id),
            "digest": self._snapshot.digest, "sources": sources, **found.document(), "seconds": round(time.monotonic() - began, 3),
        }  # fmt: skip

    def _source(self, pair: Pair, source: Source) -> dict[str, Any]:
        root = pair.root
        if (source.kind, source.root_kind) != (root.kind, root.root_kind):
            raise Usage(f"{pair.now} is a {source.kind}, and {pair.spec} was a {root.kind}", reason="SOURCE_KIND")
        findings = self._findings
        findings.begin(pair.spec)
        with source:
            if root.root_kind == "tree":
                TreeComparison(self._store, source, findings, self._step).run(root.root)
            else:
                self._content(root, source)
            view, notes = source.view, list(source.notes)
        if view != root.view:
            notes.append(f"it was looked at in another way: {view or 'as it is'}, then: {root.view or 'as it is'}")
        return {"source": pair.spec, "read": pair.now, "kind": root.kind, **findings.counts(), "notes": notes}

    def _content(self, root: SourceRoot, source: Source) -> None:
        content = Content()
        hold(self._pieces(root, source), recipe_ranges(self._store, root.root, root.size), content, self._step)
        for loss in source.losses:
            content.words.setdefault("unreadable" if loss.what == "unread" else loss.what, loss.why)
        self._findings.files += 1
        self._findings.content(b"", content, [])

    def _pieces(self, root: SourceRoot, source: Source) -> Pieces:
        if isinstance(source, DeviceSource) and not source.is_image:
            return device_pieces(source, recipe_ranges(self._store, root.root, root.size))
        return source.content().pieces()

    def _step(self, count: int) -> None:
        self._done += count
        if self._progress:
            self._progress("comparing", self._done, max(self._total, self._done))


def compare(store: Store, snapshot: StoredSnapshot, wanted: str = "", progress: Optional[Progress] = None) -> dict[str, Any]:
    """Hold the sources of SNAPSHOT that WANTED names (choose()) against it: the document of `asl-admin verify --source --json`.

    Raises Usage, Refused for a source that may not be read, Unavailable for one that cannot be opened, Damaged for a lost manifest.
    `differences`: source, path, what (changed, vanished, new), fields, ranges, why, below. `not_compared`: source, path, what (unread: not
    in the snapshot; unreadable: not given any more; damaged: the store cannot say), ranges, why; `not_compared_damaged` counts the damaged
    ones, which are the store's fault and no difference. `ranges` are [offset, length] in bytes."""
    return Comparison(store, snapshot, progress).run(choose(snapshot, wanted))
