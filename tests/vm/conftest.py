# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One machine for the whole suite, booted once; every test begins with memory and disks as they were right after that."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import pytest
from rig.places import CHECKOUT

from vm.machine import Machine

DISKS = {"one": "256M", "two": "256M", "three": "256M"}


@pytest.fixture(scope="session")
def booted() -> Iterator[Machine]:
    # Another checkout may run its own at the same time.
    machine = Machine(f"suite-{hashlib.sha256(str(CHECKOUT).encode()).hexdigest()[:8]}")
    try:
        machine.up(DISKS)
        machine.lay_tools()
        machine.save()
        yield machine
    finally:
        machine.down()


@pytest.fixture
def vm(booted: Machine) -> Machine:
    """The machine with empty disks, the tools of this checkout and no ZFS module loaded."""
    if not booted.alive():
        booted.revive()
    booted.reset()
    return booted
