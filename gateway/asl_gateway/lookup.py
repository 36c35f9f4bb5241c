# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Many digests held against an index at once. A false "missing" costs a re-send; a false "there" cannot be."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from asl.formats import segment
from asl.store.index import Segment

DIGEST = 32
# A record as its digest, in four words (only compared for equality), and the rest of it.
_RECORD = np.dtype([("digest", "<u8", (4,)), ("rest", "V12")])
assert _RECORD.itemsize == segment.RECORD.size


class Table:
    """The digests of one segment: 8 bytes of memory a record, the rest stays where it lies."""

    def __init__(self, source: Segment) -> None:
        self.id, self.size = source.id, source.count
        self._digests = np.frombuffer(source.records(), _RECORD)["digest"]
        self._prefixes = self._digests[:, 0].byteswap()  # digests are in order as bytes: big-endian numbers

    def there(self, wanted: np.ndarray, prefixes: np.ndarray) -> np.ndarray:
        """One truth for each row of WANTED, whose PREFIXES are in order."""
        if not len(self._prefixes):
            return np.zeros(len(wanted), bool)
        at = np.searchsorted(self._prefixes, prefixes)
        np.minimum(at, len(self._prefixes) - 1, out=at)
        found: np.ndarray = self._prefixes[at] == prefixes
        hits = np.flatnonzero(found)
        found[hits] = (self._digests[at[hits]] == wanted[hits]).all(axis=1)
        return found


def missing(packed: bytes, tables: Iterable[Table], hidden: frozenset[bytes] = frozenset()) -> bytes:
    """The bitmap for PACKED digests, 32 bytes each: bit i, from the lowest of the first byte on, is 1 where digest i is in none of
    TABLES, or is HIDDEN."""
    wanted = np.frombuffer(packed, "<u8").reshape(-1, 4)
    prefixes = wanted[:, 0].byteswap()
    order = np.argsort(prefixes)
    absent = np.ones(len(wanted), bool)
    for table in tables:
        if not len(order):
            break
        there = table.there(wanted[order], prefixes[order])
        absent[order[there]] = False
        order = order[~there]
    for number in range(len(wanted)) if hidden else ():
        absent[number] |= packed[DIGEST * number : DIGEST * (number + 1)] in hidden
    return np.packbits(absent, bitorder="little").tobytes()
