# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The three launchers: found through links, no byte code, and a sentence on a Python that is too old."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest
from unit.overlay.support import OVERLAY

BIN = OVERLAY / "usr" / "local" / "bin"
TOOLS = ("asl-intake", "asl-admin", "asl-debug")


@pytest.mark.parametrize("tool", TOOLS)
def test_a_tool_finds_its_engine_through_a_link(tool: str, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(BIN / tool)
    done = subprocess.run([sys.executable, str(tmp_path / "link"), "--version"], capture_output=True, text=True, check=False, cwd="/")
    assert (done.returncode, done.stdout.split()[0]) == (0, tool)


@pytest.mark.parametrize("tool", TOOLS)
def test_a_python_that_is_too_old_is_told_in_a_sentence(tool: str) -> None:
    # The launcher itself is the real one; only the number it looks at is another.
    code = f"import sys, runpy; sys.version_info = (3, 8, 1, 'final', 0); runpy.run_path({str(BIN / tool)!r}, run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 4
    assert done.stderr.startswith(f"{tool}: Python 3.9 or newer is needed, and this is 3.8 [PYTHON_TOO_OLD]\n  next: ")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("tool", TOOLS)
def test_the_syntax_of_a_launcher_is_as_old_as_can_be(tool: str) -> None:
    text = (BIN / tool).read_text(encoding="ascii")
    tree = ast.parse(text, feature_version=(3, 4))
    assert not [node for node in ast.walk(tree) if isinstance(node, (ast.JoinedStr, ast.AnnAssign, ast.NamedExpr))]
    assert os.access(BIN / tool, os.X_OK)


def test_nothing_beside_the_tools_can_shadow_the_standard_library(tmp_path: Path) -> None:
    # Whatever lies in /usr/local/bin is not importable.
    for name in ("bin", "lib"):
        (tmp_path / name).mkdir()
    (tmp_path / "bin" / "asl-admin").write_bytes((BIN / "asl-admin").read_bytes())
    (tmp_path / "bin" / "argparse.py").write_text("raise SystemExit('shadowed')\n")
    (tmp_path / "lib" / "asl").symlink_to(BIN.parent / "lib" / "asl")
    done = subprocess.run([sys.executable, str(tmp_path / "bin" / "asl-admin"), "--version"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
