# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a client sends is believed only where it was computed here: a digest that is wrong in an index would be a hole in every later
snapshot of the domain, since nobody would send those bytes again.

A block is read once more when it is whole, and the digest of every artifact in it computed. That table is remembered for the
segment which names the block; where it was forgotten, or made by another replica, the block is read from the store.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import threading
from array import array
from collections import OrderedDict

from asl import kernel
from asl.backends import layout
from asl.backends.base import Reads
from asl.errors import AslError, Damaged, Unsupported
from asl.formats import artifact, block, segment
from asl.names import DIGEST_SIZE, BlockID, Digest
from asl.store import frames
from asl_gateway.problems import Invalid, invalid

# Artifacts whose places are remembered, some 150 bytes each.
_REMEMBERED = 200_000
# Where each artifact of a block lies: digest → (offset, length). Empty for a part of a large artifact.
Places = dict[bytes, tuple[int, int]]


class Checker:
    """Checks blocks and segments. Safe in several threads."""

    def __init__(self) -> None:
        self._known: OrderedDict[bytes, Places] = OrderedDict()
        self._count = 0
        self._mutex = threading.Lock()

    def check_block(self, path: str, block_id: bytes) -> None:
        """Check the whole block in the file PATH, whose SHA-256 is BLOCK_ID. Raises Invalid."""
        with open(path, "rb") as file:
            if not os.fstat(file.fileno()).st_size:
                raise Invalid("a block of no bytes", reason="BAD_BLOCK")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
                places = _of_client(memoryview(mapped))
        self._remember(block_id, places)

    def _remember(self, block_id: bytes, places: Places) -> None:
        with self._mutex:
            if block_id not in self._known:
                self._known[block_id] = places
                self._count += len(places)
            while self._count > _REMEMBERED:
                _block_id, dropped = self._known.popitem(last=False)
                self._count -= len(dropped)

    def check_segment(self, data: bytes, backend: Reads) -> list[bytes]:
        """Check every entry of the segment DATA against the blocks in BACKEND; its digests. Raises Invalid (SEGMENT_…)."""
        try:
            shape = segment.check(data)
            entries = list(segment.entries(data, shape))
        except (Damaged, Unsupported) as error:
            raise invalid(error) from error
        lost = sorted({block_id.hex() for block_id in segment.blocks(data, shape) if not self._have(block_id, backend)})
        if lost:
            raise Invalid(
                f"the segment names {len(lost)} blocks that are not here", reason="SEGMENT_INCOMPLETE", hint="send these blocks first",
                missing=lost[:1000],
            )  # fmt: skip
        for digest, location in entries:
            good = self._single(digest, location[0], backend) if len(location) == 1 else False
            if not good and _digest(location, backend) != digest:
                raise Invalid(f"the segment is wrong about artifact {digest.hex()}", reason="SEGMENT_WRONG", digest=digest.hex())
        return [bytes(digest) for digest, _extents in entries]

    def _have(self, block_id: BlockID, backend: Reads) -> bool:
        try:
            return backend.size(layout.block(block_id)) > 0
        except AslError as error:
            if error.reason == "NOT_FOUND":
                return False
            raise

    def _single(self, digest: Digest, extent: segment.Extent, backend: Reads) -> bool:
        with self._mutex:
            places = self._known.get(extent.block)
        if places is None:
            places = _places(memoryview(backend.read(layout.block(extent.block))))
            self._remember(extent.block, places)
        return places.get(digest) == (extent.offset, extent.length)


def _places(data: memoryview) -> Places:
    """The artifacts of the block DATA, each digest computed from its bytes. Raises Damaged, Unsupported."""
    header, plain, offsets = block.open_plain(data, frames.decompress)
    found: Places = {}
    if header.kind != block.PACKED:
        return found
    spans, places, head = array("Q"), [], artifact.UNTAGGED.size
    for offset, encoded in block.artifacts(plain, offsets):
        if encoded[0]:  # with a tag: few, and small
            found[hashlib.sha256(encoded).digest()] = (offset, len(encoded))
        else:
            spans.extend((offset + head, offset + len(encoded)))
            places.append((offset, len(encoded)))
    digests = kernel.load().digests(plain, spans)  # all of them in one call that holds nobody up
    for number, place in enumerate(places):
        found[digests[DIGEST_SIZE * number : DIGEST_SIZE * (number + 1)]] = place
    return found


def _of_client(data: memoryview) -> Places:
    try:
        return _places(data)
    except (Damaged, Unsupported) as error:
        raise invalid(error) from None
    finally:
        data.release()


def _digest(location: segment.Location, backend: Reads) -> bytes:
    """The digest of an artifact that lies in several extents."""
    hasher = hashlib.sha256()
    for extent in location:
        hasher.update(backend.read(layout.block(extent.block), block.HEADER.size + extent.offset, extent.length))
    return hasher.digest()
