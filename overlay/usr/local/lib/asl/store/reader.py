# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading artifacts: from a digest to bytes that are known to be right."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Optional

from asl.backends import layout
from asl.backends.base import Reads
from asl.errors import AslError, Damaged, NotFound, Unsupported
from asl.formats import artifact, block, segment
from asl.formats.artifact import Artifact
from asl.names import BlockID, reference_text
from asl.store import recovery
from asl.store.frames import FrameReader
from asl.store.index import Index
from asl.store.state import State

# Opened blocks (their headers) that are remembered; each costs some hundred bytes.
_BLOCKS = 1024


class Reader:
    """A view of one state. Never locks; safe in several threads."""

    def __init__(self, backend: Reads, state: State, index: Optional[Index] = None) -> None:
        """INDEX: one that follows STATE already, and is shared."""
        self.backend = backend
        self.state = state
        self.index = index or Index(backend)
        if index is None:
            self.index.follow(state)
        self._headers: OrderedDict[BlockID, block.Header] = OrderedDict()
        self._frames = FrameReader(backend)
        self._mutex = threading.Lock()

    def refresh(self) -> None:
        """See what others have made visible since. Needs no lock. Raises Damaged, Unavailable."""
        recovery.refresh(self.backend, self.state)
        self.index.follow(self.state)

    def has(self, digest: bytes) -> bool:
        """True when the artifact is visible."""
        return self.index.number(digest) is not None and not self.state.hidden(digest)

    def locate(self, digest: bytes) -> segment.Location:
        """Where the artifact lies. Raises NotFound, also for one that a tombstone hides."""
        location = None if self.state.hidden(digest) else self.index.find(digest)
        if location is None:
            raise NotFound(f"{self.backend.location}: there is no artifact {reference_text(digest)}")
        return location

    def get(self, digest: bytes) -> Artifact:
        """The artifact with DIGEST; what comes back has this digest. Raises NotFound, Damaged."""
        location = self.locate(digest)
        data = b"".join(self.extent(each, digest) for each in location)
        try:
            found = artifact.decode(data)
        except Damaged as error:
            raise self._damaged(digest, location, str(error)) from error
        if artifact.digest(found.payload, found.type_tag) != digest:
            raise self._damaged(digest, location, "its bytes have another digest")
        return found

    def payload(self, digest: bytes, type_tag: Optional[int] = None) -> bytes:
        """The payload of the artifact, which must carry TYPE_TAG (None: plain data). Raises NotFound, Damaged."""
        found = self.get(digest)
        if found.type_tag != type_tag:
            raise Damaged(f"artifact {reference_text(digest)} has type tag {found.type_tag}, not {type_tag}", reason="WRONG_TYPE")
        return found.payload

    def extent(self, extent: segment.Extent, digest: bytes) -> bytes:
        """The bytes of one extent of the artifact with DIGEST, not checked against it. Raises Damaged, Unsupported."""
        name = layout.block(extent.block)
        try:
            header = self._readable_header(extent.block, name)
            if header.encoding != block.PLAIN:
                return self._frames.read(extent.block, header, extent.offset, extent.length)
            data = self.backend.read(name, block.HEADER.size + extent.offset, extent.length)
        except Unsupported:
            raise
        except NotFound as error:
            what = f"artifact {reference_text(digest)} is lost: block {extent.block.hex()} is missing"
            raise Damaged(what, reason="MISSING_BLOCK", block=extent.block.hex()) from error
        except AslError as error:
            raise Damaged(f"artifact {reference_text(digest)} cannot be read: {error}", reason=error.reason) from error
        return data

    def plain_file(self, block_id: BlockID) -> Optional[str]:
        """A local file in which plain content begins behind the header of the block; None where it has to be read in the usual way
        (extent(), get()), which says what is wrong."""
        name = layout.block(block_id)
        try:
            path = self.backend.path(name)
            return path if path is not None and self._readable_header(block_id, name).encoding == block.PLAIN else None
        except AslError:
            return None

    def _readable_header(self, block_id: BlockID, name: str) -> block.Header:
        try:
            return self._header(block_id, name)
        except (NotFound, Unsupported):
            raise
        except AslError:
            return block.Header()  # a damaged header takes nothing with it: the digest of what is read decides

    def _header(self, block_id: BlockID, name: str) -> block.Header:
        with self._mutex:
            header = self._headers.get(block_id)
        if header is None:
            header = block.decode_header(self.backend.read(name, 0, block.HEADER.size))
            with self._mutex:
                self._headers[block_id] = header
                if len(self._headers) > _BLOCKS:
                    self._headers.popitem(last=False)
        return header

    @staticmethod
    def _damaged(digest: bytes, location: segment.Location, why: str) -> Damaged:
        first = location[0]
        where = f"block {first.block.hex()} at {first.offset}"
        what = f"artifact {reference_text(digest)} is damaged in {where}: {why}"
        return Damaged(what, reason="DAMAGED_ARTIFACT", block=first.block.hex())
