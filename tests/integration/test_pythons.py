# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine's unit tests on the oldest and the newest Python it is written for, where these are on the machine."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Optional

import pytest
from integration.support import CHECKOUT
from rig import bootstrap


def find(version: str) -> Optional[str]:
    """A Python of exactly VERSION: on PATH, or among those that pyenv keeps."""
    kept = sorted((Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions").glob(f"{version}.*/bin/python"))
    for candidate in (shutil.which(f"python{version}"), *map(str, kept)):
        if candidate is None:
            continue
        probe = [candidate, "-c", "import sys, venv; print('%d.%d' % sys.version_info[:2])"]
        done = subprocess.run(probe, capture_output=True, text=True, check=False)
        if done.returncode == 0 and done.stdout.strip() == version:
            return candidate
    return None


@pytest.mark.parametrize("version", ["3.9", "3.13"])
def test_engine_on(version: str) -> None:
    python = find(version)
    if python is None:
        pytest.skip(f"Python {version} is NOT on this machine: the engine was not tried on it")
    requirements = CHECKOUT / "tests" / "requirements-engine.txt"
    with bootstrap.alone():
        inside = bootstrap.environment(bootstrap.CACHE / f"venv-{version}", requirements, python)
    argv = [str(inside), "-B", "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/unit", "--ignore=tests/unit/plugins"]
    done = subprocess.run(argv, cwd=CHECKOUT, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    print(done.stdout.splitlines()[-1] if done.stdout else done.stderr)
    assert done.returncode == 0, f"Python {version}:\n{done.stdout[-6000:]}{done.stderr[-2000:]}"
