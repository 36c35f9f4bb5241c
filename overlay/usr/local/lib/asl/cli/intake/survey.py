# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""asl-intake survey: every disk, what is on it, and what could be taken."""

from __future__ import annotations

import argparse
import time
from typing import Any, Optional

from asl.cli.context import Context
from asl.cli.output import size, table

HELP = "show every disk, what is on it and what could be taken; changes nothing"


def arguments(parser: argparse.ArgumentParser) -> None:
    """--device and --deadline."""
    parser.add_argument("--device", metavar="PATH", action="append", default=[], help="only this device or image file; may be repeated")
    parser.add_argument(
        "--deadline", metavar="SECONDS", type=float, default=30.0, help="how long each device may take (default: %(default)g)"
    )


def run(args: argparse.Namespace, context: Context) -> int:
    """Exit 0 also when a disk does not answer: that is what the survey says of it."""
    from asl.survey import survey

    result = survey(args.device, seconds=args.deadline)
    context.document(result)
    context.text("\n\n".join([render(result["disks"]), *([render_pools(result["pools"])] if result["pools"] else [])]))
    return 0


def render(disks: list[dict[str, Any]]) -> str:
    """The survey as a table, a line for each disk and partition, then what is wrong with each disk."""
    if not disks:
        return "no disks were found"
    rows: list[tuple[str, ...]] = [("DEVICE", "SIZE", "WHAT", "STATE", "TAKE IT WITH")]
    notes = []
    for disk in disks:
        name = " ".join(each for each in (disk["model"], disk["serial"] and f"S/N {disk['serial']}") if each)
        what = name or disk["kind"] if disk["volume"] is None else _volume(disk["volume"])
        rows.append((disk["device"], size(disk["size"]), what, _state(disk, disk["volume"]), _best(disk)))
        for part in disk["partitions"]:
            label = part["device"] or f"partition {part['number']}"
            what = _volume(part["volume"]) if part["volume"] else f"({part['type_name']})"
            rows.append((f"  {label}", size(part["size"]), what, _state(part, part["volume"]), _best(part)))
        notes += [f"{disk['device']}: {each}" for each in _notes(disk)]
    return "\n".join([table(rows, right=(1,)), *(["", *notes] if notes else [])])


def render_pools(pools: list[dict[str, Any]]) -> str:
    """The ZFS pools as a table, then what is wrong with each."""
    from asl.survey.pools import HAZARDS

    rows: list[tuple[str, ...]] = [("POOL", "GUID", "STATE", "LAST WRITTEN", "BY", "TOP-LEVEL", "DEVICES")]
    notes = []
    for pool in pools:
        when = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(pool["last_write"])) if pool["last_write"] is not None else ""
        seen = f"{pool['top_level_seen']} of {pool['top_level']}"
        devices = ", ".join(member["path"] for member in pool["members"])
        rows.append((pool["name"], pool["guid"], pool["state"], when, pool["hostname"] or "", seen, devices))
        notes += [f"{pool['name']} ({pool['guid']}): {HAZARDS[code]} ({code})" for code in pool["hazards"]]
    return "\n".join([table(rows), *(["", *notes] if notes else [])])


def _volume(volume: Optional[dict[str, Any]]) -> str:
    if volume is None:
        return ""
    words = [volume["type"], f'"{volume["label"]}"' if volume["label"] else "", *(f"[{note}]" for note in volume["notes"])]
    return " ".join(word for word in words if word)


def _state(item: dict[str, Any], volume: Optional[dict[str, Any]]) -> str:
    words = []
    if volume is not None and volume["journal"]:
        words.append("journal not replayed")
    elif volume is not None and volume["dirty"] is not None:
        words.append("dirty" if volume["dirty"] else "clean")
    if item["mounted"]:
        words.append(f"mounted at {item['mounted'][0]}")
    words += [f"held by {each}" for each in item["held_by"]]
    return ", ".join(words)


def _best(item: dict[str, Any]) -> str:
    return item["sources"][0] if item["sources"] else ""


def _notes(disk: dict[str, Any]) -> list[str]:
    """What must be said of a disk: it does not answer, is damaged, or somebody may write to it."""
    notes = [f"cannot be read: {disk['error']}"] if disk["error"] else []
    notes += [f"unsafe: {each}" for each in disk["unsafe"]]
    notes += disk["table"]["problems"] if disk["table"] else []
    if any(part["device"] is None for part in disk["partitions"]):
        notes.append(f"its partitions have no nodes; losetup --find --show --read-only --partscan {disk['device']} makes them")
    notes += [f"read error at {each}" for each in disk["read_errors"]]
    health = disk["health"] or {}
    if health.get("io_errors"):
        notes.append(f"the kernel counted {health['io_errors']} commands that ended with an error")
    return notes
