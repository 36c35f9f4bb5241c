# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The three files of /etc/asl as frozen, typed values. Declarative only: nothing is ever written back."""

from __future__ import annotations

from asl.config.federation import Federation, Peer, load_federation
from asl.config.logconf import Logging, load_logging
from asl.config.main import Config, load

__all__ = ["Config", "Federation", "Logging", "Peer", "load", "load_federation", "load_logging"]
