# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One domain: what is there, what may be added, and how a snapshot is sealed. Blocking, for threads; safe in many at once.

Order, as in every store: blocks are durable when their upload is answered; a segment is checked against them and sealed in the log;
a snapshot is sealed when all that it reaches is visible. Several gateways on one place settle their order by the store itself: the
lock of a directory, or create-only puts in a bucket.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence

from asl.backends import layout
from asl.errors import Conflict, Damaged, NotFound, Unavailable
from asl.formats import artifact, canonical
from asl.formats.snapshot import About
from asl.names import BlockID, check_domain, reference_text
from asl.store import Peer, Reader, Writer, marker, merge, recovery
from asl.store.peers import joined
from asl.store.reach import Lost, Walk
from asl.store.state import Snapshot, find_equal
from asl_gateway.checking import Checker
from asl_gateway.places import Place, Takes
from asl_gateway.problems import Invalid, invalid
from asl_gateway.spool import Spool, Upload

# Of what is missing for a snapshot, so many are named in one answer.
NAMED = 10_000
# Segments whose digests are remembered: whoever lost the answer asks within minutes.
_TAKEN = 10_000
# There (1) becomes the digit 0, not there (0) the digit 1.
_MISSING = b"10" + bytes(254)


class Domain:
    """The store of one domain, open for all that the API does."""

    def __init__(self, name: str, place: Place, spool: Spool, peers: Sequence[Peer] = ()) -> None:
        self.name, self._place, self.spool, self.peers = check_domain(name), place, spool, tuple(peers)
        self._checker = Checker()
        self._lock = threading.RLock()  # the writer, and what hangs on its state
        self._walking = threading.Lock()
        self._writer: Writer | None = None
        self._walk: Walk | None = None
        self._losses: list[Lost] = []
        # Segments that were taken in, by digest: once they are merged with others, the state does not name them any more.
        self._taken: OrderedDict[bytes, None] = OrderedDict()

    def backend(self) -> Takes:
        """A backend for one call."""
        return self._place.backend(self.name)

    @contextlib.contextmanager
    def _open(self) -> Iterator[Writer]:
        """The writer, alone. One that failed is replaced: what is durable is read anew."""
        with self._lock:
            try:
                if self._writer is None:
                    writer = Writer(self.backend(), adopting=False)
                    writer.state = recovery.load(writer.backend, full=True)  # every snapshot, not only the latest
                    writer.index.follow(writer.state)
                    self._writer, self._walk = writer, None
                yield self._writer
            except NotFound as error:
                raise Unavailable(f"the store of {self.name} is not there: {error}", reason="NO_STORE") from error
            except (Unavailable, Damaged):
                self._writer = None
                raise

    def view(self) -> Writer:
        """The store as it is now, for reading."""
        with self._open() as writer:
            writer.refresh()
            return writer

    def _with_peers(self, writer: Writer) -> Reader:
        """The store together with what is in the admitted peers by now."""
        for peer in self.peers:
            peer.refresh()
        return joined(writer, self.peers)

    @property
    def store_id(self) -> str:
        """The id of the store."""
        return marker.check(self.backend())

    def missing(self, packed: bytes) -> bytes:
        """The bitmap of what is missing: bit i, from the lowest of the first byte on, is 1 where digest i of PACKED (32 bytes each) is."""
        known = self.known(packed)
        # 0x00 or 0x01 for each digest become the digits of one large number, the first digit the lowest.
        digits = known.translate(_MISSING)[::-1]
        return int(digits, 2).to_bytes(-(-len(known) // 8), "little") if digits else b""

    def known(self, packed: bytes) -> bytes:
        """One byte for each digest in PACKED: 1 where it is visible, or in an admitted peer."""
        writer = self.view()
        known = self._with_peers(writer).index.known(packed)
        if not writer.state.tombstones:
            return known
        hidden = writer.state.hidden
        return bytes(there and not hidden(packed[32 * at : 32 * at + 32]) for at, there in enumerate(known))

    def has_block(self, block_id: bytes) -> int | None:
        """The size of a block, None where it is not there."""
        try:
            return self.backend().size(layout.block(BlockID(block_id)))
        except NotFound:
            return None

    def has(self, kind: str, digest: bytes) -> bool:
        """True when the block with this SHA-256 is here, or what the segment with it says is visible."""
        if kind == "blocks":
            return self.has_block(digest) is not None
        return digest in self._taken or digest in self.view().state.segments.values()

    def add_block(self, upload: Upload, block_id: bytes) -> bool:
        """Check the whole UPLOAD and make it a block; False when it was there. Raises Invalid, Conflict."""
        self._digest_fits(upload, block_id)
        with upload.held():  # what was checked is what is published
            return self._add_block(upload, block_id)

    def _add_block(self, upload: Upload, block_id: bytes) -> bool:
        try:
            self._checker.check_block(upload.path, block_id)
        except Invalid:
            self.spool.drop(upload.path)
            raise
        except FileNotFoundError:
            return self._finished_by_another(block_id)
        upload.sync()
        backend, name, new = self.backend(), layout.block(BlockID(block_id)), True
        try:
            backend.take(upload.path, name)
        except Conflict:
            backend.ensure(name)
            new = False
        except NotFound:
            return self._finished_by_another(block_id)
        backend.barrier()
        self.spool.drop(upload.path)
        return new

    def _finished_by_another(self, block_id: bytes) -> bool:
        if self.has_block(block_id) is None:
            raise Conflict("the upload has vanished", reason="UPLOAD_OFFSET", hint="send it again", offset=0, header_Upload_Offset=0)
        return False

    def add_segment(self, upload: Upload, digest: bytes) -> tuple[int, bool]:
        """Check the whole UPLOAD against its blocks and make it a visible segment; (its id, False) when it was. Raises Invalid."""
        self._digest_fits(upload, digest)
        with upload.held(), open(upload.path, "rb") as file:
            data = file.read()
        try:
            digests = self._checker.check_segment(data, self.backend())
        except Invalid:
            self.spool.drop(upload.path)
            raise
        with self._open() as writer:
            writer.refresh()
            new = not all(writer.has(each) for each in digests)
            number = writer.add_segment(data) if new else 0
            self._taken[digest] = None
            while len(self._taken) > _TAKEN:
                self._taken.popitem(last=False)
            merge.merge_segments(writer)
        self.spool.drop(upload.path)
        return number, new

    def _digest_fits(self, upload: Upload, digest: bytes) -> None:
        if upload.hasher.digest() != digest:
            self.spool.drop(upload.path)
            what = f"what was sent has the SHA-256 {upload.hasher.hexdigest()}, not the one it is named by"
            raise Invalid(what, reason="BAD_DIGEST", hint="send it again from its beginning")

    def seal(self, body: bytes) -> tuple[Snapshot, bool]:
        """Seal the snapshot that BODY (the canonical JSON of formats.snapshot.About) is about; (it, False) when equal content of the
        same sources and labels is sealed already. Raises Invalid (SNAPSHOT_INCOMPLETE, with `missing`)."""
        about = self._about(body)
        with self._walking:  # two at once would walk the same trees
            known = self._sealed(about)
            if known is not None:
                return known, False
            self._reach(about)
            with self._open() as writer:
                return self._sealed(about) or writer.seal_snapshot(about), True

    def find(self, body: bytes) -> Snapshot | None:
        """The snapshot with the content, sources and labels of BODY, which is as in seal()."""
        return self._sealed(self._about(body))

    def _about(self, body: bytes) -> About:
        try:
            about = About.decode(body)
        except Damaged as error:
            raise invalid(error) from error
        if about.domain != self.name or about.encode() != body:
            raise Invalid("what the snapshot is about names another domain, or more than it may", reason="BAD_SNAPSHOT")
        return about

    def _sealed(self, about: About) -> Snapshot | None:
        return find_equal(self.view().state.snapshots, about)

    def knows(self, body: bytes) -> bool:
        """True when a snapshot with the domain, sources and labels in BODY is sealed. Raises Invalid."""
        value = canonical.decode(body, "the body")
        if set(value) != {"domain", "sources", "labels"} or not isinstance(value["sources"], list) or not isinstance(value["labels"], dict):
            raise Invalid("the body has other keys than domain, sources and labels", reason="BAD_BODY")
        asked = (value["domain"], value["sources"], value["labels"])
        return any((each.about.domain, list(each.about.sources), dict(each.about.labels)) == asked for each in self.view().state.snapshots)

    def _reach(self, about: About) -> None:
        """See that everything the snapshot reaches is visible, here or in an admitted peer. What was seen to be whole is not walked
        a second time."""
        store = self._with_peers(self.view())
        if self._walk is None:
            self._walk = Walk(store, lambda chunk: None, self._losses.append)
        self._losses.clear()
        try:
            self._walk.snapshot(Snapshot(0, 0, b"", about))
        except BaseException:
            self._walk = None
            raise
        if self._losses:
            self._walk = None  # it must not remember as whole what is not
            lost = sorted({each.digest for each in self._losses})
            raise Invalid(
                f"the snapshot reaches {len(lost)} artifacts that are not here", reason="SNAPSHOT_INCOMPLETE",
                hint="ask what is missing, send it, and seal again",
                missing=[reference_text(each) for each in lost[:NAMED]], missing_omitted=max(0, len(lost) - NAMED),
            )  # fmt: skip

    def add_artifact(self, payload: bytes) -> tuple[bytes, bool]:
        """Store PAYLOAD as one artifact of plain data; its digest, and whether it was new."""
        with self._open() as writer:
            writer.refresh()
            digest = artifact.digest(payload)
            new = writer.add(digest, payload)
            writer.commit()
        return digest, new

    def ready(self) -> None:
        """Raise AslError unless the store can be read now."""
        self.view()


def open_domains(names: Sequence[str], place: Place, spool: Spool, peers: Mapping[str, Sequence[Peer]]) -> dict[str, Domain]:
    """The domains, by name; PEERS: the admitted ones of each."""
    return {name: Domain(name, place, spool, peers.get(name, ())) for name in names}


def free_space(place: Place) -> int | None:
    """Bytes that are free where the stores lie; None for a bucket."""
    try:
        found = os.statvfs(place.location)
    except OSError:
        return None
    return found.f_bavail * found.f_frsize
