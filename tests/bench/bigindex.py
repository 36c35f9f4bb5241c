# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""An index of many chunks, made without the chunks: how fast it is opened, asked and merged, and what it costs.

    bigindex.py FOLDER [RECORDS] [SEGMENTS]

Makes a store of RECORDS (default 100 million: a disk of 6 TB and more) in SEGMENTS segments whose records are as good as random, seals
them, and measures. Needs 46 bytes of disk for each record, and as much again for the merge.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import resource
import sys
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ENGINE = Path(__file__).resolve().parents[2] / "overlay" / "usr" / "local" / "lib"
sys.path.insert(0, str(ENGINE))

import numpy as np  # noqa: E402

from asl import kernel, store  # noqa: E402
from asl.formats import segment  # noqa: E402
from asl.names import BlockID  # noqa: E402
from asl.store import merge  # noqa: E402

CHUNK, PER_BLOCK = 65_536, 1024
STRETCH = 1 << 18


def records(count: int, seed: int) -> Iterator[bytes]:
    """COUNT sorted records in stretches: one digest in each of COUNT equal slots, at random within it."""
    rng = np.random.default_rng(seed)
    slot = 2**64 // count
    blocks = -(-count // PER_BLOCK)
    for at in range(0, count, STRETCH):
        some = min(STRETCH, count - at)
        made = np.frombuffer(rng.bytes(some * 44), np.uint8).reshape(some, 44).copy()
        heads = (np.arange(at, at + some, dtype=np.uint64) * np.uint64(slot)) + rng.integers(0, slot, some, np.uint64)
        made[:, :8] = heads.byteswap().view(np.uint8).reshape(some, 8)
        # The blocks in the order in which the records first use them, as the format wants it: here one after the other.
        numbers = np.minimum(np.arange(at, at + some), rng.integers(0, blocks, some)) if at < blocks else rng.integers(0, blocks, some)
        made[:, 32:36] = numbers.astype("<u4").view(np.uint8).reshape(some, 4)
        made[:, 36:44] = np.array([[7, CHUNK]], "<u4").repeat(some, 0).view(np.uint8).reshape(some, 8)
        yield made.tobytes()


def pieces(count: int, seed: int) -> Iterator[bytes]:
    """The bytes of a segment."""
    blocks, filtered = -(-count // PER_BLOCK), segment.filter_size(count)
    crc = 0
    for piece in _areas(count, seed, blocks, filtered):
        crc = zlib.crc32(piece, crc)
        yield piece
    footer = segment.FOOTER.pack(segment.MAGIC, 0, 0, 0)[:-4]
    yield footer + zlib.crc32(footer, crc).to_bytes(4, "little")


def _areas(count: int, seed: int, blocks: int, filtered: int) -> Iterator[bytes]:
    yield segment.encode_header(count, blocks, 0, filtered)
    last, pending = -1, b""
    for stretch in records(count, seed):
        first, end = (int.from_bytes(stretch[at : at + 8], "big") * (filtered // 64) >> 64 for at in (0, len(stretch) - 44))
        made = kernel.load().filter_stretch(stretch, filtered // 64, first, (end - first + 1) * 64)
        if first == last:
            made = (int.from_bytes(pending, "big") | int.from_bytes(made[:64], "big")).to_bytes(64, "big") + made[64:]
        else:
            yield pending + bytes((first - last - 1) * 64)
        yield made[:-64]
        last, pending = end, made[-64:]
    yield pending + bytes((filtered // 64 - last - 1) * 64)
    yield from records(count, seed)
    yield b"".join(BlockID(hashlib.sha256(b"%d %d" % (seed, number)).digest()) for number in range(blocks))


def peak() -> int:
    """The most memory this process had, in bytes; pages of mapped files that were touched count."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def anonymous() -> int:
    """Memory of its own that this process has now, in bytes."""
    with open("/proc/self/status", encoding="ascii") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("RssAnon"))


class Timed:
    """Seconds of wall and of CPU that a step took."""

    def __init__(self, results: dict[str, Any], name: str) -> None:
        self._results, self._name = results, name

    def __enter__(self) -> None:
        self._began = time.monotonic(), time.process_time()

    def __exit__(self, *_: object) -> None:
        wall, cpu = time.monotonic() - self._began[0], time.process_time() - self._began[1]
        self._results[self._name] = {"seconds": round(wall, 4), "cpu_seconds": round(cpu, 4)}


def measure(folder: str, count: int, segments: int) -> dict[str, Any]:
    """Make the store in FOLDER, and measure."""
    results: dict[str, Any] = {"records": count, "segments": segments}
    store.init_store(folder)
    share = count // segments
    with Timed(results, "generate"), store.open_writer(folder) as writer:
        for number in range(segments):
            writer.replace_segments([], lambda seed=number: pieces(share, seed))  # type: ignore[misc]
    size = sum(path.stat().st_size for path in Path(folder, "segments").iterdir())
    results["bytes_per_record"] = round(size / (share * segments), 2)
    with Timed(results, "open"):
        opened = store.open_store(folder)
    with Timed(results, "first_look_up"):
        assert not opened.has(os.urandom(32))
    asked = random.Random(1).randbytes(32 * 100_000)
    with Timed(results, "look_up_100000_absent"):
        found = opened.index.known(asked)
    assert not any(found)
    rng, there = random.Random(2), []
    for each in opened.index.segments():
        there += [each.digest(rng.randrange(each.count)) for _ in range(20_000)]
    with Timed(results, f"look_up_{len(there)}_present"):
        assert all(opened.index.known(b"".join(there)))
    results["anonymous_bytes"] = anonymous()
    newest = opened.index.segments()
    with Timed(results, "merge_of_all"), store.open_writer(folder) as writer:
        writer.replace_segments([each.id for each in reversed(newest)], merge.Merger(newest).pieces)
    results["peak_bytes"], results["anonymous_bytes_after_merge"] = peak(), anonymous()
    merged = store.open_store(folder)
    with Timed(results, "look_up_100000_absent_merged"):
        assert not any(merged.index.known(asked))
    return results


if __name__ == "__main__":
    words = sys.argv[1:]
    print(json.dumps(measure(words[0], int(words[1]) if words[1:] else 100_000_000, int(words[2]) if words[2:] else 8), indent=2))
