# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The first and the last record of a send stream (OpenZFS, include/sys/zfs_ioctl.h: dmu_replay_record_t). In the sender's byte order.

record   0 u32 type   4 u32 bytes of payload behind it   8 .. 312 what the type says; the last 32: running Fletcher-4 of the stream
BEGIN    0 type 0   8 u64 magic 0x2F5BACBAC  16 u64 version and features  24 u64 creation time  32 u32 type of the dataset
         36 u32 flags  40 u64 GUID  48 u64 GUID it is an increment to, 0 for a whole  56 256 name
END      0 type 5   8 4 x u64 Fletcher-4 of all before it  40 u64 GUID
"""

from __future__ import annotations

import struct
from typing import NamedTuple, Optional

RECORD = 312
_MAGIC = 0x2F5BACBAC
_BEGIN, _END = 0, 5
KINDS = {2: "filesystem", 3: "volume"}  # dmu_objset_type_t
# Features in the version word, above its two bits of kind (DMU_BACKUP_FEATURE_*): those that say how the blocks are kept.
_FEATURES = {1 << 18: "embedded", 1 << 21: "large blocks", 1 << 24: "compressed", 1 << 26: "raw"}


class Begin(NamedTuple):
    """What a stream says of itself. `created` in seconds since 1970."""

    name: str
    guid: int
    from_guid: int
    created: int
    kind: str
    features: tuple[str, ...]


def begin(data: bytes) -> Optional[Begin]:
    """The BEGIN record at the start of DATA; None where there is none."""
    for order in ("<", ">"):
        head = struct.unpack_from(order + "II", data) if len(data) >= RECORD else (None,)
        if head[0] != _BEGIN or struct.unpack_from(order + "Q", data, 8)[0] != _MAGIC:
            continue
        version, created, kind, _flags, guid, origin = struct.unpack_from(order + "QQIIQQ", data, 16)
        name = data[56:312].split(b"\0")[0].decode("utf-8", "surrogateescape")
        features = tuple(word for bit, word in _FEATURES.items() if version & bit)
        return Begin(name, guid, origin, created, KINDS.get(kind, str(kind)), features)
    return None


def ends(tail: bytes, guid: int) -> bool:
    """Whether TAIL, the last bytes of a stream, ends with the END record of the dataset GUID."""
    record = tail[-RECORD:]
    if len(record) < RECORD:
        return False
    return any(
        (struct.unpack_from(order + "I", record)[0], struct.unpack_from(order + "Q", record, 40)[0]) == (_END, guid) for order in ("<", ">")
    )
