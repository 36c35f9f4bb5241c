# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The log, byte for byte (ENC-ASL-LOG, version 1). All integers little-endian.

    header    0  8  magic "ASLLOG01"        record    0  8  logseq
              8  4  version, 1                        8  4  record_type
             12  4  header_size, 24                  12  4  payload_len = n
             16  8  flags, 0                         16  n  payload
                                                   16+n 32  record_hash
    record_hash = SHA-256(record_hash of the record before || bytes 0 .. 16+n); before the first record: 32 zero bytes.

Valid if and only if (1) the header is exactly this, (2) every record_hash fits, (3) logseq begins at 1 and grows by 1.
A record of unknown type is skipped by its length; the chain covers it all the same. The last record may be torn: readers
take the log to end before it. A break with more behind it is damage, unless all of it lies behind what was ever acknowledged:
a crash may leave zeros or rubbish there, as long as all the records that were being written.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from typing import NamedTuple, Optional

from asl.errors import Damaged, Unsupported

HEADER, PREFIX, LINK = struct.Struct("<8sIIQ"), struct.Struct("<QII"), 32
MAGIC, VERSION = b"ASLLOG01", 1
FIRST = HEADER.pack(MAGIC, VERSION, HEADER.size, 0)
ROOT = bytes(LINK)
# Longer than any payload this engine writes (an anchor with many sources); a length beyond it is damage.
MAX_PAYLOAD = 16 * 1024 * 1024


class Position(NamedTuple):
    """A place between two records: the last logseq before it, its record_hash, and the byte offset in the log."""

    logseq: int
    link: bytes
    offset: int


START = Position(0, ROOT, HEADER.size)


class Record(NamedTuple):
    """One record that the chain vouches for; `after` is the position behind it."""

    logseq: int
    kind: int
    payload: bytes
    after: Position


def check_header(head: bytes) -> None:
    """Raise Unsupported or Damaged unless HEAD (24 bytes) is the header of a version 1 log."""
    if head[: len(MAGIC)] == MAGIC and len(head) == HEADER.size and HEADER.unpack(head)[1] > VERSION:
        raise Unsupported(f"the log has version {HEADER.unpack(head)[1]}; this engine knows {VERSION}")
    if head != FIRST:
        raise Damaged("the log does not begin with an ASLLOG01 version 1 header", reason="BAD_LOG")


def encode(before: Position, kind: int, payload: bytes) -> tuple[bytes, Position]:
    """The bytes of the record that follows BEFORE, and the position behind it."""
    body = PREFIX.pack(before.logseq + 1, kind, len(payload)) + payload
    link = hashlib.sha256(before.link + body).digest()
    return body + link, Position(before.logseq + 1, link, before.offset + len(body) + LINK)


def records(data: bytes, before: Position = START, *, acknowledged: Optional[int] = None) -> Iterator[Record]:
    """Yield the records in DATA, the bytes of a log from BEFORE.offset on.

    Ends at a torn tail: the caller holds the last position against the one acknowledged, since a damaged length in the last
    record looks the same. Raises Damaged where a record breaks the chain and is not the last one; with ACKNOWLEDGED, the offset
    in the log up to which records were acknowledged, only where it begins before that.
    """
    at, least, total, sha256, unpack = 0, PREFIX.size + LINK, len(data), hashlib.sha256, PREFIX.unpack_from
    last, begin = before.logseq, before.offset
    # A listing goes through tens of thousands of them: this is what Position(…) and Record(…) do, in half of the time.
    new = tuple.__new__
    while at + least <= total:
        logseq, kind, size = unpack(data, at)
        end = at + least + size
        if end > total and size <= MAX_PAYLOAD:
            return
        # Behind the first record, the link of the one before stands right before this one.
        chained, link = data[at - LINK : end - LINK] if at else before.link + data[: end - LINK], data[end - LINK : end]
        if logseq != last + 1 or size > MAX_PAYLOAD or sha256(chained).digest() != link:
            torn = acknowledged is not None and begin + at >= acknowledged
            if not torn and (end < total or size > MAX_PAYLOAD):
                raise Damaged(f"the log breaks its chain at byte {begin + at} (after record {last})", reason="BAD_LOG")
            return
        yield new(Record, (logseq, kind, chained[least:], new(Position, (logseq, link, begin + end))))
        at, last = end, logseq
