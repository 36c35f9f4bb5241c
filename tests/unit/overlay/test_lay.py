# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Laying: what a check run says is what a run does, a second run finds nothing, and whatever is refused is refused before a change."""

from __future__ import annotations

import resource
import shutil
import stat
from pathlib import Path

import pytest
from unit.overlay.support import Command, Look

from asl.errors import Refused
from asl.overlay import bundle
from asl.overlay.lay import Guards, Request, lay
from asl.overlay.plan import from_bundle
from asl.overlay.root import Root

LIVE = Guards(lambda: (True, "/ is overlay"), lambda _name, _text: None, lambda: None)


def test_check_run_run_check(overlay: Command, snapshot: Look) -> None:
    before = snapshot()
    predicted = overlay("lay", "--check")
    assert snapshot() == before
    done = overlay("lay")
    after = snapshot()
    assert done.document["actions"] == predicted.document["actions"] != []
    assert (predicted.document["changed"], done.document["changed"]) == (True, True)
    for again in (overlay("lay"), overlay("lay", "--check"), overlay("lay", "--check", with_bundle=False)):
        assert (again.document["changed"], again.document["actions"], again.document["digest"]) == (False, [], done.document["digest"])
    assert snapshot() == after
    assert overlay("compare").document == {"ok": True, "digest": done.document["digest"], "deviations": []}


def test_what_the_contract_names_is_there_with_its_mode(overlay: Command, root: Path, unpacked: Path) -> None:
    overlay("lay")
    for entry in bundle.open_folder(unpacked).contract.entries:
        seen = (root / entry.path[1:]).lstat()
        assert stat.S_ISDIR(seen.st_mode) == entry.is_directory, entry.path
        assert stat.S_IMODE(seen.st_mode) == entry.mode, entry.path
    library = (root / "usr/local/lib/libasl.so").read_bytes()
    assert library == f"library for {bundle.machine()}".encode()
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (root / "usr/local/lib/asl").rglob("*.py")}
    assert modes == {0o644}


def test_modes_and_groups_do_not_follow_the_folder_they_are_made_in(overlay: Command, root: Path) -> None:
    # /usr/local/lib may be owned by another group and hand it on.
    (root / "usr/local/lib").chmod(0o2775)
    overlay("lay")
    assert stat.S_IMODE((root / "usr/local/lib/asl").stat().st_mode) == 0o755
    assert overlay("compare").document["ok"]


def test_what_is_spoilt_is_mended_and_nothing_else_is_touched(overlay: Command, root: Path, snapshot: Look) -> None:
    overlay("lay")
    good = snapshot()
    (root / "usr/local/bin/asl-intake").write_bytes(b"#!/bin/false\n")
    (root / "usr/local/bin/asl-debug").chmod(0o600)
    (root / "usr/local/lib/asl/errors.py").unlink()
    shutil.rmtree(root / "usr/local/lib/asl/config")
    (root / "etc/systemd/system/asl-intake.service").unlink()
    (root / "etc/systemd/system/asl-intake.service").symlink_to("/dev/null")
    (root / "usr/local/lib/asl/__pycache__").mkdir()
    (root / "usr/local/lib/asl/__pycache__/errors.pyc").write_bytes(b"stale")
    (root / "usr/local/lib/asl/old.py").write_bytes(b"stale")
    shutil.rmtree(root / "var/lib/asl/locks")
    done = overlay("lay").document["actions"]
    assert snapshot() == good
    assert {
        "write /usr/local/bin/asl-intake",
        "set mode of /usr/local/bin/asl-debug to 0755",
        "write /usr/local/lib/asl/errors.py",
        "create directory /usr/local/lib/asl/config",
        "write /etc/systemd/system/asl-intake.service",
        "remove /usr/local/lib/asl/__pycache__/errors.pyc",
        "remove /usr/local/lib/asl/old.py",
        "create directory /var/lib/asl/locks",
    } <= set(done)
    assert "write /usr/local/bin/asl-admin" not in done


def test_state_may_be_a_link_to_other_memory(overlay: Command, root: Path) -> None:
    (root / "usb").mkdir(mode=0o700)
    (root / "var/lib/asl").symlink_to(root / "usb")
    overlay("lay")
    assert (root / "usb/cache").is_dir()
    assert overlay("lay").document["actions"] == []


def test_configuration_is_laid_as_given_and_left_as_it_is_otherwise(overlay: Command, root: Path, tmp_path: Path) -> None:
    text = tmp_path / "given"
    text.write_text("mode = local\n")
    overlay("lay", "--conf", f"asl.conf={text}")
    assert (root / "etc/asl/asl.conf").read_text() == "mode = local\n"
    assert overlay("lay").document["actions"] == []
    text.write_text("mode = auto\n")
    done = overlay("lay", "--conf", f"asl.conf={text}", "--diff")
    assert done.document["actions"] == ["write /etc/asl/asl.conf", "write /usr/local/lib/asl/overlay.index"]
    shown = done.document["diff"][0]
    assert (shown["before_header"], shown["before"], shown["after"]) == ("/etc/asl/asl.conf", "mode = local\n", "mode = auto\n")
    assert overlay("compare").document["ok"]


WRONG = {
    "/etc/asl/asl.conf:2": ("asl.conf", "mode = local\nmodus = x\n"),
    "/etc/asl/federation.conf:1": ("federation.conf", "peer.b.admit = all\n"),
    "/etc/asl/logging.conf:1": ("logging.conf", "level = loud\n"),
    "not a configuration file": ("secret.conf", ""),
}


@pytest.mark.parametrize("said", WRONG)
def test_settings_the_engine_cannot_read_are_refused_before_anything_is_laid(
    overlay: Command, snapshot: Look, tmp_path: Path, said: str
) -> None:
    before, (name, text) = snapshot(), WRONG[said]
    (tmp_path / "given").write_text(text)
    answer = overlay("lay", "--conf", f"{name}={tmp_path / 'given'}")
    assert (answer.rc, answer.document["reason"]) == (2, "CONFIG_INVALID")
    assert said in answer.document["error"]
    assert snapshot() == before


@pytest.mark.parametrize("path", ["usr/local/bin/asl-intake", "var/lib/asl", "usr/local/lib/asl/store"])
def test_something_else_in_the_way_is_refused_before_anything_is_laid(overlay: Command, root: Path, snapshot: Look, path: str) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    if path.startswith("usr/local/bin"):
        (root / path).mkdir()
    else:
        (root / path).write_bytes(b"precious")
    before = snapshot()
    answer = overlay("lay")
    assert (answer.rc, answer.document["reason"]) == (3, "WRONG_TYPE")
    assert f"/{path}" in answer.document["error"]
    assert snapshot() == before


def test_a_run_that_fails_half_way_is_finished_by_the_next(overlay: Command, root: Path) -> None:
    whole = overlay("lay", "--check").document["actions"]

    def small_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000))

    broken = overlay("lay", before=small_files)
    assert (broken.rc, broken.document["reason"]) == (4, "LAY_FAILED")
    assert "file too large" in broken.document["error"]
    assert not (root / "usr/local/lib/asl/overlay.index").exists()
    assert not list(root.rglob(".*")), "no temporary file stays"
    rest = overlay("lay").document["actions"]
    assert 0 < len(rest) < len(whole)
    assert rest == [action for action in whole if action in set(rest)]
    assert overlay("compare").document["ok"]


def test_a_root_on_a_disk_is_refused_unless_the_operator_allows_it(unpacked: Path) -> None:
    source = from_bundle(bundle.open_folder(unpacked))
    fixed = LIVE._replace(root_is_live=lambda: (False, "/ is ext4 on /dev/sda2"))
    with pytest.raises(Refused, match="ext4 on /dev/sda2") as caught:
        lay(source, Root("/"), {}, Request(check=True, services=False), fixed)
    assert caught.value.reason == "NOT_LIVE_ROOT"
    allowed = lay(source, Root("/"), {}, Request(check=True, services=False, allow_non_live_root=True), fixed)
    assert allowed["check"] is True


def test_tools_are_not_replaced_under_a_running_job_unless_forced(unpacked: Path, root: Path) -> None:
    source, place = from_bundle(bundle.open_folder(unpacked)), Root(str(root))
    busy = LIVE._replace(running_job=lambda: "0123456789abcdef")
    with pytest.raises(Refused, match="0123456789abcdef") as caught:
        lay(source, place, {}, Request(), busy)
    assert caught.value.reason == "INTAKE_RUNNING"
    assert not (root / "usr/local/bin/asl-intake").exists()
    assert lay(source, place, {}, Request(force=True), busy)["changed"]
    assert lay(source, place, {"asl.conf": b"mode = local\n"}, Request(), busy)["changed"], "settings do not disturb a job"


def test_a_library_of_another_bundle_goes_when_this_one_has_none(overlay: Command, root: Path, unpacked: Path) -> None:
    overlay("lay")
    found = bundle.open_folder(unpacked)
    without = from_bundle(found)._replace(
        lines=tuple(line for line in from_bundle(found).lines if line.path != bundle.LIBASL), digest="0" * 64
    )
    done = lay(without, Root(str(root)), {}, Request(), LIVE)
    assert done["actions"] == ["remove /usr/local/lib/libasl.so", "write /usr/local/lib/asl/overlay.index"]
