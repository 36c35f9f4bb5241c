# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The links of the chain that lie in the store."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple, Optional

from asl.backends import layout
from asl.errors import AslError, Damaged, NotFound
from asl.formats import log, records
from asl.formats.attestation import Attestation
from asl.names import BlockID, Digest, parse_reference
from asl.store import Store, StoredSnapshot
from asl.store.attest import attest
from asl.store.hashing import object_digest
from asl.store.marks import Marks
from asl.store.state import Snapshot, State
from asl.verify import Progress, Verification

HELD, BROKEN, ABSENT, NOT_CHECKED = "held", "broken", "absent", "not_checked"
# What an attestation says of the log, and how a person would put it.
_SAYS = {
    "store_id": "the store has another id", "domain": "the domain is another one", "digest": "the content has another digest",
    "receipt": "the intake has another receipt", "root": "the state before it was another one", "sealed": "it was sealed at another time",
    "logseq": "its record has another number", "link": "the log up to it is another one",
}  # fmt: skip


class Link(NamedTuple):
    """A link of the chain: `status` held, broken, absent or not_checked, and why; `reason` where it is broken."""

    link: str
    status: str
    what: str
    reason: Optional[str] = None


def anchor(store_id: str, state: State, snapshot: Snapshot, receipt: Optional[Attestation]) -> Link:
    """The chain of the log was followed to make STATE; is the anchor of SNAPSHOT the one in the RECEIPT?"""
    says = attest(store_id, snapshot)
    chain = f"its chain of {state.position.logseq} records holds"
    if receipt is None:
        return Link("log", HELD, f"{chain}; there is no receipt to hold it against")
    wrong = [words for name, words in _SAYS.items() if getattr(says, name) != getattr(receipt, name)]
    if wrong:
        what = f"{chain}, but it is not the log of the receipt: {'; '.join(wrong)}"
        return Link("log", BROKEN, what, "OTHER_LOG")
    return Link("log", HELD, f"{chain}, and record {says.logseq} seals the snapshot of the receipt")


def checkpoint(store: Store, snapshot: StoredSnapshot) -> Link:
    """The state before the anchor, made anew from the log, and the file that has it too."""
    state = State()
    for record in log.records(store.backend.read(layout.LOG, log.HEADER.size)):
        if record.kind == records.SNAPSHOT_ANCHOR and record.logseq == snapshot.snapshot.logseq:
            break
        state.replay([record])
    if hashlib.sha256(state.checkpoint().encode()).digest() != snapshot.snapshot.root:
        return Link("checkpoint", BROKEN, "the state before the anchor has another root than the anchor says", "BAD_ANCHOR")
    name = layout.snapshot(snapshot.id)
    try:
        if object_digest(store.backend, name) != snapshot.snapshot.root:
            return Link("checkpoint", BROKEN, f"{name} is not the checkpoint that the log anchored", "BAD_SNAPSHOT")
    except NotFound:
        return Link("checkpoint", HELD, f"the log gives the root of the anchor; {name} is not there, and nothing but speed rests on it")
    return Link("checkpoint", HELD, f"{name} and the log give the root of the anchor")


def segments(store: Store, marks: Marks) -> Link:
    """Every visible segment is what the log sealed, and well formed; so is every one of a peer that has something of what was met."""
    found = {each.hash: each for each in [*store.index.segments(), *marks.segments]}
    for each in found.values():
        try:
            each.verify()
        except AslError as error:
            return Link("segments", BROKEN, f"{layout.segment(each.id)}: {error.message}", error.reason)
    return Link("segments", HELD, f"all {len(found)} are what the log sealed")


def content(store: Store, snapshot: StoredSnapshot, progress: Optional[Progress]) -> tuple[list[Link], dict[str, Any]]:
    """Every artifact by its digest, every block that has one of them by its name, and the segments that say where; and the figures."""
    verification = Verification(store, None, progress)
    result = verification.run([snapshot])
    lost = [parse_reference(each["reference"]) for each in result["damaged"]]
    blocks, wrong = _blocks(store, verification.marks, lost, progress)
    told = {key: result[key] for key in ("files", "artifacts", "bytes", "damaged", "damaged_omitted")}
    told.update(blocks=len(blocks))
    return [segments(store, verification.marks), _shelf(blocks, wrong), _content(snapshot, result)], told


def _content(snapshot: StoredSnapshot, result: Mapping[str, Any]) -> Link:
    lost = len(result["damaged"]) + result["damaged_omitted"]
    if lost:
        first = result["damaged"][0]
        where = f"{first['source']} {first['path'].decode('utf-8', 'backslashreplace')}".strip() or "the snapshot itself"
        return Link("content", BROKEN, f"{lost} losses, the first is {first['what']} of {where}: {first['why']}", first["reason"])
    what = f"all {result['artifacts']} artifacts have their digests, from the manifest {snapshot.digest[:12]}… down"
    return Link("content", HELD, f"{what}: {result['files']} files, {result['bytes']} bytes")


def _shelf(blocks: Sequence[BlockID], wrong: Sequence[tuple[BlockID, str, str]]) -> Link:
    if not wrong:
        return Link("blocks", HELD, f"all {len(blocks)} that it reaches are what their names say")
    block, what, reason = wrong[0]
    more = f", and {len(wrong) - 1} more" if len(wrong) > 1 else ""
    return Link("blocks", BROKEN, f"{layout.block(block)}: {what}{more}", reason)


_Wrong = tuple[BlockID, str, str]


def _blocks(store: Store, marks: Marks, lost: Sequence[Digest], progress: Optional[Progress]) -> tuple[list[BlockID], list[_Wrong]]:
    """The blocks in which the marked and the LOST artifacts lie, and those that are not what their names say."""
    found: set[BlockID] = set()
    with suppress(Damaged):  # a segment that is not what the log sealed is named as such
        found.update(extent.block for digest in lost for extent in store.index.find(digest) or ())
        for each in marks.segments:
            for number in marks.marked(each):
                found.update(extent.block for extent in each.location(number))
    wrong: list[_Wrong] = []
    done = 0

    def step(count: int) -> None:
        nonlocal done
        done += count
        if progress:
            progress("hashing blocks", done, 0)

    for block in sorted(found):
        try:
            if object_digest(store.backend, layout.block(block), step) != block:
                wrong.append((block, "it is not what its name says", "DAMAGED_BLOCK"))
        except NotFound:
            wrong.append((block, "it is missing", "MISSING_BLOCK"))
        except AslError as error:
            wrong.append((block, error.message, error.reason))
    return sorted(found), wrong


def sources(intake: Optional[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The sources in a receipt of an intake."""
    told = (intake or {}).get("sources")
    return [each for each in told if isinstance(each, dict)] if isinstance(told, list) else []


def contradiction(snapshot: StoredSnapshot, receipt: Attestation) -> str:
    """Where the receipt says something else of the content than the manifest does; empty where they agree or one cannot be read."""
    try:
        intake = receipt.intake if receipt.intake is not None else snapshot.receipt
        roots = [each.document() for each in snapshot.manifest.sources]
    except AslError:
        return ""  # the content says so
    told = sources(intake)
    if len(told) != len(roots):
        return f"it speaks of {len(told)} sources, and the snapshot has {len(roots)}"
    names = {"root": "root", "size": "size", "unread": "bytes_unread", "view": "view", "kind": "kind"}
    for number, (said, is_) in enumerate(zip(told, roots), 1):
        wrong = [name for name, key in names.items() if said.get(key) != is_[name]]
        if wrong:
            return f"of source {number} it says another {wrong[0]} than the manifest"
    if "manifest" in intake and intake["manifest"] != f"0001{receipt.digest.hex()}":
        return "it names another manifest"
    return ""
