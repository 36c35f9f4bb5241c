# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Running other programs, and the one error of the rig."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Sequence
from typing import Optional


class RigError(Exception):
    """The rig could not be built; one sentence for the person who started it."""


def run(
    argv: Sequence[str], *, check: bool = True, timeout: float = 900, stdin: Optional[str] = None, env: Optional[dict[str, str]] = None
) -> subprocess.CompletedProcess[str]:
    """Run ARGV to its end and return what it printed. Raises RigError with the program's own last words."""
    try:
        done = subprocess.run(
            argv,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            input=stdin or "",
            check=False,
            env={**os.environ, "LC_ALL": "C", **(env or {})},
        )
    except FileNotFoundError as error:
        raise RigError(f"{argv[0]} is not installed; run 'make setup' first") from error
    except subprocess.TimeoutExpired as error:
        raise RigError(f"{shlex.join(argv)} did not end within {timeout:.0f} s") from error
    if check and done.returncode:
        words = (done.stderr.strip() or done.stdout.strip()).splitlines()[-6:]
        raise RigError(f"{shlex.join(argv)} ended with {done.returncode}: {' / '.join(words)}")
    return done


def output(argv: Sequence[str], *, timeout: float = 900) -> str:
    """What ARGV prints, without the last newline."""
    return run(argv, timeout=timeout).stdout.strip()
