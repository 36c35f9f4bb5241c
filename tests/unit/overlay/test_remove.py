# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Removing: everything that was laid goes, with the state that was made; nothing else does."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
from pathlib import Path

import pytest
from unit.overlay.support import Command, Look


def test_check_run_run_check_leaves_the_root_as_it_was(overlay: Command, snapshot: Look) -> None:
    before = snapshot()
    overlay("lay")
    laid = snapshot()
    predicted = overlay("remove", "--check")
    assert snapshot() == laid
    done = overlay("remove")
    assert snapshot() == before
    assert done.document["actions"] == predicted.document["actions"] != []
    assert (done.document["changed"], done.document["kept"]) == (True, [])
    for again in (overlay("remove"), overlay("remove", "--check")):
        assert (again.document["changed"], again.document["actions"]) == (False, [])


def test_state_goes_and_what_others_put_there_stays(overlay: Command, root: Path) -> None:
    overlay("lay")
    (root / "var/lib/asl/runtime/queue/0123").mkdir(parents=True)
    (root / "run/asl/mode").write_text("none\n")
    (root / "usr/local/lib/asl/__pycache__").mkdir()
    (root / "mnt/asl/local/blocks").mkdir()
    (root / "etc/asl/mine").write_text("keep")
    (root / "usr/local/bin/other").write_text("keep")
    kept = overlay("remove").document["kept"]
    assert kept == ["/mnt/asl/local", "/mnt/asl", "/etc/asl"]
    left = sorted(str(path.relative_to(root)) for path in root.rglob("*") if "asl" in str(path.relative_to(root)) or path.is_file())
    assert left == ["etc/asl", "etc/asl/mine", "mnt/asl", "mnt/asl/local", "mnt/asl/local/blocks", "usr/local/bin/other"]


def test_state_on_other_memory_is_emptied_and_the_link_stays(overlay: Command, root: Path) -> None:
    (root / "usb").mkdir(mode=0o700)
    (root / "var/lib/asl").symlink_to(root / "usb")
    overlay("lay")
    assert overlay("remove").document["kept"] == ["/var/lib/asl"]
    assert (root / "var/lib/asl").is_symlink()
    assert os.listdir(root / "usb") == []


def test_an_interrupted_removal_is_finished_with_a_bundle(overlay: Command, root: Path, snapshot: Look) -> None:
    before = snapshot()
    overlay("lay")
    (root / "usr/local/lib/asl/overlay.index").unlink()
    (root / "etc/asl/asl.conf").unlink()
    assert overlay("remove", with_bundle=False).document["reason"] == "NOT_LAID"
    overlay("remove")
    # Which folders were made for it stood in the index.
    assert set(snapshot()) - set(before) == {"etc/systemd", "etc/systemd/system"}


def test_what_is_mounted_stays_and_nothing_below_it_is_removed(overlay: Command, root: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can mount")
    overlay("lay")
    store, state = root / "mnt/asl/local", root / "run/asl/mnt"
    state.mkdir()
    try:
        for place in (store, state):
            subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(place)], check=True)
            (place / "precious").touch()
        refused = overlay("remove")
        assert (refused.rc, refused.document["reason"]) == (3, "MOUNTED")
        assert str(state) in refused.document["error"]
        assert (root / "usr/local/bin/asl-intake").exists()
        subprocess.run(["umount", str(state)], check=True)
        done = overlay("remove").document
        assert done["kept"] == ["/mnt/asl/local", "/mnt/asl"]
        assert done["notes"] == ["/mnt/asl/local stays: something is mounted there"]
        assert (store / "precious").exists()
    finally:
        for place in (store, state):
            subprocess.run(["umount", str(place)], check=False, capture_output=True)


def test_tools_are_not_removed_under_a_running_job_unless_forced(overlay: Command, root: Path) -> None:
    overlay("lay")
    job = root / "var/lib/asl/runtime/queue/0123456789abcdef"
    job.mkdir(parents=True)
    request = {"sources": ["tree:/x"], "store": "/s", "domain": "d", "labels": {}, "chunk_average": 65536}
    (job / "request.json").write_text(json.dumps(request))
    with (job / "lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        refused = overlay("remove")
        assert (refused.rc, refused.document["reason"]) == (3, "INTAKE_RUNNING")
        assert "0123456789abcdef" in refused.document["error"]
        assert (root / "usr/local/bin/asl-intake").exists()
        assert overlay("remove", "--force").document["changed"]
    assert not (root / "usr/local/lib/asl").exists()
