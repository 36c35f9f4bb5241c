# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of a rescued host may ask for."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from testinfra.host import Host

RUN = Path("/run/asl-rig/molecule")


@pytest.fixture
def tool(host: Host) -> Callable[..., Any]:
    """Run one of the three tools on the host and return its document; an exit status but 0 fails the test."""

    def run(command: str, code: int = 0) -> Any:
        done = host.run(f"{command} --json")
        assert done.rc == code, f"{command} ended with {done.rc}: {done.stdout}{done.stderr}"
        return json.loads(done.stdout)

    return run


@pytest.fixture(scope="session")
def scene() -> Any:
    """The crashed image as it was before anybody looked at it."""
    return json.loads((RUN / "scene.json").read_text())


@pytest.fixture(scope="session")
def runs() -> list[list[dict[str, Any]]]:
    """What every module answered in the rescues of this scenario: check mode, the first, the second, the one after the kill."""
    files = sorted((RUN / "record").glob("*.jsonl"))
    rows = [[json.loads(line) for line in path.read_text().splitlines()] for path in files]
    rescues = [run for run in rows if any(row["action"].endswith("asl_ingest") for row in run)]
    assert len(rescues) == 4, [path.name for path in files]
    return rescues
