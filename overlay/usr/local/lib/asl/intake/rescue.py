# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The intake of a device in passes: each stretch is stored as it is read, and the recipe of the disk is composed at the end.

A healthy disk is one stretch, read in one pass, and its recipe is the one that is made while it is read. Of a failing one the passes
give stretches in any order; a run that is killed, or stopped by a rule, goes on from those that are stored.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any, Optional, cast

from asl import paths
from asl.errors import AslError, Unavailable, Usage
from asl.formats import recipe, tree
from asl.formats.recipe import Entry
from asl.intake import sameness
from asl.intake.compose import Composer, Placed, Stretch, readable
from asl.intake.content import ContentWriter, Stored
from asl.intake.early import Early
from asl.intake.ledger import Ledger, key_of
from asl.intake.overview import Overview
from asl.intake.progress import Progress
from asl.intake.recipes import RecipeBuilder
from asl.intake.request import Request
from asl.kernel import Kernel
from asl.names import Digest
from asl.sources.base import DATA, Piece, Pieces, why
from asl.sources.device import DeviceSource
from asl.sources.mapfile import BAD, NEW, READ, STATUSES, RescueMap, read_map
from asl.sources.passes import Block, Passes, Stop, losses
from asl.store import Writer
from asl.store.contents import Payloads
from asl.store.snapshots import StoredSnapshot, find

# Seconds between two looks at the temperature.
LOOK = 60.0
# Areas of the map that a receipt holds; a disk may have millions of bad ones.
TOLD = 10_000


class _Grouping:
    """Blocks as they come, grouped into stretches without gaps. `stopped` says why they ended early."""

    def __init__(self, blocks: Iterator[Block]) -> None:
        self._blocks = blocks
        self._held: Optional[Block] = None
        self.start = self.end = 0
        self.stopped = ""

    def stretches(self) -> Iterator[Pieces]:
        """The pieces of each stretch; `start` and `end` are its own once they are exhausted."""
        self._held = self._next()
        while self._held is not None:
            self.start = self.end = self._held.at
            yield self._pieces()

    def _pieces(self) -> Pieces:
        while self._held is not None and self._held.at == self.end:
            self.end += len(self._held.data)
            yield Piece(DATA, len(self._held.data), self._held.data)
            self._held = self._next()

    def _next(self) -> Optional[Block]:
        try:
            return next(self._blocks, None)
        except Stop as error:
            self.stopped = str(error)
            return None


class _Checkpoints(RecipeBuilder):
    """The recipe of a stretch; now and then what there is of it is stored as a recipe of its own, and PART is told."""

    def __init__(self, writer: Writer, start: int, ledger: Ledger, overview: Overview) -> None:
        super().__init__(writer, overview)
        self._ledger, self._at = ledger, start
        self._part = RecipeBuilder(writer)

    def add(self, entry: Entry) -> None:
        """Append ENTRY."""
        super().add(entry)
        self._part.add(entry)
        if entry.kind == recipe.DATA and self._ledger.due:
            end = self._at + self._part.size
            self._ledger.part(Stretch(self._at, end, tree.RECIPE, self._part.finish(), self._at))
            self._part, self._at = RecipeBuilder(self._writer), end


class _Kept:
    """A writer that keeps the recipe nodes it is given in a file of its own: a gateway takes, and does not give back."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        os.makedirs(paths.state("runtime"), mode=0o700, exist_ok=True)
        self._fd, name = tempfile.mkstemp(dir=paths.state("runtime"))
        os.unlink(name)
        self._places: dict[bytes, tuple[int, int]] = {}
        self._end = 0

    def put(self, payload: bytes, type_tag: Optional[int] = None) -> Digest:
        """Store a node."""
        digest = self._writer.put(payload, type_tag)
        if digest not in self._places:
            self._places[digest] = (self._end, len(payload))
            self._end += os.pwrite(self._fd, payload, self._end)
        return digest

    def payload(self, digest: bytes, type_tag: Optional[int] = None) -> bytes:
        """A node that was stored."""
        at, length = self._places[digest]
        return os.pread(self._fd, length, at)

    def close(self) -> None:
        """Forget them."""
        os.close(self._fd)


class DeviceIntake:
    """Reads one device. `store()` once, and `finish()` when its snapshot is sealed."""

    def __init__(self, source: DeviceSource, writer: Writer, contents: ContentWriter, progress: Progress, request: Request) -> None:
        self._source, self._writer, self._contents, self._progress = source, writer, contents, progress
        self._request, self._media = request, request.media
        self._kept = None if writer.reads_back else _Kept(writer)
        self._nodes = cast(Writer, self._kept or writer)
        self._original: Optional[RescueMap] = None
        identity = {**source.key(), "chunking": request.chunk_average}
        self._ledger = Ledger(writer, key_of(identity), RescueMap(source.size), source.sector)
        self._stopped = ""
        self._whole = Overview()
        self._composer: Optional[Composer] = None
        self._looked = time.monotonic()

    def store(self, kernel: Kernel) -> tuple[Stored, Overview]:
        """Read the device, as far as it can be read; its recipe, and that at a glance."""
        before = self._source.health()
        self._begin()
        passes = self._source.passes(self._ledger.map)
        passes.errors, passes.words = self._ledger.errors, self._ledger.words
        passes.watch = self._watch
        try:
            found = self._compose(kernel, passes, self._read(kernel, passes))
        except OSError as error:
            what = f"{self._source.spec} cannot be read any more where it could be read before: {why(error)}"
            raise Unavailable(what, reason="SOURCE_UNREADABLE", hint="run the same command again") from error
        finally:
            passes.close()
            if self._composer:
                self._composer.close()
            if self._kept:
                self._kept.close()
        self._tell(passes, before, found[1])
        return found

    def finish(self) -> None:
        """What was kept to go on from is not needed any more."""
        self._ledger.finish()

    # Where to begin.

    def _begin(self) -> None:
        source, media, ledger = self._source, self._media, self._ledger
        if not media.restart and ledger.load() and self._is_still(source):
            done = sum(each.end - each.start for each in ledger.stretches)
            self._progress.bytes_done += done
            source.notes.append(f"{source.spec}: an earlier run that did not end had read {done} bytes; they were not read again")
        elif media.retry and not self._writer.reads_back:
            what = f"a snapshot behind {self._request.store} cannot be read while it is written to"
            raise Usage(what, reason="REMOTE_WRITE_ONLY", hint="run it without --retry: what is there is not sent again")
        elif media.retry:
            self._retry(find(self._writer, media.retry))
        elif media.map:
            given = read_map(media.map, source.size)
            self._original = given if source.is_image else None
            # The map says where the disk is sound, but the bytes are not in this store yet: they come first.
            rest = BAD if source.is_image else ""
            areas = [(area.start, area.end, NEW if area.status == READ else rest or area.status) for area in given.areas()]
            ledger.map = RescueMap.of(source.size, areas)

    def _is_still(self, source: DeviceSource) -> bool:
        """Whether the bytes that an earlier run left are still those of the disk; if not, they are forgotten."""
        try:
            changed = self._changed()
        except AslError as error:
            changed = str(error)
        if changed:
            told = f"{source.spec}: what an earlier run that did not end had read is not used, all is read anew: {changed}"
            source.notes.append(told)
            self._ledger.forget()
        return not changed

    def _changed(self) -> str:
        """How the disk is not as it was when it was read before; empty where it is. Raises Damaged, NotFound."""
        source = self._source
        passes = Passes(RescueMap(source.size), source.patient(), source.sector, self._media)
        try:
            at = sameness.difference(self._writer, self._ledger.stretches, passes.again, [0, *source.partition_starts()])
        finally:
            passes.close()
        return "" if at is None else f"its bytes at {at} are others now"

    def _retry(self, snapshot: StoredSnapshot) -> None:
        """Take what SNAPSHOT has of this device. Raises Usage for another one's."""
        source, ledger = self._source, self._ledger
        number = sameness.choose(snapshot, source.size, source.spec, source.details())
        ledger.map = final_map(snapshot, number)
        ledger.stretches = readable(self._writer, snapshot.manifest.sources[number].root)
        changed = self._changed()
        if changed:
            what = f"{source.spec} cannot go on from snapshot {snapshot.id}: {changed}"
            raise Usage(what, reason="OTHER_DISK", hint="it is another disk, or was written to since: run it without --retry")
        self._progress.bytes_done += ledger.map.total(READ)
        source.notes.append(f"{source.spec}: what snapshot {snapshot.id} has was not read again")

    # Reading.

    def _read(self, kernel: Kernel, passes: Passes) -> Overview:
        """Make the passes; the overview of the last stretch."""
        overview = Overview()
        for phase in passes.phases():
            self._progress.enter(phase.name, self._source.spec)
            group = _Grouping(phase.blocks())
            early = self._begin_early(kernel) if phase.small else None
            for pieces in group.stretches():
                start, overview = group.start, Overview()
                builder = _Checkpoints(cast(Writer, early or self._nodes), start, self._ledger, overview)
                kept = early.keep(pieces, start) if early else pieces
                stored = self._contents.store(kept, builder=builder, start=start)
                self._ledger.errors, self._ledger.words = passes.errors, passes.words
                stretch = Stretch(start, group.end, stored.content, stored.digest, start)
                self._ledger.add(stretch)
                if early:
                    early.add(stretch)
            self._stopped = group.stopped
            if self._stopped:
                break
        return overview

    def _watch(self) -> None:
        limit = self._media.max_temperature
        if limit is None or time.monotonic() - self._looked < LOOK:
            return
        self._looked = time.monotonic()
        now = (self._source.health() or {}).get("temperature")
        if isinstance(now, int) and now > limit:
            raise Stop(f"the disk is at {now} degrees Celsius, more than {limit}")

    # What came of it.

    def _compose(self, kernel: Kernel, passes: Passes, overview: Overview) -> tuple[Stored, Overview]:
        size, stretches = self._source.size, sorted(self._ledger.stretches)
        if len(stretches) == 1 and stretches[0][:3] == (0, size, tree.RECIPE) and not stretches[0].origin and overview.size == size:
            return Stored(tree.RECIPE, stretches[0].digest, size, 0), overview
        self._progress.enter("composing", self._source.spec)
        self._writer.commit()
        if self._composer is None:
            again = None if self._writer.reads_back else lambda placed: passes.again(placed.at, placed.end)
            self._composer = self._new_composer(kernel, self._nodes, again)
        return self._composer.compose(size, stretches), self._whole

    def _new_composer(self, kernel: Kernel, nodes: Payloads, chunk: Optional[Callable[[Placed], bytes]]) -> Composer:
        return Composer(kernel, self._request.chunks, self._writer, self._whole, nodes=nodes, chunk=chunk)

    def _begin_early(self, kernel: Kernel) -> Optional[Early]:
        """What cuts seams while the disk is waited for; not where reading back means reading the disk."""
        if not self._writer.reads_back:
            return None
        self._writer.commit()  # what was read until now can be read back
        ledger = self._ledger
        early = Early(self._writer, ledger.map, ledger.stretches, lambda made: self._new_composer(kernel, made, made.chunk))
        self._composer = early.composer
        return early

    def _tell(self, passes: Passes, before: Optional[dict[str, Any]], overview: Overview) -> None:
        source, known = self._source, self._ledger.map
        for start, length, reason in losses(known, passes.words, self._stopped):
            source.lose("unread", f"{source.path}: {length} bytes at {start}", reason)
            self._progress.unread(length)
        told: dict[str, Any] = {}
        final = self._original or known
        unread = [[area.start, area.end - area.start, area.status] for area in final.areas() if area.status != READ]
        overview.tried((area.start, area.end) for area in final.areas() if area.status not in (NEW, READ))
        if unread:
            told.update(map=unread[:TOLD], map_omitted=max(0, len(unread) - TOLD))
        if passes.errors:
            told.update(read_errors=passes.errors, reads_abandoned=passes.abandoned)
        if self._stopped:
            told["stopped"] = self._stopped
            source.notes.append(f"{source.spec}: reading was stopped: {self._stopped}; --retry with this snapshot goes on")
        if before is not None:
            told["smart"] = {"before": before, "after": source.health() or {}}
        source.told = told


def final_map(snapshot: StoredSnapshot, number: int) -> RescueMap:
    """What SNAPSHOT knows of its source NUMBER (from 0), a run of bytes. Raises Damaged."""
    root = snapshot.manifest.sources[number]
    found = RescueMap(root.size, BAD)
    for start, length, status in map_of(snapshot.receipt, number):
        found.set(start, start + length, status)
    for each in readable(snapshot.store, root.root):
        found.set(each.start, each.end, READ)
    return found


def map_of(receipt: dict[str, Any], number: int) -> list[tuple[int, int, str]]:
    """(start, length, status) of the unread areas that RECEIPT tells of its source NUMBER (from 0)."""
    sources = receipt.get("sources")
    details = sources[number].get("details", {}) if isinstance(sources, list) and number < len(sources) else {}
    areas = details.get("map", []) if isinstance(details, dict) else []
    return [(each[0], each[1], each[2]) for each in areas if each[2] in STATUSES and each[2] != READ]
