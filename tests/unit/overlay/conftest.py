# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bundles of this checkout, roots to lay them on, and the overlay room as a command."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Optional

import pytest
from unit.overlay.support import OVERLAY, Answer, Command, Look

from asl.overlay import bundle


@pytest.fixture(scope="session")
def native(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of built libraries: their bytes do not matter to the overlay."""
    folder = tmp_path_factory.mktemp("native")
    for machine in ("x86_64", "aarch64", "riscv64"):
        (folder / machine).mkdir()
        (folder / machine / "libasl.so").write_bytes(f"library for {machine}".encode())
    return folder


@pytest.fixture(scope="session")
def unpacked(tmp_path_factory: pytest.TempPathFactory, native: Path) -> Path:
    """The bundle of this checkout as the target sees it."""
    folder, packed = tmp_path_factory.mktemp("bundle"), io.BytesIO()
    bundle.write(bundle.collect(OVERLAY, native), packed)
    packed.seek(0)
    with tarfile.open(fileobj=packed) as tar:
        tar.extractall(folder, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))  # type: ignore[arg-type]
    return folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An empty root, with the folders that every Linux has."""
    top = tmp_path / "root"
    for name in ("etc", "mnt", "run", "usr/local/bin", "usr/local/lib", "var/lib"):
        (top / name).mkdir(parents=True)
    return top


@pytest.fixture
def overlay(unpacked: Path, root: Path) -> Command:
    """``python3 -B -m asl.overlay COMMAND …`` from the unpacked bundle, on the root."""

    def run(command: str, *arguments: str, with_bundle: bool = True, before: Optional[Callable[[], None]] = None) -> Answer:
        argv = [sys.executable, "-B", "-m", "asl.overlay", command, "--json", "--root", str(root)]
        if with_bundle and command != "compare":
            argv += ["--bundle", str(unpacked)]
        done = subprocess.run(
            [*argv, *arguments],
            env={**os.environ, "PYTHONPATH": str(unpacked / "root/usr/local/lib")},
            capture_output=True,
            text=True,
            preexec_fn=before,
            check=False,
            timeout=120,
        )
        assert done.stdout, done.stderr
        return Answer(done.returncode, json.loads(done.stdout), done.stderr)

    return run


@pytest.fixture
def snapshot(root: Path) -> Look:
    """Every path below the root with its mode and its bytes or its target; but for byte code, which any start of a tool may keep."""

    def look() -> dict[str, tuple[int, bytes]]:
        found: dict[str, tuple[int, bytes]] = {}
        for path in sorted(each for each in root.rglob("*") if each.parent != root / "run/asl/bytecode"):
            content = os.readlink(path).encode() if path.is_symlink() else b"" if path.is_dir() else path.read_bytes()
            found[str(path.relative_to(root))] = (path.lstat().st_mode, content)
        return found

    return look
