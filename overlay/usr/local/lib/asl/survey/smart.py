# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a disk says of its own health: smartctl's JSON (smartmontools 7.0 and newer), asked read-only and with a deadline.

passed       the disk's own verdict, None where it gives none       hours        powered on
temperature  degrees Celsius                                        reallocated  sectors replaced by spare ones (ATA attribute 5)
pending      sectors it could not read and waits to replace (197)   uncorrectable  sectors given up (198)
reported     errors it could not correct (187)                      crc_errors   on the cable (199)
media_errors, percentage_used, spare: NVMe's own counts             defects      grown defects of a SCSI disk
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Optional

from asl import system
from asl.errors import Unavailable

# ATA attributes by number (ACS; the numbers are the same with all vendors that have them).
_ATTRIBUTES = {5: "reallocated", 187: "reported", 197: "pending", 198: "uncorrectable", 199: "crc_errors"}
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
        told = json.loads(done.stdout)
    except ValueError:
        return {"error": done.words}
    if done.rc is None or done.rc & _NOT_OPENED:
        messages = _at(told, "smartctl", "messages")
        said = [str(_at(each, "string"))[:200] for each in messages[:5]] if isinstance(messages, list) else []
        return {"error": "; ".join(said) or done.words}
    return read(told)


def read(told: Any) -> dict[str, Any]:
    """The facts in smartctl's document TOLD, whatever else is in it; what is not there is not in the answer."""
    log = "nvme_smart_health_information_log"
    found = {
        "passed": _at(told, "smart_status", "passed"),
        "hours": _at(told, "power_on_time", "hours"),
        "temperature": _at(told, "temperature", "current"),
        "media_errors": _at(told, log, "media_errors"),
        "percentage_used": _at(told, log, "percentage_used"),
        "spare": _at(told, log, "available_spare"),
        "defects": _at(told, "scsi_grown_defect_list"),
    }
    table = _at(told, "ata_smart_attributes", "table")
    for each in table if isinstance(table, list) else ():
        number = _at(each, "id")
        if isinstance(number, int) and number in _ATTRIBUTES:
            found[_ATTRIBUTES[number]] = _at(each, "raw", "value")
    return {key: value for key, value in found.items() if isinstance(value, int)}


def _at(value: Any, *names: str) -> Any:
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value


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
    "pending": "sectors pending", "uncorrectable": "sectors given up", "reallocated": "sectors reallocated", "reported": "errors reported",
    "media_errors": "media errors", "defects": "grown defects", "crc_errors": "errors on the cable",
}  # fmt: skip
