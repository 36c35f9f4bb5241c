# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The distribution asl-gateway: a wheel that holds the engine, and runs where nothing else of this project is."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from rig.gateway import CHECKOUT


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    argv = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(CHECKOUT / "gateway")]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (found,) = folder.glob("*.whl")
    return found


def test_the_engine_is_in_it_and_nothing_that_was_compiled_for_one_machine(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert {"asl/__init__.py", "asl/store/writer.py", "asl_gateway/main.py"} <= set(names)
    assert not [name for name in names if name.endswith((".so", ".pyc")) or name.startswith("asl/cli/../")]


def test_it_runs_in_an_empty_environment(wheel: Path, tmp_path: Path) -> None:
    """pip installs it, with what it says it needs."""
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
    python, command = venv / "bin" / "python", venv / "bin" / "asl-gateway"
    subprocess.run([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", str(wheel)], check=True)
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    helped = subprocess.run([str(command), "--help"], env=env, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert "serve the domains over HTTPS" in helped.stdout
    argv = [str(command), "check", "--config", str(tmp_path / "none")]
    refused = subprocess.run(argv, env=env, capture_output=True, text=True, check=False)
    assert refused.returncode == 2 and "CONFIG_INVALID" in refused.stderr, refused.stderr
    where = subprocess.run(
        [str(python), "-c", "import asl, asl_gateway; print(asl.__file__, asl_gateway.__file__)"], env=env, capture_output=True, text=True,
        check=True, cwd=tmp_path,
    ).stdout.split()  # fmt: skip
    assert all(name.startswith(str(venv)) for name in where), where
