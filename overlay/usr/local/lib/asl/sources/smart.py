# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a disk says of its own health, by smartctl (smartmontools) where it is installed. Asking writes nothing to the disk."""

from __future__ import annotations

import json
from typing import Any, Optional

from asl import system

DEADLINE = 30.0
# SMART attributes (ATA) that tell of a dying disk, by their numbers.
TELLING = {5: "reallocated_sectors", 187: "reported_uncorrect", 197: "pending_sectors", 198: "offline_uncorrectable", 199: "crc_errors"}


def health(device: str) -> Optional[dict[str, Any]]:
    """What `smartctl --json -x DEVICE` says, in few words; None where there is no smartctl, or no answer within DEADLINE.

    Keys: passed (bool), temperature (degrees Celsius), power_on_hours, the attributes in TELLING, media_errors (NVMe), said (why it
    told nothing). Only what it told is there."""
    if system.find_tool("smartctl") is None:
        return None
    try:
        done = system.run(["smartctl", "--json", "-x", device], DEADLINE)
    except OSError:
        return None
    return None if done.timed_out else parse(done.stdout)


def parse(text: bytes) -> Optional[dict[str, Any]]:
    """The telling part of smartctl's JSON (format version 1.x); None for what is not JSON."""
    try:
        told = json.loads(text)
    except ValueError:
        return None
    if not isinstance(told, dict):
        return None
    found: dict[str, Any] = {
        "passed": _at(told, "smart_status", "passed"),
        "temperature": _at(told, "temperature", "current"),
        "power_on_hours": _at(told, "power_on_time", "hours"),
        "media_errors": _at(told, "nvme_smart_health_information_log", "media_errors"),
    }
    table = _at(told, "ata_smart_attributes", "table")
    for row in table if isinstance(table, list) else ():
        if isinstance(row, dict) and row.get("id") in TELLING:
            found[TELLING[row["id"]]] = _at(row, "raw", "value")
    messages = _at(told, "smartctl", "messages")
    if isinstance(messages, list) and messages and found["passed"] is None:
        found["said"] = str(_at(messages[0], "string"))[:200]
    return {name: value for name, value in found.items() if isinstance(value, (bool, int, str))}


def _at(value: Any, *names: str) -> Any:
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value
