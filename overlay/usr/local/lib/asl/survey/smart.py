# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a disk says of its own health: smartctl's JSON (smartmontools 7.0 and newer), asked read-only and with a deadline.

passed       the disk's own verdict, None where it gives none       hours        powered on
temperature  degrees Celsius                                        reallocated  sectors replaced by spare ones (ATA attribute 5)
pending      sectors it could not read and waits to replace (197)   uncorrectable  sectors given up (198)
media_errors, percentage_used, spare: NVMe's own counts             defects      grown defects of a SCSI disk
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Optional

from asl import system
from asl.errors import Unavailable

# ATA attributes by number (ACS; the numbers are the same with all vendors that have them).
_ATTRIBUTES = {5: "reallocated", 197: "pending", 198: "uncorrectable"}
# Bits of smartctl's exit status (smartctl(8)): 0 the command line, 1 the device could not be opened, 2 some command failed.
_NOT_OPENED = 0b11


def health(path: str, seconds: float) -> Optional[dict[str, Any]]:
    """The health of the disk at PATH; `error` where it does not say. None where there is no smartctl."""
    try:
        done = system.run(["smartctl", "--json=c", "-i", "-H", "-A", path], seconds)
    except Unavailable:
        return None
    if done.timed_out:
        return {"error": done.words}
    try:
        told: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        return {"error": done.words}
    messages = [each.get("string", "") for each in told.get("smartctl", {}).get("messages", ())]
    if done.rc is None or done.rc & _NOT_OPENED:
        return {"error": "; ".join(messages) or done.words}
    return read(told)


def read(told: Mapping[str, Any]) -> dict[str, Any]:
    """The facts in smartctl's document TOLD; what is not there is not in the answer."""
    nvme = told.get("nvme_smart_health_information_log", {})
    found = {
        "passed": told.get("smart_status", {}).get("passed"),
        "hours": told.get("power_on_time", {}).get("hours"),
        "temperature": told.get("temperature", {}).get("current"),
        "media_errors": nvme.get("media_errors"),
        "percentage_used": nvme.get("percentage_used"),
        "spare": nvme.get("available_spare"),
        "defects": told.get("scsi_grown_defect_list"),
    }
    for each in told.get("ata_smart_attributes", {}).get("table", ()):
        if each.get("id") in _ATTRIBUTES:
            found[_ATTRIBUTES[each["id"]]] = each.get("raw", {}).get("value")
    return {key: value for key, value in found.items() if value is not None}


def words(told: Optional[Mapping[str, Any]]) -> str:
    """The health in one line, bad news first; "" where nothing is known."""
    if not told:
        return ""
    if "error" in told:
        return f"SMART says nothing: {told['error']}"
    bad = [f"{told[key]} {text}" for key, text in _BAD.items() if told.get(key)]
    verdict = {True: "SMART passed", False: "SMART FAILED"}.get(told.get("passed"), "no SMART verdict")  # type: ignore[arg-type]
    more = [f"{told['hours']} h" if "hours" in told else "", f"{told['temperature']} C" if "temperature" in told else ""]
    return ", ".join([verdict, *bad, *(each for each in more if each)])


_BAD = {
    "pending": "sectors pending", "uncorrectable": "sectors given up", "reallocated": "sectors reallocated", "media_errors": "media errors",
    "defects": "grown defects",
}  # fmt: skip
