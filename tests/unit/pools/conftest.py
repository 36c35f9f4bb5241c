# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A rescue system for each test, and the reader of the fixtures where the tests find it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "fixtures" / "zfs"))

from unit.pools.support import Rescue

from asl import system


@pytest.fixture
def rescue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rescue:
    """A live root with ZFS loaded."""
    found = Rescue(tmp_path)
    monkeypatch.setattr(system, "SEARCH", f"{found.bin}:/usr/sbin:/sbin:/usr/bin:/bin")
    return found
