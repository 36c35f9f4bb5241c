# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of the overlay call it with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

CHECKOUT = Path(__file__).resolve().parents[3]
OVERLAY = CHECKOUT / "overlay"


class Answer(NamedTuple):
    """How a command ended, and the document it printed."""

    rc: int
    document: dict[str, Any]
    stderr: str


Command = Callable[..., Answer]
Look = Callable[[], dict[str, tuple[int, bytes]]]
