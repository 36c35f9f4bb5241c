# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Comparing: each kind of deviation is named, once, with what should be."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from unit.overlay.support import Command

Change = Callable[[Path], object]


def named(overlay: Command) -> list[tuple[str, str]]:
    answer = overlay("compare")
    assert answer.rc == (0 if answer.document["ok"] else 5)
    return [(each["deviation"], each["path"]) for each in answer.document["deviations"]]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda root: (root / "usr/local/bin/asl-intake").unlink(), ("missing", "/usr/local/bin/asl-intake")),
        (lambda root: shutil.rmtree(root / "run/asl/sockets"), ("missing", "/run/asl/sockets")),
        (lambda root: (root / "usr/local/bin/asl-x").touch(), ("extra", "/usr/local/bin/asl-x")),
        (lambda root: (root / "etc/systemd/system/asl-x.timer").touch(), ("extra", "/etc/systemd/system/asl-x.timer")),
        (lambda root: (root / "mnt/asl/other").mkdir(), ("extra", "/mnt/asl/other")),
        (lambda root: (root / "usr/local/lib/asl/x.py").touch(), ("extra", "/usr/local/lib/asl/x.py")),
        (lambda root: (root / "usr/local/lib/asl/x.pyc").touch(), ("state", "/usr/local/lib/asl/x.pyc")),
        (lambda root: (root / "etc/asl/state").touch(), ("state", "/etc/asl/state")),
        (lambda root: (root / "etc/asl/asl.conf").write_text("mode = local\n"), ("changed", "/etc/asl/asl.conf")),
        (lambda root: (root / "usr/local/lib/libasl.so").write_bytes(b""), ("changed", "/usr/local/lib/libasl.so")),
        (lambda root: (root / "usr/local/bin/asl-admin").chmod(0o4755), ("mode", "/usr/local/bin/asl-admin")),
        (lambda root: (root / "var/lib/asl").chmod(0o777), ("mode", "/var/lib/asl")),
        (lambda root: (root / "mnt/asl/remote").rename(root / "gone") and (root / "mnt/asl/remote").touch(), ("type", "/mnt/asl/remote")),
    ],
)
def test_a_deviation_is_named(overlay: Command, root: Path, change: Change, expected: tuple[str, str]) -> None:
    overlay("lay")
    assert named(overlay) == []
    change(root)
    assert named(overlay) == [expected]


def test_another_owner_is_named_with_the_right_one(overlay: Command, root: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    overlay("lay")
    os.chown(root / "usr/local/bin/asl-debug", 12345, 12345)
    assert named(overlay) == [("owner", "/usr/local/bin/asl-debug")]
    found = overlay("compare").document["deviations"][0]
    assert (found["expected"], found["found"]) == ("root:root", "12345:12345")
    assert overlay("lay").document["actions"] == ["set owner of /usr/local/bin/asl-debug to root:root"]


def test_state_and_stores_are_nobodys_business(overlay: Command, root: Path) -> None:
    overlay("lay")
    (root / "var/lib/asl/runtime/queue").mkdir()
    (root / "run/asl/mode").write_text("local\n")
    (root / "mnt/asl/local/blocks").mkdir()
    assert named(overlay) == []


def test_the_tool_shows_what_the_engine_finds_and_leaves_no_byte_code(overlay: Command, root: Path) -> None:
    overlay("lay")
    tool = [sys.executable, str(root / "usr/local/bin/asl-debug"), "overlay", "--root", str(root)]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    good = subprocess.run(tool, capture_output=True, text=True, check=False, env=environment)
    assert (good.returncode, good.stderr) == (0, "")
    assert "everything is as it was laid" in good.stdout
    (root / "usr/local/bin/asl-intake").chmod(0o700)
    bad = subprocess.run(tool, capture_output=True, text=True, check=False, env=environment)
    assert bad.returncode == 5
    assert "mode     /usr/local/bin/asl-intake  (is 0700, should be 0755)" in bad.stdout
    shown = json.loads(subprocess.run([*tool, "--json"], capture_output=True, check=False, env=environment).stdout)
    assert shown["deviations"] == overlay("compare").document["deviations"]
    assert not list(root.rglob("*.pyc"))


def test_a_root_without_an_overlay_is_said_to_have_none(overlay: Command) -> None:
    answer = overlay("compare")
    assert (answer.rc, answer.document["reason"]) == (4, "NOT_LAID")


def test_a_spoilt_index_is_named_and_laid_anew(overlay: Command, root: Path) -> None:
    overlay("lay")
    place = root / "usr/local/lib/asl/overlay.index"
    place.write_bytes(place.read_bytes()[:-10])
    assert overlay("compare").document["reason"] == "INDEX_INVALID"
    assert overlay("lay").document["actions"] == ["write /usr/local/lib/asl/overlay.index"]
