# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands around a snapshot, all of it canonical JSON (formats.canonical).

*Manifest* (artifact, type tag 0x41530001): what the snapshot contains. Nothing in it depends on host, time, path, thread count
or interruption, so its digest is the content digest of the snapshot.
*About* (in the SNAPSHOT_ANCHOR record): what a listing shows, and the references of manifest and receipt.
*Checkpoint* (the file snapshots/<id>): the state of the log just before the anchor, so that opening a store replays only what
follows. The anchor's `root` is the SHA-256 of this file.
*Receipt* (artifact, type tag 0x41530004): when, where and how it was read; times and machine data live here only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Optional

from asl.errors import Damaged, Unsupported
from asl.formats import canonical
from asl.formats.log import Position
from asl.names import Digest, parse_reference, reference_text

VERSION = 1


@dataclass(frozen=True)
class SourceRoot:
    """One source in a manifest. `size` in bytes of content; `view` says when it is not the plain content ("journal not replayed")."""

    kind: str
    root_kind: str
    root: Digest
    size: int
    unread: int = 0
    view: Optional[str] = None

    def document(self) -> dict[str, Any]:
        """As it stands in the manifest."""
        return {
            "kind": self.kind, "root_kind": self.root_kind, "root": reference_text(self.root),
            "size": self.size, "unread": self.unread, "view": self.view,
        }  # fmt: skip


@dataclass(frozen=True)
class Manifest:
    """What a snapshot contains: the roots, in the order given, and how content was cut."""

    sources: tuple[SourceRoot, ...]
    chunking: Mapping[str, int]

    def encode(self) -> bytes:
        """The payload of the manifest artifact."""
        return canonical.encode(
            {
                "format": "asl-manifest",
                "version": VERSION,
                "chunking": dict(self.chunking),
                "sources": [each.document() for each in self.sources],
            }
        )

    @classmethod
    def decode(cls, payload: bytes) -> Manifest:
        """Raises Damaged or Unsupported."""
        value = _checked(payload, "asl-manifest", "a manifest")
        try:
            sources = tuple(
                SourceRoot(each["kind"], each["root_kind"], parse_reference(each["root"]), each["size"], each["unread"], each["view"])
                for each in value["sources"]
            )
            return cls(sources, value["chunking"])
        except (KeyError, TypeError) as error:
            raise Damaged(f"a manifest without {error}", reason="BAD_MANIFEST") from error


@dataclass(frozen=True)
class About:
    """What a snapshot is about: the text part of its anchor. `sealed` in seconds since 1970, by the clock of the sealing host."""

    domain: str
    manifest: Digest
    receipt: Digest
    sources: tuple[str, ...]
    labels: Mapping[str, str] = field(default_factory=dict)
    sealed: int = 0
    size: int = 0
    files: int = 0
    losses: int = 0

    def encode(self) -> bytes:
        """The canonical JSON in the anchor."""
        return canonical.encode(
            {
                "domain": self.domain,
                "manifest": reference_text(self.manifest),
                "receipt": reference_text(self.receipt),
                "sources": list(self.sources),
                "labels": dict(self.labels),
                "sealed": self.sealed,
                "size": self.size,
                "files": self.files,
                "losses": self.losses,
            }
        )

    @classmethod
    def decode(cls, payload: bytes) -> About:
        """Raises Damaged."""
        value = canonical.decode(payload, "a snapshot anchor")
        try:
            return cls(
                value["domain"], parse_reference(value["manifest"]), parse_reference(value["receipt"]), tuple(value["sources"]),
                value["labels"], value["sealed"], value["size"], value["files"], value["losses"],
            )  # fmt: skip
        except (KeyError, TypeError) as error:
            raise Damaged(f"a snapshot anchor without {error}", reason="BAD_LOG") from error


@dataclass(frozen=True)
class Checkpoint:
    """The state before an anchor: segments in the order of their seals, tombstones, pins, and the place in the log."""

    snapshot: int
    position: Position
    segments: tuple[tuple[int, bytes], ...]
    tombstones: tuple[tuple[int, bytes, int], ...] = ()
    pins: tuple[int, ...] = ()

    def encode(self) -> bytes:
        """The bytes of the snapshot file."""
        return canonical.encode(
            {
                "format": "asl-snapshot",
                "version": VERSION,
                "snapshot": self.snapshot,
                "logseq": self.position.logseq,
                "link": self.position.link.hex(),
                "offset": self.position.offset,
                "segments": [[number, digest.hex()] for number, digest in self.segments],
                "tombstones": [[domain, digest.hex(), logseq] for domain, digest, logseq in self.tombstones],
                "pins": list(self.pins),
            }
        )

    @classmethod
    def decode(cls, data: bytes) -> Checkpoint:
        """Raises Damaged or Unsupported."""
        value = _checked(data, "asl-snapshot", "a snapshot file")
        try:
            return cls(
                value["snapshot"],
                Position(value["logseq"], bytes.fromhex(value["link"]), value["offset"]),
                tuple((number, bytes.fromhex(digest)) for number, digest in value["segments"]),
                tuple((domain, bytes.fromhex(digest), logseq) for domain, digest, logseq in value["tombstones"]),
                tuple(value["pins"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise Damaged(f"a snapshot file that makes no sense: {error}", reason="BAD_SNAPSHOT") from error


def _checked(data: bytes, kind: str, what: str) -> dict[str, Any]:
    value = canonical.decode(data, what)
    if value.get("format") != kind:
        raise Damaged(f"{what} without its format word {kind!r}", reason="BAD_JSON")
    if not isinstance(value.get("version"), int) or value["version"] > VERSION:
        raise Unsupported(f"{what} of version {value.get('version')}; this engine knows {VERSION}")
    return value
