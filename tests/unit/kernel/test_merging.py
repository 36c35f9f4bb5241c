# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Merging runs of records: both halves against a dictionary."""

from __future__ import annotations

import random
from array import array

import pytest

from asl.formats import segment
from asl.kernel import Input, Kernel, Mapped

DIGESTS = [random.Random(n).randbytes(32) for n in range(300)]


def run_of(seed: int, blocks: int, many: float) -> tuple[Mapped, list[bytes]]:
    """A run of records over some of DIGESTS, MANY of them in several extents."""
    rng = random.Random(seed)
    made = b""
    for digest in sorted(rng.sample(DIGESTS, rng.randrange(len(DIGESTS)))):
        block = segment.MANY if rng.random() < many else rng.randrange(blocks)
        made += segment.RECORD.pack(digest, block, rng.randrange(1000), rng.randrange(1, 1000))
    head = b"x" * rng.randrange(9)
    return Mapped(head + made, len(head), len(made) // 44), [made[at : at + 44] for at in range(0, len(made), 44)]


@pytest.mark.parametrize("seed", range(12))
def test_of_equal_digests_the_first_counts(native: Kernel, twin: Kernel, seed: int) -> None:
    rng = random.Random(seed)
    sizes = [rng.randrange(1, 5) for _ in range(rng.randrange(6))]
    runs = [run_of(seed * 100 + n, size, rng.choice((0.0, 0.1))) for n, size in enumerate(sizes)]
    common = [array("I", [rng.randrange(8) for _ in range(size)]) for size in sizes]
    expected: dict[bytes, tuple[int, bytes]] = {}
    for number, (_, records) in reversed(list(enumerate(runs))):
        expected.update({record[:32]: (number, record) for record in records})
    wanted, ordinals = [], {}
    for digest in sorted(expected):
        number, record = expected[digest]
        _, block, offset, length = segment.RECORD.unpack(record)
        if block == segment.MANY:
            wanted.append((number, runs[number][1].index(record)))
        else:
            ordinal = ordinals.setdefault(common[number][block], len(ordinals))
            wanted.append(segment.RECORD.pack(digest, ordinal, offset, length))
    for kernel in (native, twin):
        merge = kernel.merge([Input(run, blocks) for (run, _), blocks in zip(runs, common)], 8)
        for most in (1, 7, 1000):
            merge.rewind()
            found: list[object] = []
            while True:
                taken = merge.take(most)
                found += [taken[at : at + 44] for at in range(0, len(taken), 44)]
                if len(taken) < most * 44:
                    odd = merge.odd()
                    if odd is None:
                        break
                    found.append(odd)
            assert found == wanted
            assert merge.used() == list(ordinals)


def test_a_block_that_does_not_exist_is_refused(either: Kernel) -> None:
    record = segment.RECORD.pack(bytes(32), 1, 0, 1)
    with pytest.raises(ValueError, match="block"):
        either.merge([Input(Mapped(record, 0, 1), array("I", [0]))], 1).take(1)


def test_a_filter_made_in_stretches_is_the_filter(either: Kernel) -> None:
    records = [digest + bytes(12) for digest in sorted(DIGESTS)]
    whole = either.filter(b"".join(records), 64 * 7)
    pieces = bytearray(64 * 7)
    for at in range(0, 300, 50):
        stretch = records[at : at + 50]
        first, last = (int.from_bytes(each[:8], "big") * 7 >> 64 for each in (stretch[0], stretch[-1]))
        made = either.filter_stretch(b"".join(stretch), 7, first, 64 * (last - first + 1))
        for place, byte in enumerate(made, 64 * first):
            pieces[place] |= byte
    assert pieces == whole
    with pytest.raises(ValueError, match="another stretch"):
        either.filter_stretch(records[0], 7, 6, 64)
