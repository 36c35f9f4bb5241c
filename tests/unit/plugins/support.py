# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of the collection's plugins call them with."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

CHECKOUT = Path(__file__).resolve().parents[3]
MODULES = (
    "asl_host_key", "asl_image", "asl_ingest", "asl_overlay", "asl_pool_import", "asl_preflight", "asl_report", "asl_restore", "asl_token",
    "asl_verify",
)  # fmt: skip


class Outcome(NamedTuple):
    """How a module ended: 0, or 1 for a failure, and what it returned."""

    rc: int
    result: dict[str, Any]


Call = Callable[..., Outcome]


def outcome(rc: object, printed: str) -> Outcome:
    """The outcome of a module from its exit status and its last line."""
    result: Mapping[str, Any] = json.loads(printed.strip().splitlines()[-1])
    return Outcome(int(str(rc)), {key: value for key, value in result.items() if key != "invocation"})
