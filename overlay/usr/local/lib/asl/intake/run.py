# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One intake: open, read, store, seal. Killed at any moment, the same request run again ends with the same snapshot digest."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, Optional

from asl import kernel as kernels
from asl.formats import artifact, canonical
from asl.formats.artifact import TAG_MANIFEST, TAG_RECEIPT
from asl.formats.snapshot import About, Manifest, SourceRoot
from asl.intake import compression
from asl.intake.cache import FileCache
from asl.intake.content import ContentWriter, Stored
from asl.intake.overview import Overview
from asl.intake.progress import Progress
from asl.intake.recipes import RecipeBuilder
from asl.intake.request import Request
from asl.intake.safety import refuse_store_on_source
from asl.intake.trees import TreeIntake
from asl.intake.vouch import vouch
from asl.kernel import zstd
from asl.names import Digest, reference_text
from asl.sources.base import Source
from asl.sources.open import open_source
from asl.store import open_writer
from asl.store.snapshots import StoredSnapshot
from asl.zfs.keep import keep

if TYPE_CHECKING:
    from asl.intake.rescue import DeviceIntake
    from asl.store import Remote, Writer

ENGINE = "asl.rescue 0.1.0"


class Outcome(NamedTuple):
    """What one source gave. Sizes in bytes."""

    root: SourceRoot
    source: str
    files: int
    bytes_read: int
    details: dict[str, Any]
    losses: list[dict[str, str]]
    losses_omitted: int
    notes: list[str]
    overview: Optional[Overview]

    def document(self) -> dict[str, Any]:
        """As it stands in results and receipts."""
        return {
            "source": self.source, "kind": self.root.kind, "files": self.files, "size": self.root.size, "bytes_read": self.bytes_read,
            "bytes_unread": self.root.unread, "root": self.root.document()["root"], "view": self.root.view, "details": self.details,
            "notes": self.notes, "map": self.overview.document() if self.overview else None,
        }  # fmt: skip


class Intake:
    """Runs one request. Use run()."""

    def __init__(
        self,
        request: Request,
        progress: Progress,
        jobs: int,
        *,
        block_size: Optional[int],
        remote: Optional[Remote],
        block_compression: str,
        block_level: int,
    ) -> None:
        self._compression = block_compression, block_level
        self._request, self._progress, self._jobs, self._block_size = request, progress, jobs, block_size
        self._remote = remote
        self._began = time.time()
        self._kernel = kernels.load()
        self._devices: list[DeviceIntake] = []

    def run(self) -> dict[str, Any]:
        """Run it; the result document."""
        request = self._request
        for spec in request.sources:
            refuse_store_on_source(spec, request.store)
        sources = [open_source(spec, exclude_paths=[request.store]) for spec in request.sources]
        self._progress.enter("opening the store")
        if "://" in request.store:
            self._progress.limit = 0  # what is sent is limited there, not what is read
        codec = compression.choose(*self._compression, request.store)
        opened = open_writer(request.store, block_size=self._block_size, remote=self._remote, compression=codec)
        with opened as writer, self._contents(writer) as contents:
            writer.found_later = self._progress.found
            outcomes = [self._source(source, writer, contents) for source in sources]
            self._progress.enter("sealing")
            snapshot, changed = self._seal(writer, outcomes)
            result = self._result(writer, snapshot, changed, outcomes)
            if request.media.name_files:
                from asl.intake.naming import name_files  # with the survey of disks and all of restore

                name_files(result, self._progress)
            # Last: a run that is killed while it names files goes on there, and does not read the disk anew.
            for device in self._devices:
                device.finish()
            store_id = writer.store_id
        # Behind the writer's end, so that nothing half made is in it. What it comes to changes nothing of what is sealed.
        return {**result, "zfs_snapshot": None if "://" in request.store else keep(request.store, store_id, snapshot.id)}

    @contextmanager
    def _contents(self, writer: Writer) -> Iterator[ContentWriter]:
        contents = ContentWriter(self._kernel, self._request.chunks, writer, self._progress, self._jobs)
        try:
            yield contents
        finally:
            contents.close()

    def _source(self, source: Source, writer: Writer, contents: ContentWriter) -> Outcome:
        progress = self._progress
        progress.enter("reading", source.spec)
        overview = None
        before = progress.bytes_read
        with source:
            estimate = source.estimate()
            progress.bytes_total = None if estimate is None else progress.bytes_done + estimate
            if source.root_kind == "tree":
                root, files = self._tree(source, writer, contents)
            else:
                stored, overview = self._content(source, writer, contents)
                root, files = SourceRoot(source.kind, "recipe", Digest(stored.digest), stored.size, stored.unread, source.view), 1
                progress.files += 1
            details = source.details()
        losses = [loss.document() for loss in source.losses]
        read, notes = progress.bytes_read - before, list(source.notes)
        return Outcome(root, source.spec, files, read, details, losses, source.losses_omitted, notes, overview)

    def _content(self, source: Source, writer: Writer, contents: ContentWriter) -> tuple[Stored, Overview]:
        """One run of bytes: in order, or a device in passes."""
        if source.kind == "device":
            from asl.intake.rescue import DeviceIntake
            from asl.sources.device import DeviceSource

            assert isinstance(source, DeviceSource)
            source.media = self._request.media
            if source.in_passes:
                self._devices.append(DeviceIntake(source, writer, contents, self._progress, self._request))
                return self._devices[-1].store(self._kernel)
        overview = Overview()
        builder = RecipeBuilder(writer, overview)
        return contents.store(source.content().pieces(), always_recipe=True, builder=builder), overview

    def _tree(self, source: Source, writer: Writer, contents: ContentWriter) -> tuple[SourceRoot, int]:
        settings = {"chunk_average": self._request.chunk_average}
        cache = FileCache(writer.store_id, source.spec, settings, writer.have)
        writer.learn(cache.digests())
        complete = False
        try:
            intake = TreeIntake(writer, contents, self._progress, cache)
            digest = intake.store(source)
            complete = True
        finally:
            cache.close(complete=complete)
        return SourceRoot(source.kind, "tree", digest, intake.size, intake.unread, source.view), intake.files

    def _seal(self, writer: Writer, outcomes: list[Outcome]) -> tuple[StoredSnapshot, bool]:
        """Seal, unless the same content from the same sources is sealed already: then that snapshot is the answer."""
        chunks = self._request.chunks
        chunking = {"minimum": chunks.minimum, "average": chunks.average, "maximum": chunks.maximum}
        manifest = writer.put(Manifest(tuple(each.root for each in outcomes), chunking).encode(), TAG_MANIFEST)
        receipt = canonical.encode(self._receipt(outcomes, manifest))
        about = About(
            self._request.domain, manifest, artifact.digest(receipt, TAG_RECEIPT), self._request.sources, dict(self._request.labels),
            int(time.time()), sum(each.root.size for each in outcomes), sum(each.files for each in outcomes), self._losses(outcomes),
        )  # fmt: skip
        known = writer.find_sealed(about)
        if known:
            writer.commit()
            return StoredSnapshot(writer, known, known.id in writer.state.pins), False
        writer.put(receipt, TAG_RECEIPT)
        return StoredSnapshot(writer, writer.seal_snapshot(about), False), True

    @staticmethod
    def _losses(outcomes: list[Outcome]) -> int:
        return sum(len(each.losses) + each.losses_omitted for each in outcomes)

    def _receipt(self, outcomes: list[Outcome], manifest: Digest) -> dict[str, Any]:
        host = os.uname()
        return {
            "format": "asl-receipt", "version": 1, "engine": ENGINE, "kernel": self._kernel.name, "python": sys.version.split()[0],
            "host": host.nodename, "system": f"{host.sysname} {host.release} {host.machine}", "user": os.geteuid(),
            "began": int(self._began), "ended": int(time.time()), "request": self._request.document(),
            "manifest": reference_text(manifest), "result": "losses" if self._losses(outcomes) else "complete",
            "sources": [{**each.document(), "losses": each.losses, "losses_omitted": each.losses_omitted} for each in outcomes],
        }  # fmt: skip

    def _result(self, writer: Writer, snapshot: StoredSnapshot, changed: bool, outcomes: list[Outcome]) -> dict[str, Any]:
        progress = self._progress
        losses = [loss for each in outcomes for loss in each.losses]
        return {
            "snapshot": str(snapshot.id), "digest": snapshot.digest, "changed": changed, "store": self._request.store,
            "domain": self._request.domain, "labels": dict(self._request.labels), "sources": [each.document() for each in outcomes],
            "files": sum(each.files for each in outcomes), "files_unchanged": progress.files_unchanged,
            "size": sum(each.root.size for each in outcomes), "bytes_read": progress.bytes_read, "bytes_new": progress.bytes_new,
            "bytes_duplicate": progress.bytes_duplicate, "bytes_unread": sum(each.root.unread for each in outcomes),
            "bytes_stored": writer.bytes_stored, "losses": losses, "losses_omitted": sum(each.losses_omitted for each in outcomes),
            "seconds": round(time.time() - self._began, 3), "kernel": self._kernel.name,
            "receipts": vouch(writer, snapshot, self._request.sign),
            "exit_code": 1 if losses else 0,
        }  # fmt: skip


def run(
    request: Request,
    *,
    progress: Optional[Progress] = None,
    jobs: int = 1,
    block_size: Optional[int] = None,
    remote: Optional[Remote] = None,
    block_compression: str = "off",
    block_level: int = zstd.LEVEL,
) -> dict[str, Any]:
    """Run REQUEST with JOBS hashing threads; the result (docs/architecture.md). Raises AslError; what was stored stays stored.

    REMOTE says how the store is reached where it is a URL. BLOCK_COMPRESSION and BLOCK_LEVEL as in asl.conf."""
    return Intake(
        request,
        progress or Progress(),
        max(1, jobs),
        block_size=block_size,
        remote=remote,
        block_compression=block_compression,
        block_level=block_level,
    ).run()
