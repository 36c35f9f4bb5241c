# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""logging.conf: how much is logged, to where, in which form."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Optional

from asl import paths
from asl.config import parse, values
from asl.config.main import convert


class Logging(NamedTuple):
    """``target`` is ``journal``, ``stderr`` or the absolute path of a file under /var/lib/asl."""

    level: str = "info"
    target: str = "journal"
    format: str = "text"


def _target(text: str) -> str:
    if text in ("journal", "stderr"):
        return text
    try:
        return values.path_under("/var/lib/asl", paths.state())(text)
    except ValueError as error:
        raise ValueError("must be journal, stderr or a file under /var/lib/asl") from error


_KEYS: dict[str, Callable[[str], Any]] = {
    "level": values.choice("debug", "info", "warning", "error"),
    "target": _target,
    "format": values.choice("text", "json"),
}


def load_logging(path: Optional[str] = None, overrides: Optional[Mapping[str, str]] = None) -> Logging:
    """logging.conf, typed and checked. Raises Usage (CONFIG_INVALID) with file:line."""
    entries = parse.read(path, paths.LOGGING, overrides or {})
    parse.refuse_unknown(entries, _KEYS)
    return Logging(**{key: convert(key, entry, _KEYS[key]) for key, entry in entries.items()})
