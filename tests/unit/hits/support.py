# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""File systems that are filled before they are looked at."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from asl.sources.guard import set_read_only


def run(*argv: str) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()


@contextmanager
def mounted(image: Path, point: Path) -> Iterator[Path]:
    """IMAGE, mounted to be written. The kernel keeps the flag of a loop device for whatever file comes next: it is taken back."""
    device = run("losetup", "--find", "--show", str(image))
    try:
        set_read_only(device, False)
        run("mount", device, str(point))
        try:
            yield point
        finally:
            run("umount", str(point))
    finally:
        run("losetup", "--detach", device)
