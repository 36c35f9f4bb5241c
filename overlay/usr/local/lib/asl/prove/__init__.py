# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Proving a snapshot: from a receipt over the chain of the log to every byte, link by link, with one verdict.

    signature    somebody who is known signed the receipt                     receipt     it says of itself what its digests say
    log          the chain holds, and the anchor in it is the one that the receipt names
    checkpoint   the state before the anchor has the anchor's root, and so has the file snapshots/<id>
    segments     every visible segment is what the log sealed
    blocks       every block that the snapshot reaches is what its name says
    content      every artifact that the snapshot reaches has its digest, from the manifest down

A receipt that was kept elsewhere is what makes it a proof: whoever can write to the store can write a log that fits. Without one the store
is held against itself, and the verdict says so.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple, Optional

from asl.backends.base import Reads
from asl.errors import AslError, Damaged, NotFound, Unavailable, Unsupported, Usage
from asl.formats.attestation import Attestation
from asl.prove import links
from asl.prove.links import ABSENT, BROKEN, NOT_CHECKED, Link
from asl.prove.witness import Witness
from asl.store import Remote, Store, StoredSnapshot, marker, opened, raw, recovery
from asl.store.peers import Peer
from asl.verify import Progress

__all__ = ["ORDER", "Place", "Witness", "prove"]

ORDER = ("signature", "receipt", "log", "checkpoint", "segments", "blocks", "content")
PROVEN, HOLDS, NOT_PROVEN = "proven", "holds", "broken"


class Place(NamedTuple):
    """Where the store is, how a URL is reached, and who else is read."""

    location: str
    remote: Optional[Remote] = None
    peers: Sequence[Peer] = ()


class Proof:
    """One proof. Use prove()."""

    def __init__(self, place: Place, name: str, witness: Witness, progress: Optional[Progress]) -> None:
        self._place, self._name, self._witness, self._progress = place, name, witness, progress
        self._links: dict[str, Link] = {}
        self._told: dict[str, Any] = {}
        self._receipt: Optional[Attestation] = None
        self._store_id = ""
        self._snapshot: Optional[StoredSnapshot] = None

    def run(self) -> dict[str, Any]:
        """Check every link; the document."""
        began = time.monotonic()
        self._given()
        store = self._open()
        if store is not None:
            self._stored(store)
        listed = [self._links.get(name, Link(name, NOT_CHECKED, "a link before it has to be mended first")) for name in ORDER]
        verdict, unread, snapshot, receipt = self._verdict(listed), self._unread(), self._snapshot, self._receipt
        lacking = self._lacking(unread)
        return {
            "verdict": verdict, "ok": verdict != NOT_PROVEN, "complete": verdict != NOT_PROVEN and not lacking,
            "sentence": self._sentence(verdict, listed, lacking), "store": self._place.location,
            "snapshot": str(snapshot.id) if snapshot else str(receipt.snapshot) if receipt else None,
            "digest": snapshot.digest if snapshot else receipt.digest.hex() if receipt else None,
            "signer": self._witness.signer._asdict() if self._witness.signer else None,
            "links": [each._asdict() for each in listed], "unread": unread, **self._told,
            "seconds": round(time.monotonic() - began, 3),
        }  # fmt: skip

    def _hold(self, link: Link) -> None:
        self._links[link.link] = link

    # What was given.

    def _given(self) -> None:
        witness = self._witness
        self._hold(witness.signature_link())
        self._receipt, link = witness.receipt_link()
        self._hold(link)

    # What is in the store.

    def _open(self) -> Optional[Store]:
        """The store, for reading; None where a link is broken without which it cannot be."""
        backend = raw(self._place.location, self._place.remote)
        try:
            self._store_id = marker.check(backend)
            state = recovery.load(backend, full=True)
        except (Damaged, NotFound) as error:
            if isinstance(error, NotFound) and not _is_store(backend):
                what = f"there is no store at {self._place.location}"
                raise NotFound(what, reason="NO_STORE", hint="name the one that the snapshot was read into: --store DIR") from error
            self._hold(Link("log", BROKEN, error.message, error.reason))
            return None
        try:
            return opened(backend, state, self._place.peers)
        except (Damaged, Unsupported) as error:
            given = self._receipt
            known = next((each for each in state.snapshots if given is not None and each.id == given.snapshot), None)
            if known is not None:
                self._hold(links.anchor(self._store_id, state, known, given))
            self._hold(Link("segments", BROKEN, error.message, error.reason))
            return None

    def _stored(self, store: Store) -> None:
        snapshot = self._find(store)
        if snapshot is None:
            return
        self._snapshot = snapshot
        if self._links["receipt"].status == ABSENT:
            self._receipt = self._own(snapshot)
        self._hold(links.anchor(self._store_id, store.state, snapshot.snapshot, self._receipt))
        self._hold(links.checkpoint(store, snapshot))
        found, self._told = links.content(store, snapshot, self._progress)
        for each in found:
            self._hold(each)
        if self._receipt is not None:
            wrong = links.contradiction(snapshot, self._receipt)
            if wrong:
                self._hold(Link("receipt", BROKEN, wrong, "BAD_RECEIPT"))

    def _find(self, store: Store) -> Optional[StoredSnapshot]:
        """The snapshot that is asked for; where a receipt was given, it has to be that one's."""
        given = self._receipt
        try:
            found = store.find_snapshot(self._name)
        except NotFound as error:
            if given is None or error.reason != "NO_SNAPSHOT":
                raise
            what = f"there is no snapshot {self._name} in it, but there was one when the receipt was made"
            self._hold(Link("log", BROKEN, what, "OTHER_LOG"))
            return None
        if given is not None and found.id != given.snapshot:
            what = f"the receipt is that of snapshot {given.snapshot}, not of {found.id}"
            raise Usage(what, reason="OTHER_SNAPSHOT", hint=f"asl-admin prove {given.snapshot}")
        return found

    def _own(self, snapshot: StoredSnapshot) -> Optional[Attestation]:
        """The receipt that the store has itself."""
        try:
            return snapshot.attestation()
        except AslError as error:
            if isinstance(error, Unavailable) and not isinstance(error, NotFound):
                raise
            self._hold(Link("receipt", BROKEN, f"the receipt in the store cannot be read: {error.message}", error.reason))
            return None

    # What comes of it.

    def _verdict(self, listed: list[Link]) -> str:
        if any(each.status in (BROKEN, NOT_CHECKED) for each in listed):
            return NOT_PROVEN
        signer = self._witness.signer
        return PROVEN if signer is not None and signer.principal is not None else HOLDS

    def _sentence(self, verdict: str, listed: list[Link], lacking: str) -> str:
        broken = [each for each in listed if each.status == BROKEN]
        if broken:
            more = f"; {len(broken) - 1} links more are broken" if len(broken) > 1 else ""
            return f"NOT PROVEN: the chain is broken at {broken[0].link}: {broken[0].what}{more}"
        assert self._snapshot is not None
        what = f"snapshot {self._snapshot.id} is, byte for byte, what its receipt says"
        what, but = (f"{what}, but {lacking}", " FOR WHAT WAS READ") if lacking else (what, "")
        signer = self._witness.signer
        if verdict == PROVEN and signer is not None:
            return f"PROVEN{but}: {what}, signed by {signer.principal}"
        if signer is not None:
            return f"HOLDS{but}: {what}, signed with {signer.key}; whose that is was not asked (--allowed-signers)"
        whose = "which nobody signed" if self._witness.given else "but that is the store's own word: no receipt from elsewhere was given"
        return f"HOLDS{but}: {what}, {whose}"

    def _unread(self) -> list[dict[str, Any]]:
        """What is no part of the proof, for it was never read: of each source the bytes, and ranges where the receipt lists them.

        The bytes are those of the manifest: the receipt of a gateway says nothing of the intake."""
        found = []
        told = links.sources(self._intake())
        for number, unread in enumerate(self._never_read(told)):
            each = told[number] if number < len(told) else {}
            known = each.get("map")
            ranges = known.get("unread", []) if isinstance(known, dict) else []
            if unread:
                found.append({"source": each.get("source") or self._spec(number), "bytes": unread, "ranges": ranges})
        return found

    def _intake(self) -> Optional[Mapping[str, Any]]:
        """What is said of the intake: by the receipt at hand, else by the one in the store."""
        if self._receipt is not None and self._receipt.intake is not None:
            return self._receipt.intake
        with suppress(AslError):  # the content says so
            return self._snapshot.receipt if self._snapshot else None
        return None

    def _never_read(self, told: Sequence[Mapping[str, Any]]) -> list[int]:
        if self._snapshot is not None:
            with suppress(AslError):
                return [each.unread for each in self._snapshot.manifest.sources]
        return [each["bytes_unread"] if isinstance(each.get("bytes_unread"), int) else 0 for each in told]

    def _spec(self, number: int) -> str:
        specs = self._snapshot.about.sources if self._snapshot else ()
        return specs[number] if number < len(specs) else ""

    def _lacking(self, unread: Sequence[Mapping[str, Any]]) -> str:
        """What the sources had and the snapshot has not, as a clause; empty where nothing is known to be missing."""
        if unread:
            return f"{sum(each['bytes'] for each in unread)} bytes of its sources were never read"
        losses = self._snapshot.about.losses if self._snapshot else 0
        return f"{losses} losses of its intake are no part of it" if losses else ""


def _is_store(backend: Reads) -> bool:
    """Whether anything at all looks like one."""
    try:
        return any(True for _name in backend.names("segments"))
    except AslError:
        return False


def prove(place: Place, name: str, witness: Optional[Witness] = None, progress: Optional[Progress] = None) -> dict[str, Any]:
    """Prove the snapshot NAME of the store at PLACE: the document of `asl-admin prove --json`.

    `verdict`: proven (and signed by somebody who is allowed to), holds (the chain does, nobody vouches for it), broken. `complete`: all
    that the sources had is in it; else `unread` and the receipt say what is not, and so does the sentence. `links`: each
    `link`, `status` (held, broken, absent, not_checked), `what`, `reason`. Damage is never an exception. Raises NotFound where there is
    no store or no such snapshot; Unavailable where something that is needed is not there, as ssh-keygen; Usage."""
    return Proof(place, name, witness or Witness(), progress).run()
