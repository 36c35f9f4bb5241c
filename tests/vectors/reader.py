# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A reader of stores written from docs/formats.md alone: it imports nothing of the engine, and the engine imports nothing of it.

    tests/vectors/reader.py STORE [SNAPSHOT]      # reads every artifact of a snapshot back and prints what it found, as JSON

If this and the engine disagree, one of them or the page is wrong. It reads and never writes. Everything that the page calls a rule of
a format and that this meets on its way is held; a break raises Wrong.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, Optional

MANIFEST, TREE, RECIPE, RECEIPT = 0x41530001, 0x41530002, 0x41530003, 0x41530004
SEAL, DROP, ANCHOR = 0x01, 0x41530010, 0x41530020
DATA, HOLE, UNREAD, CHILD = 0, 1, 2, 3
FILE, DIRECTORY, SYMLINK = 1, 2, 3
NONE, CHUNK, BY_RECIPE, BY_TREE = 0, 1, 2, 3
IN_EXTENTS = 0xFFFFFFFF


class Wrong(Exception):
    """The store is not as docs/formats.md says."""


def hold(rule: bool, what: str) -> None:
    if not rule:
        raise Wrong(what)


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def canonical(data: bytes, form: Optional[str]) -> dict[str, Any]:
    """Canonical JSON: one value has one byte string."""
    value = json.loads(data)
    hold(isinstance(value, dict) and (form is None or (value["format"], value["version"]) == (form, 1)), f"no {form}")
    hold(json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode() == data, "JSON that is not canonical")
    return dict(value)


def reference(text: str) -> bytes:
    hold(len(text) == 68 and text.startswith("0001"), f"{text} is no reference")
    return bytes.fromhex(text[4:])


class Record(NamedTuple):
    kind: int
    payload: bytes


def log_records(store: Path) -> list[Record]:
    """The log up to the acknowledged head."""
    data = (store / "logs/asl.log").read_bytes()
    head = canonical((store / "meta/head").read_bytes(), None)
    hold(data[:24] == struct.pack("<8sIIQ", b"ASLLOG01", 1, 24, 0), "the header of the log")
    found, at, link = [], 24, bytes(32)
    while at < head["offset"]:
        sequence, kind, length = struct.unpack_from("<QII", data, at)
        body = data[at : at + 16 + length]
        link, at = sha256(link + body), at + 48 + length
        hold(data[at - 32 : at] == link, f"the chain breaks at record {sequence}")
        found.append(Record(kind, body[16:]))
        hold(sequence == len(found), "records are not counted")
    hold((len(found), link.hex(), at) == (head["logseq"], head["link"], head["offset"]), "the log does not reach its head")
    return found


class Segment:
    """One segment: where each digest has its bytes."""

    def __init__(self, data: bytes) -> None:
        (magic, version, _shard, size, _low, _high, count, records, blocks, block_count, record_size, extents, extent_count, filter_at,
         filter_size) = struct.unpack_from("<8sHHIQQQQQIIQQQQ", data)  # fmt: skip
        hold((magic, version, size, record_size) == (b"ASRSEG01", 1, 128, 44), "the header of a segment")
        hold((records, blocks) == (128 + filter_size, records + 44 * count) and filter_at in (0, 128), "the areas of a segment")
        hold(extents == blocks + 32 * block_count and len(data) == extents + 12 * extent_count + 24, "the size of a segment")
        hold(struct.unpack("<8sQII", data[-24:])[::3] == (b"ASRSEG01", zlib.crc32(data[:-4])), "the footer of a segment")
        self.blocks = [data[at : at + 32] for at in range(blocks, extents, 32)]
        self.extents = list(struct.iter_unpack("<III", data[extents:-24]))
        rows = list(struct.iter_unpack("<32sIII", data[records:blocks]))
        hold([row[0] for row in rows] == sorted({row[0] for row in rows}), "records out of order")
        self.records = {digest: (block, offset, length) for digest, block, offset, length in rows}

    def places(self, digest: bytes) -> list[tuple[bytes, int, int]]:
        """Block, offset and length of each piece, in order."""
        block, offset, length = self.records[digest]
        parts = self.extents[offset : offset + length] if block == IN_EXTENTS else [(block, offset, length)]
        return [(self.blocks[ordinal], start, size) for ordinal, start, size in parts]


def block_content(data: bytes) -> bytes:
    """The plain content of a block."""
    magic, version, kind, encoding, sealing, size = struct.unpack_from("<8sHBBB3xI", data)
    plain, body, frames, artifacts, crc, _zero, end = struct.unpack("<QQIIII8s", data[-40:])
    hold((magic, version, encoding, sealing, size, end) == (b"ASRBLK01", 1, 0, 0, 64, b"ASRBEND1"), "the header of a block")
    hold((plain, len(data)) == (body, 64 + body + 4 * frames + 4 * artifacts + 40), "the areas of a block")
    hold(crc == zlib.crc32(data[64 + body : -40]), "the table of a block")
    content = data[64 : 64 + body]
    if kind == 0:
        starts = [at for (at,) in struct.iter_unpack("<I", data[64 + body + 4 * frames : -40])]
        at = 0
        for start in starts:
            hold(start == at, "artifacts do not lie one behind the other")
            at += encoded_size(content, at)
        hold(at == plain, "bytes behind the last artifact of a block")
    return content


def encoded_size(data: bytes, at: int = 0) -> int:
    """How long the ArtifactBytes at AT are."""
    tagged = data[at]
    hold(tagged in (0, 1), "has_type_tag")
    start = at + 1 + 4 * tagged
    return 1 + 4 * tagged + 8 + int(struct.unpack_from(">Q", data, start)[0])


class Reader:
    """A store, opened as the log says."""

    def __init__(self, store: Path) -> None:
        self.store = store
        marker = canonical((store / "meta/asl-store").read_bytes(), "asl-store")
        check = marker.pop("check")
        hold(sha256(json.dumps(marker, sort_keys=True, separators=(",", ":")).encode()).hex() == check, "the marker")
        visible: dict[int, bytes] = {}
        self.anchors: dict[int, tuple[bytes, dict[str, Any]]] = {}
        for kind, payload in log_records(store):
            if kind == SEAL:
                visible[struct.unpack_from("<Q", payload)[0]] = payload[8:40]
            elif kind == DROP:
                for (number,) in struct.iter_unpack("<Q", payload[4:]):
                    visible.pop(number)
            elif kind == ANCHOR:
                number, _domain, _flags, root = struct.unpack_from("<QII32s", payload)
                self.anchors[number] = (root, canonical(payload[48:], None))
        self.segments: list[Segment] = []
        for number, digest in visible.items():
            data = (store / f"segments/{number:012}").read_bytes()
            hold(sha256(data) == digest, f"segment {number} is not the one that was sealed")
            self.segments.insert(0, Segment(data))
        self._blocks: dict[bytes, bytes] = {}
        self.seen: set[bytes] = set()
        self.bytes = 0

    def block(self, name: bytes) -> bytes:
        if name not in self._blocks:
            data = (self.store / f"blocks/{name.hex()[:2]}/{name.hex()}").read_bytes()
            hold(sha256(data) == name, f"block {name.hex()} has another digest")
            self._blocks[name] = block_content(data)
        return self._blocks[name]

    def artifact(self, digest: bytes, tag: Optional[int] = None) -> bytes:
        """The bytes of an artifact, which has to have this TAG. The newest visible segment that has it counts."""
        segment = next((each for each in self.segments if digest in each.records), None)
        if segment is None:
            raise Wrong(f"no visible segment has {digest.hex()}")
        encoded = b"".join(self.block(name)[start : start + size] for name, start, size in segment.places(digest))
        hold(sha256(encoded) == digest, f"artifact {digest.hex()} has another digest")
        header = b"\0" if tag is None else b"\1" + struct.pack(">I", tag)
        payload = encoded[len(header) + 8 :]
        hold(encoded[: len(header) + 8] == header + struct.pack(">Q", len(payload)), "the head of an artifact")
        if digest not in self.seen:
            self.seen.add(digest)
            self.bytes += len(payload)
        return payload

    def pieces(self, digest: bytes, level: Optional[int] = None) -> Iterator[tuple[int, int, Optional[bytes]]]:
        """Kind, length and data of each piece of the content that a recipe describes."""
        data = self.artifact(digest, RECIPE)
        version, at_level, _zero, count, size = struct.unpack_from("<BBHIQ", data)
        hold(version == 1 and level in (None, at_level), "the head of a recipe")
        at, covered = 16, 0
        for _entry in range(count):
            (word,) = struct.unpack_from("<Q", data, at)
            kind, length, name = word >> 56, word & (1 << 56) - 1, data[at + 8 : at + 40]
            at += 40 if kind in (DATA, CHILD) else 8
            covered += length
            hold(length > 0 and (kind == CHILD) == (at_level > 0), "an entry of a recipe")
            if kind == CHILD:
                yield from self.pieces(name, at_level - 1)
            else:
                chunk = self.artifact(name) if kind == DATA else None
                hold(chunk is None or len(chunk) == length, "the length of a chunk")
                yield kind, length, chunk
        hold((at, covered) == (len(data), size), "the size of a recipe")

    def entries(self, digest: bytes) -> Iterator[dict[str, Any]]:
        """The entries of a directory, from all nodes of its tree."""
        data = self.artifact(digest, TREE)
        version, level, _zero, count = struct.unpack_from("<BBHI", data)
        hold(version == 1, "the head of a tree")
        at = 8
        for _entry in range(count):
            if level:
                (name_length,) = struct.unpack_from("<H", data, at + 40)
                yield from self.entries(data[at : at + 32])
                at += 42 + name_length
            else:
                (length,) = struct.unpack_from("<I", data, at)
                yield entry(data[at : at + 4 + length])
                at += 4 + length
        hold(at == len(data), "bytes behind the last entry of a tree")


def entry(data: bytes) -> dict[str, Any]:
    """One name of a directory."""
    kind, flags, content, _zero, mode, uid, gid, _zeros, seconds, nanoseconds, size, major, minor, digest, names, targets, xattrs = (
        struct.unpack_from("<BBBBIIIQqIQII32sHII", data, 4)
    )
    at = 98
    name, target = data[at : at + names], data[at + names : at + names + targets]
    at += names + targets
    attributes: dict[bytes, bytes] = {}
    for _xattr in range(xattrs):
        key_length, value_length = struct.unpack_from("<HI", data, at)
        at += 6
        attributes[data[at : at + key_length]] = data[at + key_length : at + key_length + value_length]
        at += key_length + value_length
    hold(at == len(data), "bytes behind an entry")
    return {
        "type": kind, "flags": flags, "content": content, "mode": mode, "uid": uid, "gid": gid, "size": size,
        "mtime": (seconds, nanoseconds), "device": (major, minor), "digest": digest, "name": name, "target": target, "xattrs": attributes,
    }  # fmt: skip


class Snapshot:
    """Everything that one snapshot reaches, read back."""

    def __init__(self, reader: Reader, number: int) -> None:
        root, about = reader.anchors[number]
        hold(sha256((reader.store / f"snapshots/{number:012}").read_bytes()) == root, "the checkpoint")
        canonical((reader.store / f"snapshots/{number:012}").read_bytes(), "asl-snapshot")
        self.reader, self.about, self.paths = reader, about, {}
        self.digest = reference(about["manifest"])
        self.manifest = canonical(reader.artifact(self.digest, MANIFEST), "asl-manifest")
        self.receipt = canonical(reader.artifact(reference(about["receipt"]), RECEIPT), "asl-receipt")
        self.paths: dict[str, dict[str, Any]] = {}
        for order, source in enumerate(self.manifest["sources"]):
            if source["root_kind"] == "tree":
                self._walk(f"{order}:", reference(source["root"]))
            else:
                self.paths[f"{order}:"] = self._content(reader.pieces(reference(source["root"])))

    def _walk(self, above: str, digest: bytes) -> None:
        last = b""
        for each in self.reader.entries(digest):
            hold(each["name"] > last, "names out of order")
            last = each["name"]
            path = above if last == b"." else f"{above}/{os.fsdecode(last)}"
            found = {key: each[key] for key in ("type", "mode", "uid", "gid", "mtime", "size", "target")}
            if each["content"] == CHUNK:
                found.update(self._content(iter([(DATA, each["size"], self.reader.artifact(each["digest"]))])))
            elif each["content"] == BY_RECIPE:
                found.update(self._content(self.reader.pieces(each["digest"])))
            elif each["type"] == FILE and not each["size"]:
                found.update(self._content(iter([])))
            self.paths[path] = found
            if each["content"] == BY_TREE:
                self._walk(path, each["digest"])

    @staticmethod
    def _content(pieces: Iterator[tuple[int, int, Optional[bytes]]]) -> dict[str, Any]:
        """SHA-256 of the content with holes as zeros; unread ranges are counted and are nothing."""
        hasher, read, unread = hashlib.sha256(), 0, 0
        for kind, length, data in pieces:
            unread += length if kind == UNREAD else 0
            read += length if kind != UNREAD else 0
            if kind == HOLE:
                for start in range(0, length, 1 << 20):
                    hasher.update(bytes(min(1 << 20, length - start)))
            elif data is not None:
                hasher.update(data)
        return {"sha256": hasher.hexdigest(), "read": read, "unread": unread}


def main() -> int:
    reader = Reader(Path(sys.argv[1]))
    snapshot = Snapshot(reader, int(sys.argv[2]) if len(sys.argv) > 2 else max(reader.anchors))
    print(json.dumps({"digest": snapshot.digest.hex(), "artifacts": len(reader.seen), "bytes": reader.bytes, "paths": len(snapshot.paths)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
