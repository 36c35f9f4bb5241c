# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the engine could read a file of /etc/asl, asked before the file is anywhere near /etc/asl."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from asl.errors import Usage


def validate(name: str, text: bytes) -> None:
    """Raise Usage (CONFIG_INVALID) when the engine could not read TEXT as /etc/asl/NAME."""
    from asl import config

    loaders: dict[str, Callable[[str], object]] = {
        "asl.conf": config.load,
        "federation.conf": config.load_federation,
        "logging.conf": config.load_logging,
    }
    with tempfile.TemporaryDirectory(prefix="asl-conf-") as folder:
        path = os.path.join(folder, name)
        Path(path).write_bytes(text)
        try:
            loaders[name](path)
        except Usage as error:
            known_as = f"/etc/asl/{name}"
            place = str(error.fields.get("place", path)).replace(path, known_as)
            raise Usage(error.message.replace(path, known_as), reason=error.reason, hint=error.hint, place=place) from error
