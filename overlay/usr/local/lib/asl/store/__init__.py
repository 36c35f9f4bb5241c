# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The store: put and get artifacts, commit, seal and find snapshots, over any backend.

backends  where bytes lie             state     CURRENT, pure            recovery  opening after any crash
index     sealed segments, look-up    reader    from digest to bytes     packer    artifacts into blocks
writer    commits and snapshots       adopt     blocks nobody names      merge     few segments
contents  recipes and trees read      check     every byte               marker    format version and store id
remote    a writer over a gateway     access    what lies behind a URL    peers     admitted peers, read where the own domain ends
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Optional

from asl.backends import layout
from asl.backends.base import Adds, Reads
from asl.backends.posix import Posix, PosixReads
from asl.backends.remote import Remote
from asl.errors import Conflict, NotFound, Unavailable, Usage
from asl.formats import log
from asl.store import marker, recovery
from asl.store.frames import Compression
from asl.store.index import Index
from asl.store.reader import Reader
from asl.store.snapshots import StoredSnapshot, find, listing
from asl.store.state import State

if TYPE_CHECKING:
    from asl.store.peers import Peer
    from asl.store.writer import Writer

__all__ = [
    "Peer", "Reader", "Remote", "Store", "StoredSnapshot", "Writer",
    "fill", "init_store", "open_store", "open_writer", "opened", "raw", "sealed_before",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    """Imported when somebody asks for it: most commands neither add anything nor have peers."""
    if name == "Peer":
        from asl.store.peers import Peer

        return Peer
    if name == "Writer":
        from asl.store.writer import Writer

        return Writer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


class Store(Reader):
    """A store open for reading, with its snapshots."""

    def snapshots(self) -> list[StoredSnapshot]:
        """Every snapshot, oldest first."""
        return listing(self)

    def find_snapshot(self, text: str) -> StoredSnapshot:
        """The snapshot that TEXT names, as asl.store.snapshots.find(). Raises NotFound, Usage."""
        return find(self, text)


def init_store(location: str) -> tuple[str, bool]:
    """Make an empty store at LOCATION; (its id, True), or (the id of the store that is there, False). Raises Refused, Unavailable."""
    _only_posix(location)
    if marker.present(location) is None:
        marker.refuse_foreign(location)
    backend = Posix.make(location)
    with backend.lock():  # two may do this at once, and a writer may be at work already
        existing = marker.present(location)
        if existing is None:
            fill(backend)
        backend.ensure(layout.MARKER)
        backend.barrier()
    return marker.check(backend), existing is None


def fill(backend: Adds) -> None:
    """Make an empty store in BACKEND: log, head, and last the marker; before it there is no store. Raises Unavailable."""
    try:
        backend.create(layout.LOG, log.FIRST)
    except Conflict:
        log.check_header(backend.read(layout.LOG, 0, log.HEADER.size))  # a killed init came this far
        backend.ensure(layout.LOG)
    backend.barrier()
    backend.replace_head(recovery.encode_head(log.START))
    backend.create(layout.MARKER, marker.encode(marker.new_id()))


def raw(location: str, remote: Optional[Remote] = None) -> Reads:
    """The bytes at LOCATION themselves, whether they can be opened as a store or not: what a check begins with. Raises Unavailable,
    Usage."""
    return _reads(location, remote._replace(cache=None) if remote else None)


def _reads(location: str, remote: Optional[Remote]) -> Reads:
    if "://" in location:
        from asl.store import access

        return access.reads(location, remote)
    _only_posix(location)
    return PosixReads(location)


def open_store(location: str, *, full: bool = False, remote: Optional[Remote] = None, peers: Sequence[Peer] = ()) -> Store:
    """The store at LOCATION, for reading; REMOTE says how to reach a URL. With FULL the log is replayed from its first record.

    What it does not have is read from PEERS. Raises NotFound, Damaged, Unsupported, Unavailable."""
    backend = _reads(location, remote)
    _check_marker(backend)
    return opened(backend, recovery.load(backend, full=full), peers)


def opened(backend: Reads, state: State, peers: Sequence[Peer] = ()) -> Store:
    """The store in BACKEND, of which STATE is known. Raises Damaged, Unsupported for a segment that cannot be opened."""
    if not peers:
        return Store(backend, state)
    from asl.store.peers import JoinedIndex, JoinedReads

    own = Index(backend)
    own.follow(state)
    return Store(JoinedReads(backend, peers), state, JoinedIndex(own, peers))


def open_writer(
    location: str, *, block_size: Optional[int] = None, remote: Optional[Remote] = None, compression: Optional[Compression] = None
) -> Writer:
    """The store at LOCATION, for adding; REMOTE says how to reach a URL. Raises NotFound, Damaged, Unsupported, Unavailable.

    COMPRESSION is for blocks in a directory; None means plain ones."""
    if "://" in location:
        from asl.store import access

        return access.writer(location, remote, block_size)
    from asl.store.writer import DEFAULT_BLOCK_SIZE, Writer

    _only_posix(location)
    backend = Posix(location)
    _check_marker(backend)
    return Writer(backend, block_size=block_size or DEFAULT_BLOCK_SIZE, compression=compression)


def sealed_before(
    location: str, domain: str, sources: Sequence[str], labels: Mapping[str, str], *, remote: Optional[Remote] = None
) -> bool:
    """True when a snapshot of these SOURCES with these LABELS is sealed in the store at LOCATION. Raises as open_store()."""
    if "://" in location:
        from asl.store import access

        return access.gateway(location, remote).knows(domain, sources, labels)
    asked = (domain, tuple(sources), dict(labels))
    return any((each.about.domain, each.about.sources, dict(each.about.labels)) == asked for each in open_store(location).snapshots())


def _check_marker(backend: Reads) -> None:
    try:
        marker.check(backend)
    except NotFound as error:
        raise NotFound(
            f"there is no store at {backend.location}", reason="NO_STORE", hint=f"asl-admin init {backend.location} makes an empty one"
        ) from error


def _only_posix(location: str) -> None:
    if "://" in location:
        raise Unavailable(
            f"{location}: this works on a directory, not through a gateway",
            reason="REMOTE_UNSUPPORTED",
            hint="run it where the store lies, and name its directory",
        )
    if not location:
        raise Usage("no store was named", reason="NO_STORE", hint="give --store DIR, or set ASL_STORE")
