# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of remote mode may ask for."""

from __future__ import annotations

import json
from collections.abc import Callable
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
def hosts(request: pytest.FixtureRequest) -> Callable[[str], Host]:
    """A host by its name."""
    return lambda name: testinfra.get_host(f"ansible://{name}", ansible_inventory=request.config.getoption("ansible_inventory"))


@pytest.fixture
def gateway(hosts: Callable[[str], Host]) -> Host:
    return hosts("gateway-01")


@pytest.fixture
def snapshots(gateway: Host) -> list[dict[str, Any]]:
    found = gateway.check_output("asl-admin snapshots --store /srv/asl/rescue-domain --json")
    listed: list[dict[str, Any]] = json.loads(found)["snapshots"]
    return listed
