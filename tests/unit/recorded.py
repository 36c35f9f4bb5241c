# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A machine as a folder: what its /proc and /sys say, recorded or made up."""

from __future__ import annotations

from pathlib import Path


def tree(root: Path, files: dict[str, str]) -> str:
    """Lay FILES, text by path, below ROOT, which is returned."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return str(root)
