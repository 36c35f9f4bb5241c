# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the rig keeps its things."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
RUNS = Path("/run/asl-rig")


def cache(*parts: str) -> Path:
    """A path under the cache; its folder exists afterwards."""
    base = Path(os.environ.get("ASL_CACHE") or Path.home() / ".cache" / "asl-rescue")
    path = base.joinpath(*parts)
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


@contextlib.contextmanager
def locked(name: str) -> Iterator[None]:
    """Hold the rig-wide lock NAME; a second process waits. The kernel lets go of it when the holder dies."""
    RUNS.mkdir(parents=True, exist_ok=True)
    with (RUNS / f"{name}.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
