# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several processes in one store at once, and readers that never wait for them."""

from __future__ import annotations

import random
from pathlib import Path

from unit.store.support import put, python, seal

from asl.backends import layout
from asl.formats import artifact
from asl.store import open_store, open_writer

WRITES = """
import random, sys
from asl.store import open_writer
root, own, rounds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
print("ready", flush=True)
sys.stdin.readline()
for number in range(rounds):
    with open_writer(root, block_size=20_000) as writer:
        for each in range(8):
            writer.put(random.Random(own * 1000 + number * 10 + each).randbytes(3000))
            writer.put(random.Random(number * 10 + each).randbytes(1000))  # the others put the same
        writer.commit()
"""
SEALS = """
import sys
from asl.store import open_writer
from unit.store.support import seal
print("ready", flush=True)
sys.stdin.readline()
for number in range(int(sys.argv[3])):
    with open_writer(sys.argv[1]) as writer:
        print(seal(writer, f"by {sys.argv[2]} number {number}").id, flush=True)
"""
TESTS = Path(__file__).resolve().parents[2]


def test_several_writers_at_once(root: str) -> None:
    rounds, writers = 4, 4
    running = [python(WRITES, root, str(own), str(rounds)) for own in range(1, writers + 1)]
    for process in running:
        assert process.stdout and process.stdout.readline() == "ready\n"
    for process in running:
        assert process.stdin
        process.stdin.write("go\n")
        process.stdin.flush()
    seen = 0
    while any(process.poll() is None for process in running):
        # A reader beside them: never blocked, never wrong, and time does not run backwards.
        store = open_store(root)
        entries = [digest for each in store.index.segments() for digest, _ in each.entries()]
        for digest in entries[:: max(1, len(entries) // 5)]:
            assert artifact.digest(*store.get(digest)) == digest
        assert store.state.position.logseq >= seen
        seen = store.state.position.logseq
    assert [process.wait() for process in running] == [0] * writers
    store = open_store(root, full=True)
    assert store.state.position.logseq == len(store.state.segments) >= rounds * writers - 3
    for own in (0, *range(1, writers + 1)):
        for number in range(rounds):
            for each in range(8):
                payload = random.Random(own * 1000 + number * 10 + each).randbytes(3000 if own else 1000)
                assert store.payload(artifact.digest(payload)) == payload


def test_several_at_once_seal_snapshots_with_different_numbers(root: str) -> None:
    program = f"import sys; sys.path.insert(0, {str(TESTS)!r})\n{SEALS}"
    running = [python(program, root, str(own), "5") for own in range(3)]
    for process in running:
        assert process.stdout and process.stdout.readline() == "ready\n"
    outputs = [process.communicate("go\n")[0].split() for process in running]
    assert [process.returncode for process in running] == [0, 0, 0]
    numbers = sorted(int(number) for output in outputs for number in output)
    assert numbers == list(range(1, 16))
    found = open_store(root).snapshots()
    assert [each.id for each in found] == numbers
    for each in found:
        assert each.manifest.sources[0].size == len(each.receipt["text"])


def test_two_writers_in_turn_see_each_other(root: str) -> None:
    with open_writer(root) as one, open_writer(root) as other:
        first = one.put(b"first")
        one.commit()
        assert not other.has(first)
        second = other.put(b"second")
        other.commit()
        assert other.has(first)
        assert not one.has(second)
        assert seal(one, "one").id == 1
        assert one.has(second)
        assert seal(other, "other").id == 2
    assert [each.id for each in open_store(root).snapshots()] == [1, 2]


def test_a_reader_needs_no_lock(root: str) -> None:
    (digest,) = put(root, b"x")
    with open_writer(root) as writer, writer.backend.lock():
        assert open_store(root).payload(digest) == b"x"


def test_a_reader_changes_nothing(root: str) -> None:
    (digest,) = put(root, b"x")
    (Path(root) / layout.LOCK).unlink()
    before = {path: path.stat().st_mtime_ns for path in Path(root).rglob("*")}
    assert open_store(root).payload(digest) == b"x"
    assert open_store(root, full=True).snapshots() == []
    assert {path: path.stat().st_mtime_ns for path in Path(root).rglob("*")} == before
