# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The payloads of log records. All integers little-endian.

    0x01        SEGMENT_SEAL     0 8 segment_id   8 32 segment_hash (SHA-256 of the segment file)          (ENC-ASL-LOG)
    0x10        TOMBSTONE        0 4 domain_id   4 1 visibility   5 3 zero   8 4 length   12 n ReferenceBytes
    0x11        TOMBSTONE_LIFT   as TOMBSTONE, then 8 logseq of the tombstone it cancels
    0x41530010  SEGMENT_DROP     0 4 count   then 8 segment_id each: merged into a segment sealed before
    0x41530020  SNAPSHOT_ANCHOR  0 8 snapshot_id   8 4 domain_id   12 4 flags, 0   16 32 root   48 n canonical JSON
    0x41530021  SNAPSHOT_PIN     0 8 snapshot_id
    0x41530022  SNAPSHOT_UNPIN   0 8 snapshot_id
    0x41530030  RESCUE_STATE     0 32 key   32 32 digest of the artifact with the state, zeros: there is none any more

The numbers of the first three are public; the payloads of the tombstones and everything from 0x4153… on are this project's
own. `root` is the SHA-256 of the snapshot file; the JSON is what the snapshot is about (formats.snapshot.Anchor).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any, NamedTuple, Optional

from asl.errors import Damaged
from asl.formats import reference
from asl.names import Digest

SEGMENT_SEAL = 0x01
TOMBSTONE = 0x10
TOMBSTONE_LIFT = 0x11
SEGMENT_DROP = 0x41530010
SNAPSHOT_ANCHOR = 0x41530020
SNAPSHOT_PIN = 0x41530021
SNAPSHOT_UNPIN = 0x41530022
RESCUE_STATE = 0x41530030

NAMES = {
    SEGMENT_SEAL: "SEGMENT_SEAL",
    TOMBSTONE: "TOMBSTONE",
    TOMBSTONE_LIFT: "TOMBSTONE_LIFT",
    SEGMENT_DROP: "SEGMENT_DROP",
    SNAPSHOT_ANCHOR: "SNAPSHOT_ANCHOR",
    SNAPSHOT_PIN: "SNAPSHOT_PIN",
    SNAPSHOT_UNPIN: "SNAPSHOT_UNPIN",
    RESCUE_STATE: "RESCUE_STATE",
}

_SEAL, _STONE, _ANCHOR = struct.Struct("<Q32s"), struct.Struct("<IB3xI"), struct.Struct("<QII32s")
ABOUT = _ANCHOR.size  # where the JSON of an anchor begins
_RESCUE = struct.Struct("<32s32s")
_U64, _U32 = struct.Struct("<Q"), struct.Struct("<I")


class Seal(NamedTuple):
    """SEGMENT_SEAL: from its logseq on the segment is visible."""

    segment_id: int
    segment_hash: bytes

    def encode(self) -> bytes:
        """The 40 bytes of the payload."""
        return _SEAL.pack(self.segment_id, self.segment_hash)

    @classmethod
    def decode(cls, payload: bytes) -> Seal:
        """Raises Damaged for a payload of another size."""
        return cls(*decode_seal(payload))


class Tombstone(NamedTuple):
    """TOMBSTONE: hides an artifact within a domain, or with `lifts` (a logseq) TOMBSTONE_LIFT: cancels that tombstone."""

    digest: Digest
    domain_id: int = 0
    lifts: int = 0

    def encode(self) -> bytes:
        """The payload of a TOMBSTONE, or of a TOMBSTONE_LIFT when `lifts` is set."""
        ref = reference.encode(self.digest)
        return _STONE.pack(self.domain_id, 0, len(ref)) + ref + (_U64.pack(self.lifts) if self.lifts else b"")

    @classmethod
    def decode(cls, payload: bytes, *, lift: bool) -> Tombstone:
        """Raises Damaged for a payload of another shape."""
        if len(payload) < _STONE.size:
            raise Damaged("a TOMBSTONE record is too short", reason="BAD_LOG")
        domain_id, _reserved, size = _STONE.unpack_from(payload)
        end = _STONE.size + size
        if len(payload) != end + (_U64.size if lift else 0):
            raise Damaged("a TOMBSTONE record has a wrong length", reason="BAD_LOG")
        return cls(reference.decode(payload[_STONE.size : end]), domain_id, _U64.unpack_from(payload, end)[0] if lift else 0)


class Anchor(NamedTuple):
    """SNAPSHOT_ANCHOR: a snapshot exists from here on; `about` is canonical JSON (formats.snapshot.About)."""

    snapshot_id: int
    root: bytes
    about: bytes
    domain_id: int = 0

    def encode(self) -> bytes:
        """The payload."""
        return _ANCHOR.pack(self.snapshot_id, self.domain_id, 0, self.root) + self.about

    @classmethod
    def decode(cls, payload: bytes) -> Anchor:
        """Raises Damaged for a payload that is too short."""
        snapshot_id, root = anchored(payload)
        return cls(snapshot_id, root, payload[ABOUT:], _ANCHOR.unpack_from(payload)[1])


def decode_seal(payload: bytes) -> tuple[int, bytes]:
    """(segment_id, segment_hash) in the payload of SEGMENT_SEAL. Raises Damaged."""
    if len(payload) != _SEAL.size:
        _exact(_SEAL, payload, "SEGMENT_SEAL")
    segment_id, segment_hash = _SEAL.unpack(payload)
    return segment_id, segment_hash


def anchored(payload: bytes) -> tuple[int, bytes]:
    """(snapshot_id, root) in the payload of SNAPSHOT_ANCHOR; the JSON follows from ABOUT on. Raises Damaged."""
    if len(payload) < ABOUT:
        raise Damaged("a SNAPSHOT_ANCHOR record is too short", reason="BAD_LOG")
    snapshot_id, _domain, _reserved, root = _ANCHOR.unpack_from(payload)
    return snapshot_id, root


def encode_rescue(key: bytes, state: Optional[bytes]) -> bytes:
    """The payload of RESCUE_STATE: how far the intake of the device KEY has come, None where it is over."""
    return key + (state or bytes(32))


def decode_rescue(payload: bytes) -> tuple[bytes, Optional[Digest]]:
    """(key, digest of the state) in the payload of RESCUE_STATE. Raises Damaged."""
    key, state = _exact(_RESCUE, payload, "RESCUE_STATE")
    return key, Digest(state) if any(state) else None


def encode_number(number: int) -> bytes:
    """The payload of SNAPSHOT_PIN and SNAPSHOT_UNPIN."""
    return _U64.pack(number)


def decode_number(payload: bytes) -> int:
    """The snapshot_id in the payload of SNAPSHOT_PIN and SNAPSHOT_UNPIN. Raises Damaged."""
    number: int = _exact(_U64, payload, "SNAPSHOT_PIN")[0]
    return number


def encode_drop(segment_ids: Sequence[int]) -> bytes:
    """The payload of SEGMENT_DROP."""
    return _U32.pack(len(segment_ids)) + b"".join(_U64.pack(number) for number in segment_ids)


def decode_drop(payload: bytes) -> list[int]:
    """The segment ids in the payload of SEGMENT_DROP. Raises Damaged."""
    if len(payload) < _U32.size or len(payload) != _U32.size + _U64.size * _U32.unpack_from(payload)[0]:
        raise Damaged("a SEGMENT_DROP record has a wrong length", reason="BAD_LOG")
    return [number for (number,) in _U64.iter_unpack(payload[_U32.size :])]


def _exact(shape: struct.Struct, payload: bytes, name: str) -> tuple[Any, ...]:
    if len(payload) != shape.size:
        raise Damaged(f"a {name} record has {len(payload)} bytes of payload, not {shape.size}", reason="BAD_LOG")
    return shape.unpack(payload)
