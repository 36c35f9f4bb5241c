# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ring of uberblocks in a ZFS label, and the checksum that ZFS embeds in labels and uberblocks.

An uberblock is u64 words in the byte order of the machine that wrote it:

      0  magic 0x00bab10c    8  version    16  txg    24  sum of the vdev GUIDs    32  seconds since 1970    40  128 bytes: root pointer
    168  version of the software    176  magic of multihost 0xa11cea11    184  multihost delay in nanoseconds, 0 = off
    192  multihost settings: bits 0-2 which are valid, 8-31 interval in milliseconds, 32-47 sequence, 48-63 intervals until failure
    200  txg of the checkpoint

A slot is 1 KiB, or the vdev's sector where that is larger, up to 8 KiB. The last 40 bytes of a slot (and of a label's 112 KiB list) are

      0  magic 0x0210da7ab10c7a11      8  SHA-256 as four words

made over the whole of it while the place of the digest held its own offset on the device and three zeros. So a copy at another offset is
not valid. The best uberblock is the one with the highest (txg, time, multihost sequence) of those whose checksum is right. The one of
txg 0 with which a ring begins has none: it was written together with the whole ring, and no import ever uses it.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Optional

MAGIC = 0x00BAB10C
MULTIHOST_MAGIC = 0xA11CEA11
EMBEDDED_MAGIC = 0x0210DA7AB10C7A11
RING = 128 << 10
SLOTS = (1 << 10, 2 << 10, 4 << 10, 8 << 10)
ORDERS = ("<", ">")

_HEAD = {order: struct.Struct(f"{order}5Q") for order in ORDERS}
_TAIL = {order: struct.Struct(f"{order}5Q") for order in ORDERS}
_TAIL_AT = 168
_EMBEDDED = {order: struct.Struct(f"{order}5Q") for order in ORDERS}
_VERIFIER = {order: struct.Struct(f"{order}4Q") for order in ORDERS}
_DIGEST = struct.Struct(">4Q")
DIGEST_SIZE = 32
EMBEDDED_SIZE = 40

_INTERVAL_VALID, _SEQUENCE_VALID, _FAILURES_VALID = 1, 2, 4


@dataclass(frozen=True)
class Uberblock:
    """``timestamp`` is seconds since 1970. The multihost fields are None where the uberblock has none; ``delay`` is nanoseconds."""

    txg: int
    timestamp: int
    version: int
    guid_sum: int
    software: int
    byte_order: str  # little | big
    multihost_delay: Optional[int] = None
    multihost_interval: Optional[int] = None  # milliseconds
    multihost_sequence: Optional[int] = None
    multihost_failures: Optional[int] = None
    checkpoint_txg: int = 0

    @property
    def multihost(self) -> bool:
        """Whether the pool's multihost property was on when this was written."""
        return bool(self.multihost_delay)

    @property
    def rank(self) -> tuple[int, int, int]:
        """What the best of several has the most of."""
        return self.txg, self.timestamp, self.multihost_sequence or 0


def best(found: Sequence[Optional[Uberblock]]) -> Optional[Uberblock]:
    """The one that an import would use; None when there is none."""
    return max((each for each in found if each is not None), key=lambda each: each.rank, default=None)


def read_ring(ring: bytes, offset: int) -> list[Uberblock]:
    """Every valid uberblock of a ring whose first byte lies at ``offset`` of the device. Whatever else is in there is passed over."""
    found = []
    for at in range(0, len(ring) - SLOTS[0] + 1, SLOTS[0]):
        order = _order(ring, at)
        if order is None:
            continue
        for size in SLOTS:
            slot = ring[at : at + size]
            if at % size == 0 and len(slot) == size and checksum_order(slot, offset + at) == order:
                found.append(_parse(slot, order))
                break
    return found


def _order(ring: bytes, at: int) -> Optional[str]:
    for order in ORDERS:
        if _HEAD[order].unpack_from(ring, at)[0] == MAGIC:
            return order
    return None


def _parse(slot: bytes, order: str) -> Uberblock:
    _magic, version, txg, guid_sum, timestamp = _HEAD[order].unpack_from(slot)
    software, magic, delay, settings, checkpoint = _TAIL[order].unpack_from(slot, _TAIL_AT)
    has = magic == MULTIHOST_MAGIC
    return Uberblock(
        txg=txg,
        timestamp=timestamp,
        version=version,
        guid_sum=guid_sum,
        software=software,
        byte_order="little" if order == "<" else "big",
        multihost_delay=delay if has else None,
        multihost_interval=settings >> 8 & 0xFFFFFF if has and settings & _INTERVAL_VALID else None,
        multihost_sequence=settings >> 32 & 0xFFFF if has and settings & _SEQUENCE_VALID else None,
        multihost_failures=settings >> 48 & 0xFFFF if has and settings & _FAILURES_VALID else None,
        checkpoint_txg=checkpoint,
    )


def checksum_order(data: bytes, offset: int) -> Optional[str]:
    """The byte order (< or >) in which the checksum embedded at the end of ``data``, found at ``offset``, is right; None if it is not."""
    at = len(data) - EMBEDDED_SIZE
    if at < 0:
        return None
    for order in ORDERS:
        magic, *stored = _EMBEDDED[order].unpack_from(data, at)
        if magic == EMBEDDED_MAGIC:
            return order if tuple(stored) == embedded_digest(data, offset, order) else None
    return None


def embedded_digest(data: bytes, offset: int, order: str) -> tuple[int, int, int, int]:
    """The four words that belong at the end of ``data`` when it lies at ``offset`` of the device and was written in ``order``."""
    verifier = _VERIFIER[order].pack(offset, 0, 0, 0)
    first, second, third, fourth = _DIGEST.unpack(hashlib.sha256(data[:-DIGEST_SIZE] + verifier).digest())
    return first, second, third, fourth
