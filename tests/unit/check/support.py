# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real stores, small enough to damage every byte of them."""

from __future__ import annotations

import atexit
import functools
import shutil
import tempfile
from pathlib import Path
from typing import NamedTuple

from asl.formats import canonical, recipe, records, tree
from asl.formats.artifact import TAG_MANIFEST, TAG_RECEIPT, TAG_RECIPE, TAG_TREE
from asl.formats.snapshot import About, Manifest, SourceRoot
from asl.names import Digest
from asl.store import Writer, init_store, open_writer, raw
from asl.store.check import CheckResult, check


class Small(NamedTuple):
    """A store and the digests of some of what lies in it."""

    root: Path
    chunk: Digest
    recipe: Digest
    tree: Digest
    manifest: Digest


def seal(writer: Writer, root: Digest, *, root_kind: str = "tree", size: int = 0) -> Digest:
    """Seal a snapshot of the source root ROOT; the digest of its manifest."""
    manifest = writer.put(Manifest((SourceRoot("tree", root_kind, root, size),), {"average": 65536}).encode(), TAG_MANIFEST)
    receipt = writer.put(canonical.encode({"format": "asl-receipt", "sources": []}), TAG_RECEIPT)
    writer.seal_snapshot(About("d", manifest, receipt, ("tree:/x",), {}, 1, size, 1, 0))
    return manifest


def small(root: Path) -> Small:
    """A store with two snapshots, every kind of record and of artifact, in a few kilobytes; made once, then copied."""
    made = _template()
    shutil.copytree(made.root, root)
    return made._replace(root=root)


@functools.cache
def _template() -> Small:
    folder = tempfile.mkdtemp(prefix="asl-test-")
    atexit.register(shutil.rmtree, folder)
    root = Path(folder) / "store"
    init_store(str(root))
    with open_writer(str(root)) as writer:
        chunk, other = writer.put(b"chunk"), writer.put(b"other", 7)
        middle = writer.put(recipe.encode(0, [recipe.Entry(recipe.DATA, 5, chunk), recipe.Entry(recipe.HOLE, 9)]), TAG_RECIPE)
        entries = [
            tree.Entry(b"file", tree.FILE, size=14, content=tree.RECIPE, digest=middle),
            tree.Entry(b"same", tree.FILE, size=5, content=tree.CHUNK, digest=chunk),
        ]
        folder = writer.put(tree.encode([tree.encode_entry(each) for each in entries]), TAG_TREE)
        top = tree.Entry(tree.ROOT_NAME, tree.DIRECTORY, content=tree.TREE, digest=folder)
        manifest = seal(writer, writer.put(tree.encode([tree.encode_entry(top)]), TAG_TREE))
        seal(writer, folder)
        writer.record(records.SNAPSHOT_PIN, records.encode_number(1))
        writer.record(records.TOMBSTONE, records.Tombstone(other).encode())
        writer.record(records.TOMBSTONE_LIFT, records.Tombstone(other, 0, writer.state.tombstones[(0, other)]).encode())
        writer.record(records.SNAPSHOT_UNPIN, records.encode_number(1))
    return Small(root, chunk, middle, folder, manifest)


def verdict(root: Path) -> CheckResult:
    """What a check of the store at ROOT says."""
    return check(raw(str(root)))


def named(result: CheckResult) -> set[str]:
    """The objects of the faults."""
    return {fault.object for fault in result.faults}


def files(root: Path) -> list[Path]:
    """Every file of the store, the empty ones too."""
    return sorted(path for path in root.rglob("*") if path.is_file())


def name(root: Path, path: Path) -> str:
    """The object that the file PATH is."""
    return path.relative_to(root).as_posix()


def overwrite(path: Path, data: bytes) -> None:
    """Replace the bytes of PATH, which is read-only."""
    path.chmod(0o644)
    path.write_bytes(data)
