# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The well-known paths of the overlay contract. State lives under two roots and nowhere else.

Tests and unprivileged runs move them with ASL_STATE_DIR and ASL_RUN_DIR; nothing else in the engine reads these variables.
"""

from __future__ import annotations

import os

CONFIG = "/etc/asl/asl.conf"
FEDERATION = "/etc/asl/federation.conf"
LOGGING = "/etc/asl/logging.conf"


def state(*parts: str) -> str:
    """A path under /var/lib/asl: all mutable local state."""
    return os.path.join(os.environ.get("ASL_STATE_DIR") or "/var/lib/asl", *parts)


def run(*parts: str) -> str:
    """A path under /run/asl: what lasts until the next boot (tmpfs)."""
    return os.path.join(os.environ.get("ASL_RUN_DIR") or "/run/asl", *parts)
