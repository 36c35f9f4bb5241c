# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What smartctl says: the JSON of smartmontools 7.4 for an ATA, an NVMe and a SCSI disk, cut down to what is read, and its failures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from asl import system
from asl.survey import smart

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures" / "smart"
RECORDED: dict[tuple[str, str], dict[str, Any]] = {
    ("7.3", "virtio"): {"error": "/dev/vda: Unable to detect device type"},
}
ATA: dict[str, Any] = {
    "smartctl": {"version": [7, 4], "exit_status": 0},
    "smart_status": {"passed": True},
    "ata_smart_attributes": {
        "table": [
            {"id": 5, "name": "Reallocated_Sector_Ct", "value": 99, "raw": {"value": 24, "string": "24"}},
            {"id": 9, "name": "Power_On_Hours", "value": 50, "raw": {"value": 44113, "string": "44113"}},
            {"id": 197, "name": "Current_Pending_Sector", "value": 100, "raw": {"value": 8, "string": "8"}},
            {"id": 198, "name": "Offline_Uncorrectable", "value": 100, "raw": {"value": 0, "string": "0"}},
        ]
    },
    "power_on_time": {"hours": 44113},
    "temperature": {"current": 33},
}
NVME: dict[str, Any] = {
    "smart_status": {"passed": False, "nvme": {"value": 4}},
    "nvme_smart_health_information_log": {"media_errors": 12, "percentage_used": 101, "available_spare": 3},
    "temperature": {"current": 71},
    "power_on_time": {"hours": 9000},
}
SCSI: dict[str, Any] = {"smart_status": {"passed": True}, "scsi_grown_defect_list": 5}


def test_ata() -> None:
    told = smart.read(ATA)
    assert told == {"passed": True, "hours": 44113, "temperature": 33, "reallocated": 24, "pending": 8, "uncorrectable": 0}
    assert smart.words(told) == "SMART passed, 8 sectors pending, 24 sectors reallocated, 44113 h, 33 C"


def test_nvme() -> None:
    told = smart.read(NVME)
    assert told == {"passed": False, "hours": 9000, "temperature": 71, "media_errors": 12, "percentage_used": 101, "spare": 3}
    assert smart.words(told) == "SMART FAILED, 12 media errors, 9000 h, 71 C"


def test_scsi() -> None:
    assert smart.words(smart.read(SCSI)) == "SMART passed, 5 grown defects"


def test_a_disk_without_a_verdict() -> None:
    assert smart.words(smart.read({})) == ""
    assert smart.words({"hours": 3}) == "no SMART verdict, 3 h"


@pytest.mark.parametrize(
    "told",
    [None, [], "text", {"smart_status": []}, {"temperature": 4}, {"ata_smart_attributes": {"table": [1, None, {"id": []}, {"id": 5}]}}],
)  # fmt: skip
def test_what_is_not_as_it_should_be_is_not_there(told: Any) -> None:
    assert smart.read(told) == {}


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A smartctl that replays what a real one printed."""
    monkeypatch.setattr(system, "SEARCH", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path / "smartctl"


def replay(tool: Path, document: dict[str, Any], status: int) -> None:
    tool.write_text(f"#!/bin/sh\n[ \"$1\" = --json=c ] || exit 9\n/bin/cat <<'END'\n{json.dumps(document)}\nEND\nexit {status}\n")
    tool.chmod(0o755)


def test_bits_that_are_no_failure_of_the_question(tool: Path) -> None:
    """Bits 3 to 7 of the exit status say something of the disk, not of the question (smartctl(8))."""
    replay(tool, ATA, 0b11111000)
    assert smart.health("/dev/sda", 10) == smart.read(ATA)


def test_a_disk_that_is_not_known_to_smartctl(tool: Path) -> None:
    message = "/dev/vda: Unable to detect device type"
    replay(tool, {"smartctl": {"messages": [{"string": message, "severity": "error"}], "exit_status": 1}}, 1)
    assert smart.health("/dev/vda", 10) == {"error": message}
    assert smart.words({"error": message}) == f"SMART says nothing: {message}"


def recorded() -> list[Path]:
    """What real versions of smartctl printed (tests/fixtures/smart/VERSION/KIND.json; platform and time taken out)."""
    return sorted(FIXTURES.glob("*/*.json"))


@pytest.mark.parametrize("path", recorded(), ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_what_real_versions_said(tool: Path, path: Path) -> None:
    document = json.loads(path.read_text())
    assert ".".join(map(str, document["smartctl"]["version"])) == path.parent.name
    replay(tool, document, document["smartctl"]["exit_status"])
    assert smart.health("/dev/sda", 10) == RECORDED[path.parent.name, path.stem]


def test_no_tool_and_no_answer(tool: Path) -> None:
    assert smart.health("/dev/sda", 10) is None
    tool.write_text("#!/bin/sh\nexec /bin/sleep 60\n")
    tool.chmod(0o755)
    told = smart.health("/dev/sda", 0.2)
    assert told is not None
    assert "no answer within" in told["error"]
