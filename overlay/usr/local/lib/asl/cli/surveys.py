# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A survey as a person reads it: for each disk what it is, how it is, what is on it and what to type; then the pools of ZFS."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Optional

from asl.cli.output import printable, rest, size, table

Document = Mapping[str, Any]
DATASETS_SHOWN = 40


def disks_text(disks: Sequence[Document]) -> str:
    """A block for each disk: a heading, a table with a line for it and for each partition, then what is wrong with it."""
    if not disks:
        return "no disks were found"
    return "\n\n".join(_disk(disk) for disk in disks)


def _disk(disk: Document) -> str:
    rows: list[tuple[str, ...]] = [("DEVICE", "SIZE", "WHAT", "STATE", "TAKE IT WITH")]
    what = f"{disk['table']['type']} partition table" if disk["table"] else _volume(disk["volume"])
    rows.append((disk["device"], size(disk["size"]), what or "nothing known", _state(disk, disk["volume"]), _best(disk)))
    for part in disk["partitions"]:
        label = part["device"] or f"partition {part['number']}"
        what = _volume(part["volume"]) if part["volume"] else f"({part['type_name']})"
        rows.append((f"  {label}", size(part["size"]), what, _state(part, part["volume"]), _best(part)))
    lines = [_heading(disk), *(f"  {line}" for line in table(rows, right=(1,)).splitlines())]
    lines += [f"  UNSAFE  {printable(each)}" for each in disk["unsafe"]]
    return "\n".join([*lines, *(f"  note    {printable(each)}" for each in _notes(disk))])


def _heading(disk: Document) -> str:
    from asl.survey import assembled, smart

    rotational = disk.get("rotational")
    spin = "" if disk["kind"] != "disk" or rotational is None else "rotating" if rotational else "solid state"
    words = [
        disk["device"], disk["kind"], disk["model"] or "", disk["serial"] and f"S/N {disk['serial']}", size(disk["size"]), spin,
        "removable" if disk.get("removable") else "", "set read-only" if disk.get("read_only") else "",
        assembled.words(disk["assembly"]) if disk.get("assembly") else "", smart.words(disk.get("smart")),
    ]  # fmt: skip
    return " · ".join(printable(word) for word in words if word)


def _volume(volume: Optional[Document]) -> str:
    if volume is None:
        return ""
    words = [volume["type"], f'"{volume["label"]}"' if volume["label"] else "", *(f"[{note}]" for note in volume["notes"])]
    return " ".join(word for word in words if word)


def _state(item: Document, volume: Optional[Document]) -> str:
    words = []
    if volume is not None and volume["journal"]:
        words.append("journal not replayed")
    elif volume is not None and volume["dirty"] is not None:
        words.append("dirty" if volume["dirty"] else "clean")
    if item["mounted"]:
        words.append(f"mounted at {item['mounted'][0]}")
    words += [f"held by {each}" for each in item["held_by"]]
    return ", ".join(words)


def _best(item: Document) -> str:
    return item["sources"][0] if item["sources"] else ""


def _notes(disk: Document) -> Iterator[str]:
    """What must be said of a disk beside who may write to it: it does not answer, is damaged, or needs something first."""
    if disk["error"]:
        yield f"it cannot be read: {disk['error']}"
    yield from disk["table"]["problems"] if disk["table"] else ()
    if any(part["device"] is None for part in disk["partitions"]):
        yield f"its partitions have no nodes; losetup --find --show --read-only --partscan {disk['device']} makes them"
    for each in disk["read_errors"]:
        yield f"read error at {each}"
    errors = (disk["health"] or {}).get("io_errors")
    if errors:
        yield f"the kernel counted {errors} commands that ended with an error"
    if disk["read_errors"] or errors or (disk.get("smart") or {}).get("passed") is False:
        yield f"a disk that fails is read once, and first: device:{disk['device']}, before anything else is tried on it"
    for each in (disk, *disk["partitions"]):
        yield from _advice(each["device"] or f"partition {each.get('number')}", each)


def _advice(name: str, item: Document) -> Iterator[str]:
    """What has to be done by a person before more can be taken than every byte."""
    volume = item["volume"]
    if volume is None or item["held_by"]:
        return
    if volume["type"] == "luks":
        key = f"/run/asl/keys/{volume['uuid']}"
        yield f"{name} is encrypted; fs:luks:{name} opens it read-only with the key file {key} and reads its files"
    elif volume["type"] == "swap" and volume["dirty"]:
        yield f"{name} holds the memory of a hibernated system: what it had mounted is older than that, and must not be written"
    elif volume["type"] == "md":
        yield f"{name} is a member of an array that is not assembled; mdadm --assemble --readonly does it without a resync"
    elif volume["type"] == "lvm":
        yield f"{name} belongs to a volume group that is not active; set its devices read-only (blockdev --setro) before vgchange -ay"


def pools_text(pools: Sequence[Document]) -> str:
    """The ZFS pools as a table, what is wrong with each, and what could be taken of those that are imported."""
    from asl.survey.pools import HAZARDS

    rows: list[tuple[str, ...]] = [("POOL", "GUID", "STATE", "LAST WRITTEN", "BY", "TOP-LEVEL", "DEVICES")]
    notes: list[str] = []
    for pool in pools:
        when = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(pool["last_write"])) if pool["last_write"] is not None else ""
        seen = f"{pool['top_level_seen']} of {pool['top_level']}"
        devices = ", ".join(member["path"] for member in pool["members"])
        rows.append((pool["name"], pool["guid"], pool["state"], when, pool["hostname"] or "", seen, devices))
        notes += [f"{pool['name']} ({pool['guid']}): {HAZARDS[code]} ({code})" for code in pool["hazards"]]
    parts = [table(rows), *(["\n".join(notes)] if notes else []), *(_imported(pool) for pool in pools if pool.get("imported"))]
    return "\n\n".join(parts)


def _imported(pool: Document) -> str:
    """The datasets of a pool that is imported."""
    found = pool["imported"]
    as_name = "" if found["name"] == pool["name"] else f" as {found['name']}"
    how = "read-only" if found["read_only"] else "WRITABLE: take snapshots only"
    lines = [f"{pool['name']} is imported{as_name}, {how}"]
    if found["error"]:
        return "\n".join([*lines, f"  its datasets cannot be listed: {found['error']}"])
    rows: list[tuple[str, ...]] = [("DATASET", "TYPE", "USED", "TAKE IT WITH")]
    for each in found["datasets"][:DATASETS_SHOWN]:
        locked = " (encrypted, no key)" if each["locked"] else ""
        rows.append((each["name"], each["type"] + locked, size(each["used"]), "  or  ".join(each["sources"])))
    lines += [f"  {line}" for line in table(rows, right=(2,)).splitlines()]
    lines += [f"  {line}" for line in rest(len(found["datasets"]) - DATASETS_SHOWN)]
    return "\n".join(lines)
