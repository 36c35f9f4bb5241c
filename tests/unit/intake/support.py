# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Contents in pieces, a writer that is a dict, and small trees."""

from __future__ import annotations

import os
import random
import time
from array import array
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Optional

from asl.formats import artifact, recipe, tree
from asl.formats.artifact import Artifact, Buffer
from asl.intake.request import Request
from asl.intake.run import run
from asl.names import Digest
from asl.sources.attributes import SETTLED_NS
from asl.sources.base import DATA, HOLE, UNREAD, Piece
from asl.sources.memory import lend
from asl.store.contents import recipe_entries


class Memory:
    """The part of a store's writer that contents need; `order` is the order in which artifacts came."""

    def __init__(self) -> None:
        self.artifacts: dict[bytes, Artifact] = {}
        self.order: list[bytes] = []

    def has(self, digest: bytes) -> bool:
        return digest in self.artifacts

    def put(self, payload: Buffer, type_tag: Optional[int] = None) -> Digest:
        digest = artifact.digest(payload, type_tag)
        self.add(digest, payload, type_tag)
        return digest

    def add(self, digest: Digest, payload: Buffer, type_tag: Optional[int] = None) -> bool:
        assert artifact.digest(payload, type_tag) == digest
        if digest in self.artifacts:
            return False
        self.artifacts[digest] = Artifact(bytes(payload), type_tag)
        self.order.append(digest)
        return True

    def add_chunks(self, data: Buffer, spans: array[int], digests: bytes, done: Callable[[], None]) -> bytes:
        new = bytes(
            self.add(Digest(digests[16 * at : 16 * at + 32]), bytes(memoryview(data)[spans[at] : spans[at + 1]]))
            for at in range(0, len(spans), 2)
        )
        done()
        return new

    def payload(self, digest: bytes, type_tag: Optional[int] = None) -> bytes:
        found = self.artifacts[digest]
        assert found.type_tag == type_tag
        return found.payload


class Stretch(NamedTuple):
    """LENGTH bytes: "random" by a seed, "zeros", or "unread"."""

    kind: str
    length: int
    seed: int = 0

    def bytes(self) -> bytes:
        return random.Random(self.seed).randbytes(self.length) if self.kind == "random" else bytes(self.length)


def flat(stretches: Sequence[Stretch]) -> list[tuple[int, bytes]]:
    """(UNREAD or DATA, its bytes) of a content, neighbours of one kind joined."""
    found: list[tuple[int, bytes]] = []
    for each in stretches:
        kind = UNREAD if each.kind == "unread" else DATA
        if found and found[-1][0] == kind:
            found[-1] = (kind, found[-1][1] + each.bytes())
        elif each.length:
            found.append((kind, each.bytes()))
    return found


def pieces(stretches: Sequence[Stretch], rng: random.Random, longest: int) -> Iterator[Piece]:
    """The content in pieces cut anywhere; zeros come as holes or as data, as the dice fall. Data is overwritten behind each piece."""
    for each in stretches:
        data, at = each.bytes(), 0
        as_hole = each.kind == "zeros" and rng.random() < 0.5
        while at < each.length:
            size = min(rng.randint(1, longest), each.length - at)
            if each.kind == "unread":
                yield Piece(UNREAD, size)
            elif as_hole:
                yield Piece(HOLE, size)
            else:
                buffer = bytearray(data[at : at + size])
                yield Piece(DATA, size, memoryview(buffer))
                buffer[:] = b"\xee" * size
            at += size


def lent_pieces(given: Iterator[Piece]) -> Iterator[Piece]:
    """The same pieces, their data in memory that is lent."""
    for piece in given:
        if piece.data is None:
            yield piece
            continue
        lent = lend()
        lent.view[: piece.length] = piece.data
        yield Piece(DATA, piece.length, lent.view[: piece.length], lent)
        lent.drop()


def rebuilt(store: Any, content: int, digest: bytes) -> list[tuple[int, bytes]]:
    """What a stored content says, as flat() does."""
    if content == tree.NONE:
        return []
    entries = [recipe.Entry(DATA, 0, digest)] if content == tree.CHUNK else list(recipe_entries(store, digest))
    found: list[tuple[int, bytes]] = []
    for entry in entries:
        data = store.payload(entry.digest) if entry.kind == DATA else bytes(entry.length)
        kind = UNREAD if entry.kind == UNREAD else DATA
        if found and found[-1][0] == kind:
            found[-1] = (kind, found[-1][1] + data)
        else:
            found.append((kind, data))
    return found


def grow(folder: Path, seed: int = 1) -> Path:
    """A tree with a bit of everything that decides a digest: sizes, holes, links, names, empty things."""
    rng = random.Random(seed)
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "empty").mkdir()
    for number in range(30):
        (folder / "deep" / f"{number:02d}").write_bytes(rng.randbytes(rng.randrange(1, 30_000)))
    (folder / "big").write_bytes(rng.randbytes(3 << 20))
    (folder / "nothing").touch()
    (folder / os.fsdecode(b"caf\xe9")).write_text("latin")
    (folder / "link").symlink_to("deep/00")
    os.link(folder / "deep" / "01", folder / "deep" / "er" / "twin")
    with (folder / "sparse").open("wb") as file:
        file.write(b"head")
        file.seek(1 << 20)
        file.write(b"middle" + bytes(40_000) + b"x")
        file.truncate(5 << 20)
    return folder


def settle(folder: Path) -> None:
    """Wait until the files may be taken for unchanged: the rule is about the clock, so the clock has to go on."""
    newest = max(path.lstat().st_ctime_ns for path in [folder, *folder.rglob("*")])
    while time.time_ns() <= newest + SETTLED_NS:
        time.sleep(0.05)


def intake(source: Path, store: str, **options: Any) -> dict[str, Any]:
    """Run an intake of the tree SOURCE; options of run(), and of the request with `request`."""
    request = options.pop("request", {})
    return run(Request((f"tree:{source}",), store, request.pop("domain", "test"), **request), **options)
