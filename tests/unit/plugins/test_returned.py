# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every key of every RETURN was seen by a test. It runs last, after all others of this folder (conftest.py)."""

from __future__ import annotations

import pytest
from unit.plugins import returned
from unit.plugins.support import MODULES


@pytest.mark.parametrize("name", MODULES)
def test_every_documented_key_was_returned_to_a_test(name: str) -> None:
    missing = set(returned.paths(returned.documented(name))) - returned.seen.get(name, set())
    assert missing == set(), f"no test was given these by {name}"
