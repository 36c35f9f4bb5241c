# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Logging as logging.conf says: to the journal, to stderr, or to a file under /var/lib/asl; as text or as JSON lines.

The journal is reached through stderr: systemd connects it, and a line may begin with its priority (sd-daemon(3)).
"""

from __future__ import annotations

import json
import logging
import os
from typing import Optional

from asl.config import load_logging
from asl.config.logconf import Logging

_PRIORITIES = ((logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6), (0, 7))


class _Text(logging.Formatter):
    """One line a record, with the journal's priority in front where the journal reads it."""

    def __init__(self, *, priority: bool) -> None:
        super().__init__("%(message)s" if priority else "%(asctime)s %(levelname)s %(name)s: %(message)s")
        self._priority = priority

    def format(self, record: logging.LogRecord) -> str:
        line = super().format(record).replace("\n", " ")
        if not self._priority:
            return line
        return f"<{next(number for level, number in _PRIORITIES if record.levelno >= level)}>{line}"


class _Json(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        fields = {
            "time": round(record.created, 3),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        return json.dumps(fields)


def configure(settings: Optional[Logging] = None) -> None:
    """Set up logging for this process. Raises Usage for an invalid logging.conf, OSError for a file that cannot be written."""
    chosen = settings or load_logging()
    if chosen.target in ("journal", "stderr"):
        handler: logging.Handler = logging.StreamHandler()
    else:
        os.makedirs(os.path.dirname(chosen.target), mode=0o700, exist_ok=True)
        handler = logging.FileHandler(chosen.target, encoding="utf-8")
    # JOURNAL_STREAM is set by systemd where stderr is the journal; elsewhere the priority would only be noise.
    under_journal = chosen.target == "journal" and "JOURNAL_STREAM" in os.environ
    handler.setFormatter(_Json() if chosen.format == "json" else _Text(priority=under_journal))
    root = logging.getLogger("asl")
    root.handlers[:] = [handler]
    root.setLevel(chosen.level.upper())
    root.propagate = False
