# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Snapshots as people ask for them: by id, by digest, newest first."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from asl.errors import NotFound, Usage
from asl.formats.artifact import TAG_MANIFEST, TAG_RECEIPT
from asl.formats.snapshot import About, Manifest
from asl.store import marker, recovery
from asl.store.reader import Reader
from asl.store.state import Snapshot

if TYPE_CHECKING:
    from asl.formats.attestation import Attestation

# A digest may be shortened to this many characters: fewer would be mistaken for an id too easily.
SHORTEST_DIGEST = 8


class StoredSnapshot:
    """A snapshot in a store. `id` is its number there; `digest` is the content digest, equal for equal content."""

    def __init__(self, store: Reader, snapshot: Snapshot, pinned: bool) -> None:
        self.store, self.snapshot, self.pinned = store, snapshot, pinned

    @property
    def id(self) -> int:
        return self.snapshot.id

    @property
    def about(self) -> About:
        return self.snapshot.about

    @property
    def digest(self) -> str:
        return self.about.manifest.hex()

    @cached_property
    def manifest(self) -> Manifest:
        """What it contains. Raises Damaged."""
        return Manifest.decode(self.store.payload(self.about.manifest, TAG_MANIFEST))

    @cached_property
    def receipt(self) -> dict[str, Any]:
        """When, where and how it was read. Raises Damaged."""
        from asl.formats import receipt

        return receipt.decode(self.store.payload(self.about.receipt, TAG_RECEIPT))

    def attestation(self) -> Attestation:
        """What can be signed of it, with its receipt in it. Raises Damaged."""
        from asl.store.attest import attest

        return attest(marker.check(self.store.backend), self.snapshot, self.receipt)

    def document(self) -> dict[str, Any]:
        """What a listing shows."""
        number, logseq, _root, about, _link = self.snapshot
        domain, manifest, _receipt, sources, labels, sealed, size, files, losses = about
        return {
            "snapshot": str(number), "digest": manifest.hex(), "domain": domain, "sealed": sealed, "logseq": logseq,
            "sources": list(sources), "labels": dict(labels), "size": size, "files": files, "losses": losses, "pinned": self.pinned,
        }  # fmt: skip


def listing(store: Reader) -> list[StoredSnapshot]:
    """Every snapshot, oldest first. Replays the whole log: a checkpoint knows only the snapshots after it."""
    state = recovery.load(store.backend, full=True)
    return [StoredSnapshot(store, each, each.id in state.pins) for each in state.snapshots]


def find(store: Reader, text: str) -> StoredSnapshot:
    """The snapshot that TEXT names: its id, `latest`, the beginning of its digest, or KEY=VALUE for the newest one with this label.

    Raises NotFound, Usage."""
    known = listing(store)
    if text == "latest" and known:
        return known[-1]
    key, label, value = text.partition("=")
    if label:
        found = [each for each in known if each.about.labels.get(key) == value]
    elif text.isdigit() and len(text) < SHORTEST_DIGEST:
        found = [each for each in known if each.id == int(text)]
    else:
        if len(text) < SHORTEST_DIGEST and text != "latest":
            hint = f"give its id, {SHORTEST_DIGEST} or more characters of its digest, latest, or a label as KEY=VALUE"
            raise Usage(f"{text!r} does not name a snapshot", hint=hint)
        # Equal digests are equal content: the newest one stands for all.
        found = [each for each in known if each.digest.startswith(text.lower())]
        if len({each.digest for each in found}) > 1:
            raise Usage(f"{text!r} is the beginning of more than one snapshot's digest", hint="give more characters")
    if not found:
        what = f"{store.backend.location}: there is no snapshot {'with the label ' if label else ''}{text}"
        raise NotFound(what, reason="NO_SNAPSHOT", hint="asl-admin snapshots lists them")
    return found[-1]
