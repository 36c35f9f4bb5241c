# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tools that read the code: each is one test, so that one report says everything."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from integration.support import CHECKOUT

TOOLS = Path(sys.executable).parent


def clean(argv: Sequence[str], **environment: str) -> None:
    env = {**os.environ, "PATH": f"{TOOLS}:{os.environ['PATH']}", "NO_COLOR": "1", **environment}
    done = subprocess.run(argv, cwd=CHECKOUT, env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    assert done.returncode == 0, f"{' '.join(argv)}\n{done.stdout[-6000:]}{done.stderr[-2000:]}"


def test_ruff() -> None:
    clean(["ruff", "check", "--no-cache", "."])


def test_mypy_engine() -> None:
    clean(["mypy", "overlay/usr/local/lib/asl"])


@pytest.mark.parametrize("folders", [["module_utils", "modules", "plugin_utils"], ["action", "callback"]], ids=["modules", "actions"])
def test_mypy_plugins(folders: list[str]) -> None:
    # Ansible has no types: what comes from it is Any, and so is what a subclass of it inherits.
    untyped = ["--disable-error-code=import-untyped", "--allow-subclassing-any", "--no-warn-return-any"]
    clean(["mypy", *untyped, *(f"plugins/{folder}" for folder in folders)], MYPYPATH="playbooks/collections")


def test_mypy_tests() -> None:
    untyped = "--disable-error-code=import-untyped"
    clean(["mypy", "--explicit-package-bases", untyped, "tests/rig", "tests/integration", "tests/bench", "demo"], MYPYPATH="tests")


def test_mypy_gateway() -> None:
    # boto3 has no types: what comes from it is Any.
    clean(["mypy", "--python-version", "3.11", "--disable-error-code=import-untyped", "--allow-subclassing-any", "gateway/asl_gateway"])


def test_yamllint() -> None:
    listed = subprocess.run(["git", "ls-files", "-z", "*.yml", "*.yaml"], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    clean(["yamllint", "--strict", *listed.stdout.split("\0")[:-1]])


def test_ansible_lint() -> None:
    clean(["ansible-lint", "--profile", "production", "--offline", "--strict"])


def test_the_site_of_the_documentation(tmp_path: Path) -> None:
    """A warning of antsibull-docs or Sphinx, and a reference to what is not there, fails it."""
    clean([sys.executable, "-B", "docs/site/build.py", str(tmp_path)])
    pages = {path.stem for path in (tmp_path / "html").rglob("*.html")}
    modules = {f"{path.stem}_module" for path in (CHECKOUT / "plugins" / "modules").glob("*.py")}
    roles = {f"{path.name}_role" for path in (CHECKOUT / "roles").iterdir()}
    # What a theme has to complain of it says on the page.
    assert [path.name for path in (tmp_path / "html").rglob("*.html") if "ERROR: " in path.read_text()] == []
    assert {path.stem for path in (CHECKOUT / "docs").glob("*.md")} | modules | roles | {"fleet_callback"} <= pages


def test_ansible_sanity() -> None:
    clean([sys.executable, "-B", "tests/sanity/run.py"])


def test_native_under_the_sanitizers() -> None:
    clean(["make", "--no-print-directory", "-C", "native", "test", f"PYTHON={sys.executable}"])


def test_native_in_threads() -> None:
    clean(["make", "--no-print-directory", "-C", "native", "tsan", f"PYTHON={sys.executable}"])


def test_native_against_a_fuzzer() -> None:
    """A short run; `make -C native fuzz FUZZ_SECONDS=…` is the long one."""
    clean(["make", "--no-print-directory", "-C", "native", "fuzz", "FUZZ_SECONDS=10", f"PYTHON={sys.executable}"])
