# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Verifying: everything that snapshots reach is read back, and every digest computed anew.

A chunk is read once, however often it is referred to: one bit for each record of the index remembers it (store.marks). Losses are
listed by the paths that they hit; reading goes on past them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Optional

from asl.errors import AslError, Usage
from asl.names import reference_text
from asl.store import Store, StoredSnapshot
from asl.store.bulk import BulkCheck, Wanted
from asl.store.marks import Marks
from asl.store.reach import Chunk, Lost, Walk

# Losses that are listed; the others are counted.
LISTED = 10_000
Progress = Callable[[str, int, int], None]


class Verification:
    """One verification. `sample_percent`: read only this share of the chunks, chosen by their digests; the rest must exist."""

    def __init__(self, store: Store, sample_percent: Optional[float] = None, progress: Optional[Progress] = None) -> None:
        if sample_percent is not None and not 0 < sample_percent <= 100:
            raise Usage(f"a sample of {sample_percent:g} percent makes no sense", reason="BAD_SAMPLE", hint="give more than 0, at most 100")
        self._store, self._progress = store, progress
        self._below = None if sample_percent is None else int(sample_percent * 2**32 / 100)
        self._damaged: list[dict[str, Any]] = []
        self._omitted = 0
        self._check: Optional[BulkCheck] = None
        self._bad: dict[bytes, AslError] = {}
        self._structure_lost = False
        self._skipped = self._skipped_bytes = self._done = self._total = 0
        self.marks = Marks()
        """What was met, once run() is over."""

    def run(self, snapshots: Sequence[StoredSnapshot]) -> dict[str, Any]:
        """Verify SNAPSHOTS; the result document."""
        began = time.monotonic()
        self._total = snapshots[0].about.size if len(snapshots) == 1 and self._below is None else 0
        with BulkCheck(self._store, self._found_bad) as check:
            self._check = check
            walk = self._walk(snapshots, self._lost_early)
        if self._bad or self._structure_lost:
            # Something is wrong: the structure is walked again, now that it is known what, for the paths that it hits.
            self._check, self._skipped, self._skipped_bytes, self._done = None, 0, 0, 0
            walk = self._walk(snapshots, self._lost)
        return {
            "ok": not self._damaged, "store": self._store.backend.location, "snapshots": [str(each.id) for each in snapshots],
            "files": walk.files, "artifacts": walk.artifacts - self._skipped, "artifacts_skipped": self._skipped,
            "bytes": walk.bytes - self._skipped_bytes,
            "damaged": self._damaged, "damaged_omitted": self._omitted, "seconds": round(time.monotonic() - began, 3),
        }  # fmt: skip

    def _walk(self, snapshots: Sequence[StoredSnapshot], lost: Callable[[Lost], None]) -> Walk:
        walk = Walk(self._store, self._chunk, lost, every_path=len(snapshots) == 1)
        for each in snapshots:
            walk.snapshot(each.snapshot)
        self.marks = walk.marks
        return walk

    def _lost_early(self, _lost: Lost) -> None:
        self._structure_lost = True

    def _found_bad(self, wanted: Wanted, error: AslError) -> None:
        self._bad[wanted.digest] = error

    def _chunk(self, chunk: Chunk) -> None:
        self._done += chunk.length
        if self._progress:
            self._progress("verifying", self._done, max(self._total, self._done) if self._total else 0)
        if self._below is not None and int.from_bytes(chunk.digest[:4], "big") >= self._below:
            self._skipped += 1
            self._skipped_bytes += chunk.length
            return
        if self._check is not None:
            self._check.add(Wanted(chunk.digest, chunk.length))
        elif chunk.digest in self._bad:
            raise self._bad[chunk.digest]

    def _lost(self, lost: Lost) -> None:
        if len(self._damaged) >= LISTED:
            self._omitted += 1
            return
        hidden = self._store.state.hidden(lost.digest)
        entry: dict[str, Any] = {
            "snapshot": str(lost.snapshot), "source": lost.source, "path": lost.path, "what": lost.what,
            "reference": reference_text(lost.digest), "reason": "TOMBSTONED" if hidden else lost.reason,
            "why": "a tombstone hides it" if hidden else lost.why,
        }  # fmt: skip
        if lost.length:
            entry.update(offset=lost.offset, length=lost.length)
        self._damaged.append(entry)


def verify(
    store: Store,
    snapshot: Optional[StoredSnapshot] = None,
    sample_percent: Optional[float] = None,
    progress: Optional[Progress] = None,
) -> dict[str, Any]:
    """Verify SNAPSHOT, or all of them: the document of `asl-admin verify --json`. Raises Usage for a sample that makes no sense.

    `files` counts every path of one snapshot; over all snapshots a directory that they share counts once. `artifacts` and `bytes` are
    what was read, each artifact once. `damaged`: snapshot, source, path, what, reference, reason, why; for content offset and length.
    """
    return Verification(store, sample_percent, progress).run([snapshot] if snapshot else store.snapshots())
