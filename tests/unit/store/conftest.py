# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Small stores for tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

from asl.store import init_store

# A slow machine is no failure.
settings.register_profile("asl", deadline=None, print_blob=True)
settings.load_profile("asl")


@pytest.fixture
def root(tmp_path: Path) -> str:
    """An empty store."""
    location = str(tmp_path / "store")
    init_store(location)
    return location
