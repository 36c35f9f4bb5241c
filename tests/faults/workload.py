# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small day of a store: artifacts of all sizes, commits, snapshots, a merge, a tombstone, a pin. The same every time.

What the store acknowledged is noted at once, so that a test can hold it against what is there after a crash.
"""

from __future__ import annotations

import functools
import random
from dataclasses import dataclass, field

from faults.crash import Crash

from asl.backends.base import Adds, Reads
from asl.formats import artifact, records, snapshot
from asl.formats.artifact import TAG_MANIFEST, TAG_RECEIPT, TAG_TREE, Artifact
from asl.names import Digest
from asl.store import Reader, Writer, recovery
from asl.store.snapshots import listing

BLOCK_SIZE = 8192
LARGE = 4096  # tests put this in the place of writer.LARGE
MANY_SEGMENTS = 3  # and this in the place of merge.MANY_SEGMENTS
STEPS = 3


@dataclass
class Acknowledged:
    """What the store said is safe."""

    artifacts: dict[Digest, Artifact] = field(default_factory=dict)
    snapshots: dict[int, Digest] = field(default_factory=dict)
    hidden: set[Digest] = field(default_factory=set)


@functools.cache
def artifacts(step: int) -> list[Artifact]:
    """What is put in STEP: small ones, tagged ones, one in several parts, one that was put before."""
    rng = random.Random(step)
    sizes = [0, 1, 500, 1500, 3000, 2 * LARGE + 77]
    made = [Artifact(rng.randbytes(size), TAG_TREE if size % 2 else None) for size in sizes]
    return [*made, Artifact(b"every time")]


def manifest(step: int) -> bytes:
    """The manifest of the snapshot sealed in STEP, whatever happened before."""
    root = artifact.digest(artifacts(step)[3].payload, artifacts(step)[3].type_tag)
    return snapshot.Manifest((snapshot.SourceRoot("tree", "tree", root, 1500),), {"average": 1}).encode()


def run(backend: Adds, acknowledged: Acknowledged) -> list[Digest]:
    """Do all of it, or what of it is not done yet; the content digests of the snapshots in order."""
    with Writer(backend, block_size=BLOCK_SIZE) as writer:
        for step in range(STEPS):
            digests = {writer.put(*each): each for each in artifacts(step)}
            writer.commit()
            acknowledged.artifacts.update(digests)
            if step != 1:
                _seal(writer, step, acknowledged)
        _hide(writer, acknowledged)
        return [each.about.manifest for each in listing(writer)]


def _seal(writer: Writer, step: int, acknowledged: Acknowledged) -> None:
    content = writer.put(manifest(step), TAG_MANIFEST)
    known = [each for each in listing(writer) if each.about.manifest == content]
    if known:
        writer.commit()
        acknowledged.snapshots[known[0].id] = content
        return
    receipt = writer.put(b'{"format":"asl-receipt","step":%d}' % step, TAG_RECEIPT)
    sealed = writer.seal_snapshot(snapshot.About("d", content, receipt, ("tree:/x",), sealed=step))
    acknowledged.snapshots[sealed.id] = content


def _hide(writer: Writer, acknowledged: Acknowledged) -> None:
    unwanted = artifact.digest(*artifacts(0)[2])
    if not writer.state.hidden(unwanted):
        writer.record(records.TOMBSTONE, records.Tombstone(unwanted).encode())
    acknowledged.hidden.add(unwanted)
    writer.record(records.SNAPSHOT_PIN, records.encode_number(1))


def verify(backend: Reads, acknowledged: Acknowledged) -> None:
    """Hold the store against what it acknowledged. Everything that is visible must be whole, acknowledged or not."""
    state = recovery.load(backend)
    full = recovery.load(backend, full=True)
    assert (state.position, state.segments, state.tombstones, state.pins) == (full.position, full.segments, full.tombstones, full.pins)
    reader = Reader(backend, state)
    for digest, wanted in acknowledged.artifacts.items():
        if not state.hidden(digest):
            assert reader.get(digest) == wanted
    assert all(state.hidden(digest) for digest in acknowledged.hidden)
    for each in reader.index.segments():
        each.verify()
        for digest, _ in each.entries():
            assert state.hidden(digest) or artifact.digest(*reader.get(digest)) == digest
    snapshots = {each.id: each for each in listing(reader)}
    for number, content in acknowledged.snapshots.items():
        assert snapshots[number].about.manifest == content
    for found in snapshots.values():
        assert found.manifest.sources and found.receipt["format"] == "asl-receipt"


def crashed(backend: Adds, acknowledged: Acknowledged) -> bool:
    """Run the workload; True when it crashed."""
    try:
        run(backend, acknowledged)
    except Crash:
        return True
    return False
