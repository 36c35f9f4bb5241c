# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One command, and what it took."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Optional

from rig.process import RigError

# GNU time, a small program: a child of this Python would be said to have had this Python's memory, which it was forked from.
TIME = "/usr/bin/time"


class Cost(NamedTuple):
    """Seconds by the clock, seconds of CPU of all processes, and the memory of the largest of them in bytes at its peak."""

    wall: float
    cpu: float
    peak: int


def cost(
    argv: Sequence[str], env: Mapping[str, str], cwd: Optional[Path] = None, *, scratch: Path, codes: Sequence[int] = (0,)
) -> Cost:
    """Run ARGV to its end. SCRATCH: a folder for what is noted meanwhile. Raises RigError with the program's own last words, for an exit
    status that is not one of CODES."""
    noted, said = scratch / "time", scratch / "said"
    full = [TIME, "--format=%U %S %M", f"--output={noted}", "--", *argv]
    with said.open("wb") as out:
        began = time.monotonic()
        done = subprocess.run(full, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=dict(env), cwd=cwd, check=False)
        wall = time.monotonic() - began
    if done.returncode not in codes:
        words = said.read_text(errors="replace").splitlines()[-6:]
        raise RigError(f"{' '.join(argv)} ended with {done.returncode}: {' / '.join(words)}")
    user, system, peak = noted.read_text().split()[-3:]
    return Cost(wall, float(user) + float(system), int(peak) * 1024)


def stored(folder: Path) -> int:
    """Bytes of all files below FOLDER."""
    return sum(each.lstat().st_size for each in _below(folder))


def shape(folder: Path) -> tuple[int, int]:
    """(names below FOLDER, bytes of its regular files): what a restore has to give back."""
    names, size = 0, 0
    for each in _below(folder, everything=True):
        names += 1
        if each.is_file() and not each.is_symlink():
            size += each.lstat().st_size
    return names, size


def _below(folder: Path, *, everything: bool = False) -> list[Path]:
    found = []
    for where, folders, files in os.walk(folder):
        found += [Path(where, name) for name in (*files, *(folders if everything else ()))]
    return found
