# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a gateway is reached: what is decided before anything is sent, so that a store in a directory needs nothing of HTTPS and TLS."""

from __future__ import annotations

from typing import NamedTuple, Optional

# Seconds since the last answer: a gateway or its object store may restart in the middle of an intake.
PATIENCE = 900.0
SILENCE = 60.0  # for one read or write on a connection
CONNECTIONS = 4


class Plan(NamedTuple):
    """Where a cache lies, its bytes at most, and whether only what this very process has fetched may be taken from it: a proof that the
    store has its bytes must not rest on copies."""

    folder: str
    size: int
    fresh: bool = False


class Remote(NamedTuple):
    """How a gateway is reached. `token_file` holds the token and is read when it is needed; bandwidth in bytes a second, 0: no limit;
    seconds of silence after which a connection is given up, and of patience since the last answer; `cache` keeps what is read."""

    url: str
    domain: str
    token_file: Optional[str] = None
    ca: Optional[str] = None
    bandwidth: int = 0
    connections: int = CONNECTIONS
    silence: float = SILENCE
    patience: float = PATIENCE
    cache: Optional[Plan] = None
