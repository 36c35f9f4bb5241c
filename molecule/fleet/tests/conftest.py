# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of a fleet in trouble may ask for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

RUN = Path("/run/asl-rig/molecule")


@pytest.fixture(scope="session")
def report() -> dict[str, dict[str, Any]]:
    """The hosts of report.json by name."""
    return {each["host"]: each for each in json.loads((RUN / "reports/report.json").read_text())["hosts"]}


@pytest.fixture(scope="session")
def answers() -> list[dict[str, Any]]:
    """What every task of the rescue answered, in order."""
    (path,) = (RUN / "record").glob("*-rescue.jsonl")
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture(scope="session")
def said() -> str:
    """What the operator saw."""
    return (RUN / "said.txt").read_text()
