# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a snapshot reaches: manifest and receipt, trees, recipes, and the chunks that they name.

Nothing recurses: a hostile or odd snapshot may be as deep as it likes. Damage ends one branch, never the walk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple, Optional, TypeVar, Union

from asl.errors import AslError, Damaged
from asl.formats import receipt as receipts
from asl.formats import recipe, tree
from asl.formats.artifact import TAG_MANIFEST, TAG_RECEIPT, TAG_RECIPE, TAG_TREE
from asl.formats.snapshot import Manifest
from asl.names import Digest
from asl.store.marks import Marks
from asl.store.reader import Reader
from asl.store.state import Snapshot

Decoded = TypeVar("Decoded")
MANIFEST, RECEIPT, TREE, RECIPE, CHUNK = "manifest", "receipt", "directory", "recipe", "content"


class Lost(NamedTuple):
    """An artifact that is not there, or not right. `path` in its source; `offset` and `length` in bytes of the file, for content."""

    snapshot: int
    source: str
    path: bytes
    what: str
    digest: Digest
    reason: str
    why: str
    offset: int = 0
    length: int = 0


class Chunk(NamedTuple):
    """A chunk that is met for the first time."""

    digest: Digest
    length: int


class _Step(NamedTuple):
    """A node on the way down, what is left of it, and where its content begins in its file."""

    digest: Digest
    path: bytes
    items: Iterator[Union[tree.Entry, tree.Branch]]


class Walk:
    """Walks snapshots; artifacts met before are not looked at again.

    CHUNK is called for every chunk once and raises an AslError when it is not right; LOST is called for every loss, for each path
    that it hits. With `every_path` directories that were met before are walked again, so that files are counted by their paths.
    """

    def __init__(self, store: Reader, chunk: Callable[[Chunk], None], lost: Callable[[Lost], None], *, every_path: bool = False) -> None:
        self._store, self._chunk, self._lost, self._every_path = store, chunk, lost, every_path
        self.marks = Marks()
        self._bad: dict[bytes, AslError] = {}
        self._tainted: set[bytes] = set()
        self._snapshot, self._source = 0, ""
        self.files = self.artifacts = self.bytes = 0

    def snapshot(self, snapshot: Snapshot) -> None:
        """Walk everything that SNAPSHOT reaches."""
        self._snapshot, self._source = snapshot.id, ""
        about = snapshot.about
        receipt = self._node(about.receipt, TAG_RECEIPT, b"", RECEIPT)
        if receipt is not None:
            self._decoded(receipts.decode, receipt, about.receipt, b"", RECEIPT)
        data = self._node(about.manifest, TAG_MANIFEST, b"", MANIFEST)
        manifest = None if data is None else self._decoded(Manifest.decode, data, about.manifest, b"", MANIFEST)
        for number, root in enumerate(manifest.sources if manifest else ()):
            self._source = about.sources[number] if number < len(about.sources) else str(number)
            if root.root_kind == "tree":
                self._tree(root.root)
            else:
                self.files += 1
                self._recipe(root.root, b"")

    def _report(self, digest: Digest, path: bytes, what: str, error: AslError, at: tuple[int, int] = (0, 0)) -> None:
        self._bad[digest] = error
        self._lost(Lost(self._snapshot, self._source, path, what, digest, error.reason, error.message, *at))

    def _node(self, digest: Digest, tag: int, path: bytes, what: str) -> Optional[bytes]:
        """The payload of an artifact of structure; None when it is lost, which is reported then."""
        error = self._bad.get(digest)
        if error is None:
            try:
                payload = self._store.payload(digest, tag)
                if self.marks.meet(self._store.index, digest):
                    self.artifacts += 1
                    self.bytes += len(payload)
                return payload
            except AslError as failed:
                if failed.reason == "PEER_UNAVAILABLE":
                    raise  # nothing is known to be lost
                error = failed
        self._report(digest, path, what, error)
        return None

    def _decoded(self, decode: Callable[[bytes], Decoded], payload: bytes, digest: Digest, path: bytes, what: str) -> Optional[Decoded]:
        try:
            return decode(payload)
        except AslError as error:
            self._report(digest, path, what, error)
            return None

    def _known(self, digest: bytes) -> bool:
        """True when the node was walked before and nothing is wrong below it."""
        if digest in self._tainted or digest in self._bad:
            return False
        found = self._store.index.number(digest)
        return found is not None and self.marks.has(*found)

    def _tree(self, root: Digest) -> None:
        stack: list[_Step] = []
        self._enter(stack, root, b"")
        while stack:
            item = next(stack[-1].items, None)
            if item is None:
                stack.pop()
            elif isinstance(item, tree.Branch):
                self._enter(stack, Digest(item.digest), stack[-1].path)
            else:
                self._entry(stack, item)

    def _entry(self, stack: list[_Step], entry: tree.Entry) -> None:
        folder = stack[-1].path
        path = folder + b"/" + entry.name if folder else (b"" if entry.name == tree.ROOT_NAME else entry.name)
        digest = Digest(entry.digest)
        if entry.type == tree.DIRECTORY:
            if entry.content == tree.TREE:
                self._enter(stack, digest, path)
            return
        self.files += 1
        sound = True
        if entry.content == tree.RECIPE:
            sound = self._recipe(digest, path)
        elif entry.content == tree.CHUNK:
            sound = self._data(digest, entry.size, path, 0)
        if not sound:
            self._tainted.update(step.digest for step in stack)

    def _enter(self, stack: list[_Step], digest: Digest, path: bytes) -> None:
        if not self._every_path and self._known(digest):
            return
        payload = self._node(digest, TAG_TREE, path, TREE)
        node = None if payload is None else self._decoded(tree.decode, payload, digest, path, TREE)
        if node is None:
            self._tainted.update(step.digest for step in stack)
        else:
            stack.append(_Step(digest, path, iter([*node.entries, *node.branches])))

    def _recipe(self, root: Digest, path: bytes) -> bool:
        """Walk a recipe; True when all of it is there."""
        if self._known(root):
            return True
        stack: list[tuple[Digest, Iterator[recipe.Entry]]] = []
        sound, at = self._enter_recipe(stack, root, path), 0
        while stack:
            entry = next(stack[-1][1], None)
            if entry is None:
                stack.pop()
                continue
            digest, here = Digest(entry.digest), True
            if entry.kind == recipe.CHILD and not self._known(digest):
                here = self._enter_recipe(stack, digest, path)
                if here:
                    continue  # its entries move `at` on
            elif entry.kind == recipe.DATA:
                here = self._data(digest, entry.length, path, at)
            if not here:
                sound = False
                self._tainted.update(each for each, _entries in stack)
            at += entry.length
        return sound

    def _enter_recipe(self, stack: list[tuple[Digest, Iterator[recipe.Entry]]], digest: Digest, path: bytes) -> bool:
        payload = self._node(digest, TAG_RECIPE, path, RECIPE)
        node = None if payload is None else self._decoded(recipe.decode, payload, digest, path, RECIPE)
        if node is not None:
            stack.append((digest, iter(node.entries)))
        return node is not None

    def _data(self, digest: Digest, length: int, path: bytes, offset: int) -> bool:
        error = self._bad.get(digest)
        if error is None:
            found = self._store.index.number(digest)
            if found is not None and not self.marks.add(*found):
                return True
            try:
                if found is None:
                    raise Damaged("no segment has it", reason="NOT_FOUND")
                self._chunk(Chunk(digest, length))
                self.artifacts += 1
                self.bytes += length
                return True
            except AslError as failed:
                error = failed
        self._report(digest, path, CHUNK, error, (offset, length))
        return False
