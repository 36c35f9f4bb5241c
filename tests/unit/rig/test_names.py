# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rig, before it starts anything: names that podman would not take are refused in one sentence."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from rig.hosts import Rig
from rig.process import RigError

TESTS = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", ["", "..", "../up", "a b", "-x", "ü", "a/b", "a:b", "x" * 42, "a\n"])
def test_a_project_that_is_not_fit_for_podman_is_refused(name: str) -> None:
    with pytest.raises(RigError, match="cannot name a project"):
        Rig(name)


def test_a_project_that_is_fit_is_taken_as_it_is() -> None:
    for name in ("demo", "molecule-default", "a.b_c-1", "x" * 41):
        assert Rig(name).project == name


def test_the_command_line_says_it_in_one_sentence() -> None:
    done = subprocess.run(
        [sys.executable, "-B", "-m", "rig", "--project", "my rig", "down"], cwd=TESTS, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("rig: 'my rig' cannot name a project") and done.stderr.count("\n") == 1
