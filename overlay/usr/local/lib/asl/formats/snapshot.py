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

import re
from binascii import unhexlify
from collections.abc import Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import Any, NamedTuple, Optional

from asl.errors import Damaged, Unsupported, Usage
from asl.formats import canonical
from asl.formats.log import Position
from asl.names import Digest, parse_reference, reference_text

VERSION = 1
REFERENCE_TEXT = 68  # characters
Shapes = Mapping[str, tuple[type, ...]]


class SourceRoot(NamedTuple):
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


class Manifest(NamedTuple):
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
        value = _fields(_checked(payload, "asl-manifest", "a manifest"), _MANIFEST, "a manifest", "BAD_MANIFEST")
        roots = [_fields(each, _ROOT, "a source in a manifest", "BAD_MANIFEST") for each in value["sources"]]
        sources = tuple(
            SourceRoot(each["kind"], each["root_kind"], _digest(each["root"], "BAD_MANIFEST"), each["size"], each["unread"], each["view"])
            for each in roots
        )
        return cls(sources, _all_of(int, value["chunking"], "the chunking of a manifest", "BAD_MANIFEST"))


class About(NamedTuple):
    """What a snapshot is about: the text part of its anchor. `sealed` in seconds since 1970, by the clock of the sealing host.

    A tuple, since a listing makes ten thousand of them."""

    domain: str
    manifest: Digest
    receipt: Digest
    sources: tuple[str, ...]
    labels: Mapping[str, str] = MappingProxyType({})
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
        usual = _USUAL_ABOUT.fullmatch(payload)
        if usual:
            domain, files, losses, manifest, receipt, sealed, size, source = usual.groups()
            return tuple.__new__(  # as cls(…), which ten thousand of them take a while for
                cls, (
                    domain.decode(), unhexlify(manifest), unhexlify(receipt), (source.decode(),), {},
                    int(sealed), int(size), int(files), int(losses),
                ),
            )  # fmt: skip
        value = _fields(canonical.decode(payload, "a snapshot anchor"), _ABOUT, "a snapshot anchor", "BAD_LOG")
        labels = _all_of(str, value["labels"], "the labels of a snapshot", "BAD_LOG")
        if not all(isinstance(each, str) for each in value["sources"]):
            raise Damaged("a snapshot anchor with a source that is no text", reason="BAD_LOG")
        return cls(
            value["domain"], _digest(value["manifest"], "BAD_LOG"), _digest(value["receipt"], "BAD_LOG"), tuple(value["sources"]),
            labels, value["sealed"], value["size"], value["files"], value["losses"],
        )  # fmt: skip


class Checkpoint(NamedTuple):
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
        value = _fields(_checked(data, "asl-snapshot", "a snapshot file"), _CHECKPOINT, "a snapshot file", "BAD_SNAPSHOT")
        try:
            found = cls(
                value["snapshot"],
                Position(value["logseq"], bytes.fromhex(value["link"]), value["offset"]),
                tuple((number, bytes.fromhex(digest)) for number, digest in value["segments"]),
                tuple((domain, bytes.fromhex(digest), logseq) for domain, digest, logseq in value["tombstones"]),
                tuple(value["pins"]),
            )
            same = found.encode() == data
        except (TypeError, ValueError) as error:
            raise Damaged(f"a snapshot file that makes no sense: {error}", reason="BAD_SNAPSHOT") from error
        numbers = [each[0] for each in found.segments] + [each for stone in found.tombstones for each in stone[::2]] + list(found.pins)
        if not same or not all(_is(number, int) for number in numbers):
            raise Damaged("a snapshot file that makes no sense: a number or a digest is none", reason="BAD_SNAPSHOT")
        return found


# The keys of each object and the type of their values.
_MANIFEST: Shapes = {"sources": (list,), "chunking": (dict,)}
_ROOT: Shapes = {"kind": (str,), "root_kind": (str,), "root": (str,), "size": (int,), "unread": (int,), "view": (str, type(None))}
_ABOUT: Shapes = {
    "domain": (str,), "manifest": (str,), "receipt": (str,), "sources": (list,), "labels": (dict,),
    "sealed": (int,), "size": (int,), "files": (int,), "losses": (int,),
}  # fmt: skip
_CHECKPOINT: Shapes = {
    "snapshot": (int,), "logseq": (int,), "link": (str,), "offset": (int,), "segments": (list,), "tombstones": (list,), "pins": (list,),
}  # fmt: skip

# What most anchors are, in canonical form by its shape: plain text, one source, no labels. Read in less than half of the time.
_TEXT, _NUMBER, _REFERENCE = rb'"([ !#-\[\]-~]*)"', rb"(0|[1-9][0-9]{0,18})", rb'"0001([0-9a-f]{64})"'
_USUAL_ABOUT = re.compile(
    rb'\{"domain":%b,"files":%b,"labels":\{\},"losses":%b,"manifest":%b,"receipt":%b,"sealed":%b,"size":%b,"sources":\[%b\]\}'
    % (_TEXT, _NUMBER, _NUMBER, _REFERENCE, _REFERENCE, _NUMBER, _NUMBER, _TEXT)
)


def _checked(data: bytes, kind: str, what: str) -> dict[str, Any]:
    value = canonical.decode(data, what)
    if value.get("format") != kind:
        raise Damaged(f"{what} without its format word {kind!r}", reason="BAD_JSON")
    version: Any = value.get("version")
    if not _is(version, int) or version < VERSION:
        raise Damaged(f"{what} of version {version!r}, which there never was", reason="BAD_JSON")
    if version > VERSION:
        raise Unsupported(f"{what} of version {version}; this engine knows {VERSION}")
    return value


def _is(value: Any, *types: type) -> bool:
    """isinstance(), but True and False are no integers: JSON tells them apart."""
    return isinstance(value, types) and not isinstance(value, bool)


def _fields(value: Any, shapes: Shapes, what: str, reason: str) -> dict[str, Any]:
    """VALUE, when it is an object with the keys of SHAPES, each of its type. Raises Damaged."""
    if not isinstance(value, dict):
        raise Damaged(f"{what} that is no object", reason=reason)
    for key, types in shapes.items():
        if key not in value or type(value[key]) not in types:  # True is no integer here
            raise Damaged(f"{what} without a proper {key!r}", reason=reason)
    return value


def _all_of(kind: type, value: dict[str, Any], what: str, reason: str) -> dict[str, Any]:
    if not all(_is(each, kind) for each in value.values()):
        raise Damaged(f"{what} hold something else than {kind.__name__}", reason=reason)
    return value


def _digest(text: str, reason: str) -> Digest:
    if len(text) == REFERENCE_TEXT:  # nearly always, and there are two in each of ten thousand snapshots
        with suppress(ValueError):
            digest = Digest(bytes.fromhex(text[4:]))
            if reference_text(digest) == text:
                return digest
    try:
        found = parse_reference(text)
    except Usage as error:
        raise Damaged(f"{text!r} stands where a reference should", reason=reason) from error
    if reference_text(found) != text:  # a person may shorten a reference or shout it; a file may not
        raise Damaged(f"{text!r} stands where a reference should", reason=reason)
    return found
