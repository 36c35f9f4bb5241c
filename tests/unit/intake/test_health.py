# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The health of a disk before and after, and the rule that stops reading when it is too hot: a real intake of a real block device."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from asl import system
from asl.intake import rescue
from asl.intake.request import Request
from asl.intake.run import run
from asl.sources.media import Media

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="loop devices need root")
SIZE = 6 << 20


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[str]:
    """A disk of random bytes."""
    (tmp_path / "image").write_bytes(os.urandom(SIZE))
    argv = ["losetup", "--find", "--show", "--read-only", str(tmp_path / "image")]
    device = subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()
    yield device
    subprocess.run(["losetup", "--detach", device], check=True)


@pytest.fixture
def smartctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A smartctl that prints what is in `told`, and is asked at every read."""
    (tmp_path / "bin").mkdir()
    tool = tmp_path / "bin" / "smartctl"
    tool.write_text(f"#!/bin/sh\nexec cat {tmp_path}/told\n")
    tool.chmod(0o755)
    monkeypatch.setattr(system, "SEARCH", f"{tmp_path}/bin:{system.SEARCH}")
    monkeypatch.setattr(rescue, "LOOK", 0.0)
    return tmp_path / "told"


def taken(disk: str, store: str, **media: Any) -> dict[str, Any]:
    source: dict[str, Any] = run(Request((f"device:{disk}",), store, "test", media=Media(**media)))["sources"][0]
    return source


def test_a_disk_that_is_too_hot_is_left_alone_and_goes_on_when_it_has_cooled(disk: str, store: str, smartctl: Path) -> None:
    smartctl.write_text(json.dumps({"temperature": {"current": 61}, "smart_status": {"passed": True}}))
    hot = taken(disk, store, max_temperature=55)
    assert hot["details"]["stopped"] == "the disk is at 61 degrees Celsius, more than 55"
    assert hot["bytes_unread"] == SIZE
    assert hot["details"]["smart"]["before"] == {"passed": True, "temperature": 61}
    smartctl.write_text(json.dumps({"temperature": {"current": 40}}))
    cool = taken(disk, store, max_temperature=55, retry="latest")
    assert (cool["bytes_unread"], cool["details"]["smart"]["after"]) == (0, {"temperature": 40})
    assert "stopped" not in cool["details"]


@pytest.mark.parametrize("told", ["", "[]", "{", '{"temperature": 3}', '{"temperature": {"current": "61"}}'])
def test_what_smartctl_does_not_say_stops_nothing(disk: str, store: str, smartctl: Path, told: str) -> None:
    smartctl.write_text(told)
    assert taken(disk, store, max_temperature=55)["bytes_unread"] == 0
