# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of remote mode may ask for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import testinfra
from testinfra.host import Host

RUN = Path("/run/asl-rig/molecule")


@pytest.fixture(scope="session")
def scene() -> Any:
    return json.loads((RUN / "scene.json").read_text())


@pytest.fixture
def gateway(request: pytest.FixtureRequest) -> Host:
    return testinfra.get_host("ansible://gateway-01", ansible_inventory=request.config.getoption("ansible_inventory"))


@pytest.fixture
def snapshots(gateway: Host) -> list[dict[str, Any]]:
    found = gateway.check_output("asl-admin snapshots --store /srv/asl/rescue-domain --json")
    listed: list[dict[str, Any]] = json.loads(found)["snapshots"]
    return listed
