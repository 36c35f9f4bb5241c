# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""No unit test touches the state of this machine, or finds what another one has left."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from unit.admin.support import Taken, taken


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """/var/lib/asl and /run/asl of this test's own, for what runs in this process and what it starts; the former is returned. A tool's
    main() sets how it is stopped: that is put back."""
    monkeypatch.setenv("ASL_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("ASL_RUN_DIR", str(tmp_path / "run"))
    monkeypatch.delenv("ASL_STORE", raising=False)
    before = signal.getsignal(signal.SIGTERM)
    yield tmp_path / "state"
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def two(tmp_path: Path) -> Taken:
    """A store with two snapshots."""
    return taken(tmp_path)
