# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every integration test may ask for."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from integration.support import Machine
from rig import hostile, image


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "root: makes device nodes, owners or mounts")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Say at once what is missing, instead of failing in the middle: owners, device nodes and mounts need root."""
    if os.geteuid() != 0 and any(item.get_closest_marker("root") for item in items):
        raise pytest.UsageError("the integration tests make device nodes, mounts and containers: run them as root")


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "machine")


@pytest.fixture(scope="session")
def system_tree(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The whole root of a Debian system, unpacked with owners, modes, links and xattrs. Not to be changed by a test."""
    folder = tmp_path_factory.mktemp("system") / "root"
    folder.mkdir()
    archive = image.root_archive()
    argv = ["tar", "-x", "--xattrs", "--xattrs-include=*", "--acls", "--numeric-owner", "-p", "-f", str(archive), "-C", str(folder)]
    subprocess.run(argv, check=True)
    yield folder
    subprocess.run(["rm", "-rf", str(folder)], check=True)


@pytest.fixture(scope="session")
def hostile_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything a careless copy loses. Not to be changed by a test."""
    folder = tmp_path_factory.mktemp("hostile") / "tree"
    hostile.make(folder)
    return folder
