# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""asl-debug log: print the log, record by record."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Optional

from asl.cli import stores
from asl.cli.output import printable, table
from asl.cli.reading import example, local_time
from asl.errors import AslError
from asl.formats import log, records
from asl.formats.log import Record
from asl.formats.snapshot import About
from asl.names import reference_text

if TYPE_CHECKING:
    from asl.backends.remote import Remote
    from asl.cli.context import Context

HELP = "print the log, record by record"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    stores.add_argument(parser)
    example(parser, "asl-debug log --store /mnt/asl/local")


def run(args: argparse.Namespace, context: Context) -> int:
    """Print every record that can be read, damaged places and the tail. 5 when the log is damaged."""
    location = stores.location(args, context)
    shown = document(location, stores.reached(location, args, context))
    context.document(shown)
    context.text(render(shown))
    return 5 if shown["damage"] else 0


def document(location: str, remote: Optional[Remote] = None) -> dict[str, Any]:
    """The log of the store at LOCATION, which need not be one that can be opened. Raises NotFound, Unavailable."""
    from asl.backends import layout
    from asl.store import raw, recovery

    backend = raw(location, remote)
    data = backend.read(layout.LOG)
    shown: dict[str, Any] = {"store": location, "size": len(data), "acknowledged": None, "torn_bytes": 0, "records": [], "damage": []}
    try:
        log.check_header(data[: log.HEADER.size])
    except AslError as error:
        shown["damage"].append(_damage(0, 0, min(len(data), log.HEADER.size), error.message))
    last = _read(data, shown)
    try:
        head = recovery.read_head(backend)
        shown["acknowledged"] = {"logseq": head.logseq, "offset": head.offset, "link": head.link.hex()}
        if head.logseq > last:
            what = f"record {head.logseq} was acknowledged, but the log ends before it"
            shown["damage"].append(_damage(last, len(data), 0, what))
    except AslError as error:
        shown["damage"].append(_damage(last, len(data), 0, error.message))
    return shown


def _read(data: bytes, shown: dict[str, Any]) -> int:
    """Add what DATA holds to SHOWN; the number of the last record."""
    from asl.store.check import chain

    last = 0
    for step in chain.read(data):
        if isinstance(step, Record):
            shown["records"].append(_record(step))
            last = step.logseq
        elif isinstance(step, chain.Gap):
            shown["damage"].append(_damage(step.at.logseq, step.at.offset, step.after.offset - step.at.offset, "the chain does not hold"))
            last = step.after.logseq
        elif step.plausible:
            shown["torn_bytes"] = step.size
        else:
            shown["damage"].append(_damage(step.at.logseq, step.at.offset, step.size, "no record, and no beginning of one"))
    return last


def _damage(after: int, offset: int, size: int, what: str) -> dict[str, Any]:
    return {"after": after, "offset": offset, "size": size, "what": what}


def _record(record: Record) -> dict[str, Any]:
    size = log.PREFIX.size + len(record.payload) + log.LINK
    try:
        fields: Mapping[str, Any] = _FIELDS[record.kind](record.payload) if record.kind in _FIELDS else {}
    except AslError as error:
        fields = {"error": error.message}
    return {
        "logseq": record.logseq, "offset": record.after.offset - size, "size": size, "type": record.kind,
        "name": records.NAMES.get(record.kind, "unknown"), "hash": record.after.link.hex(), **fields,
    }  # fmt: skip


def _seal(payload: bytes) -> dict[str, Any]:
    seal = records.Seal.decode(payload)
    return {"segment": seal.segment_id, "segment_hash": seal.segment_hash.hex()}


def _stone(payload: bytes) -> dict[str, Any]:
    stone = records.Tombstone.decode(payload, lift=False)
    return {"reference": reference_text(stone.digest), "domain_id": stone.domain_id}


def _lift(payload: bytes) -> dict[str, Any]:
    stone = records.Tombstone.decode(payload, lift=True)
    return {"reference": reference_text(stone.digest), "domain_id": stone.domain_id, "lifts": stone.lifts}


def _anchor(payload: bytes) -> dict[str, Any]:
    anchor = records.Anchor.decode(payload)
    about = About.decode(anchor.about)
    return {
        "snapshot": anchor.snapshot_id, "root": anchor.root.hex(), "domain": about.domain, "sealed": about.sealed,
        "manifest": reference_text(about.manifest), "receipt": reference_text(about.receipt), "sources": list(about.sources),
    }  # fmt: skip


def _rescue(payload: bytes) -> dict[str, Any]:
    key, state = records.decode_rescue(payload)
    return {"key": key.hex(), "state": reference_text(state) if state else None}


_FIELDS: Mapping[int, Callable[[bytes], dict[str, Any]]] = {
    records.SEGMENT_SEAL: _seal,
    records.SEGMENT_DROP: lambda payload: {"segments": records.decode_drop(payload)},
    records.TOMBSTONE: _stone,
    records.TOMBSTONE_LIFT: _lift,
    records.SNAPSHOT_ANCHOR: _anchor,
    records.SNAPSHOT_PIN: lambda payload: {"snapshot": records.decode_number(payload)},
    records.SNAPSHOT_UNPIN: lambda payload: {"snapshot": records.decode_number(payload)},
    records.RESCUE_STATE: _rescue,
}


def render(shown: Mapping[str, Any]) -> str:
    """One line a record, then what is wrong."""
    rows: list[Sequence[object]] = [("logseq", "offset", "size", "type", "what")]
    rows += [(each["logseq"], each["offset"], each["size"], each["name"], _what(each)) for each in shown["records"]]
    lines = [table(rows, right=(0, 1, 2))]
    for each in shown["damage"]:
        lines.append(f"DAMAGED behind record {each['after']}, {each['size']} bytes at {each['offset']}: {printable(each['what'])}")
    if shown["torn_bytes"]:
        lines.append(f"{shown['torn_bytes']} bytes of a record that was not finished")
    if shown["acknowledged"]:
        lines.append(f"acknowledged up to record {shown['acknowledged']['logseq']}")
    return "\n".join(lines)


def _what(each: Mapping[str, Any]) -> str:
    if "error" in each:
        return f"DAMAGED: {each['error']}"
    if "segment" in each:
        return f"segment {each['segment']}, SHA-256 {each['segment_hash'][:16]}…"
    if "root" in each:
        return f"snapshot {each['snapshot']}, sealed {local_time(each['sealed'])}: {' '.join(each['sources'])}"
    if "segments" in each:
        return f"segments {', '.join(map(str, each['segments']))}"
    if "reference" in each:
        return f"{each['reference']} (lifts record {each['lifts']})" if "lifts" in each else str(each["reference"])
    rest = f"type {each['type']:#x}"
    if "key" in each:
        rest = f"device {each['key'][:16]}…: {each['state'] or 'done'}"
    return f"snapshot {each['snapshot']}" if "snapshot" in each else rest
