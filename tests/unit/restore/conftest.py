# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of a restore begin with."""

from __future__ import annotations

from pathlib import Path

import pytest
from unit.restore.support import Shelf


@pytest.fixture
def shelf() -> Shelf:
    """A store in memory, with nothing in it."""
    return Shelf()


@pytest.fixture
def back(tmp_path: Path) -> Path:
    """Where a tree is restored to; it is not there yet."""
    return tmp_path / "back"
