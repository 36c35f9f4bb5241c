# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One machine for the whole suite, booted once; every test begins with memory and disks as they were right after that."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator

import pytest
from rig.places import CHECKOUT

from vm.machine import Machine

DISKS = {"one": "256M", "two": "256M", "three": "256M"}


@pytest.fixture(scope="session")
def booted() -> Iterator[Machine]:
    """With ASL_VM=NAME it is the machine of that name, left running and used again by the next run, which saves booting it."""
    named = os.environ.get("ASL_VM")
    # Another checkout may run its own at the same time.
    machine = Machine(named or f"suite-{hashlib.sha256(str(CHECKOUT).encode()).hexdigest()[:8]}")
    try:
        if not (named and machine.alive()):
            machine.up(DISKS)
            machine.lay_tools()
            machine.save()
        yield machine
    finally:
        if not named:
            machine.down()


@pytest.fixture
def vm(booted: Machine) -> Machine:
    """The machine with empty disks, the tools of this checkout and no ZFS module loaded."""
    if not booted.alive():
        booted.revive()
    booted.reset()
    return booted
