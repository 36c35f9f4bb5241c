# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The frozen vectors of all formats."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

# A slow machine is no failure.
settings.register_profile("asl", deadline=None, print_blob=True)
settings.load_profile("asl")

VECTORS = Path(__file__).resolve().parents[2] / "vectors" / "formats.json"


@pytest.fixture(scope="session")
def vectors() -> Any:
    return json.loads(VECTORS.read_text(encoding="ascii"))
