# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Trees are made once."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings
from unit.intake import support

from asl.store import init_store

# A slow machine is no failure.
settings.register_profile("asl", deadline=None, print_blob=True)
settings.load_profile("asl")


@pytest.fixture(autouse=True)
def _with_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ASL_NO_NATIVE", raising=False)


@pytest.fixture(scope="session")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree that has been left alone for long enough. Not to be changed by a test."""
    folder = support.grow(tmp_path_factory.mktemp("source") / "tree")
    support.settle(folder)
    return folder


@pytest.fixture
def store(tmp_path: Path) -> str:
    """An empty store."""
    location = str(tmp_path / "store")
    init_store(location)
    return location
