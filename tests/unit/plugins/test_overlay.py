# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""asl_overlay through its real main(): it asks for the bundle only when there is something to do."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest
from unit.plugins.support import Call


@pytest.fixture
def bundle(packed: tuple[str, str], root: str) -> dict[str, str]:
    return {"root": root, "_bundle": packed[0], "_digest": packed[1]}


@pytest.fixture
def ask(packed: tuple[str, str], root: str) -> dict[str, str]:
    return {"root": root, "_digest": packed[1]}


def test_present_check_run_run_check(call: Call, ask: dict[str, str], bundle: dict[str, str], root: str) -> None:
    assert call("asl_overlay", **ask).result["needs_bundle"] is True
    predicted = call("asl_overlay", check=True, **bundle)
    assert not Path(root, "usr/local/lib/asl").exists()
    done = call("asl_overlay", **bundle)
    assert (predicted.rc, done.rc) == (0, 0)
    assert predicted.result["actions"] == done.result["actions"] != []
    assert (predicted.result["changed"], done.result["changed"]) == (True, True)
    for again in (call("asl_overlay", **ask), call("asl_overlay", check=True, **ask), call("asl_overlay", **bundle)):
        assert "needs_bundle" not in again.result
        assert (again.result["changed"], again.result["actions"], again.result["digest"]) == (False, [], ask["_digest"])


def test_absent_check_run_run_check(call: Call, ask: dict[str, str], bundle: dict[str, str], root: str) -> None:
    assert call("asl_overlay", state="absent", **ask).result["actions"] == []
    call("asl_overlay", **bundle)
    predicted = call("asl_overlay", check=True, state="absent", **ask)
    done = call("asl_overlay", state="absent", **ask)
    assert predicted.result["actions"] == done.result["actions"] != []
    assert (done.result["changed"], done.result["kept"]) == (True, [])
    assert not [path for path in Path(root).rglob("*") if "asl" in path.relative_to(root).as_posix()]
    for again in (call("asl_overlay", state="absent", **ask), call("asl_overlay", check=True, state="absent", **ask)):
        assert (again.result["changed"], again.result["actions"]) == (False, [])


def test_an_engine_that_is_broken_or_another_is_replaced_by_the_one_that_is_sent(
    call: Call, ask: dict[str, str], bundle: dict[str, str], root: str
) -> None:
    call("asl_overlay", **bundle)
    Path(root, "usr/local/lib/asl/errors.py").write_text("broken(\n")
    for state in ("present", "absent"):
        assert call("asl_overlay", state=state, **ask).result["needs_bundle"] is True
    mended = call("asl_overlay", **bundle)
    assert mended.result["actions"] == ["write /usr/local/lib/asl/errors.py"]
    assert call("asl_overlay", state="absent", root=root, _digest="0" * 64).result["needs_bundle"] is True
    assert call("asl_overlay", state="absent", **bundle).result["changed"] is True


def test_settings_are_laid_shown_and_refused(call: Call, ask: dict[str, str], bundle: dict[str, str], root: str) -> None:
    call("asl_overlay", conf={"asl.conf": "mode = local\n"}, **bundle)
    assert Path(root, "etc/asl/asl.conf").read_text() == "mode = local\n"
    same = call("asl_overlay", conf={"asl.conf": "mode = local\n"}, **ask)
    assert same.result["changed"] is False
    assert call("asl_overlay", conf={"asl.conf": "mode = auto\n"}, **ask).result["needs_bundle"] is True
    other = call("asl_overlay", check=True, diff=True, conf={"asl.conf": "mode = auto\n"}, **bundle)
    assert other.result["diff"][0]["before"] == "mode = local\n"
    wrong = call("asl_overlay", conf={"asl.conf": "mode = auto\nlocal.pool = /\n"}, **ask)
    assert (wrong.rc, wrong.result["reason"], wrong.result["rc"]) == (1, "CONFIG_INVALID", 2)
    assert wrong.result["msg"].startswith("/etc/asl/asl.conf:2: local.pool ")
    unknown = call("asl_overlay", conf={"asl.conf": "no.such.key = 1\n"}, **ask)
    assert (unknown.result["reason"], unknown.result["details"]) == ("CONFIG_INVALID", {"place": "/etc/asl/asl.conf:1"})
    assert wrong.result["cmd"][2:5] == ["-m", "asl.overlay", "lay"]
    assert wrong.result["hint"] in wrong.result["msg"]
    assert Path(root, "etc/asl/asl.conf").read_text() == "mode = local\n"


def test_another_root_starts_no_unit_and_says_so(call: Call, bundle: dict[str, str]) -> None:
    done = call("asl_overlay", **bundle)
    assert done.result["notes"] == [f"systemd does not run {bundle['root']}: no unit was started, jobs run as detached processes"]
    assert call("asl_overlay", services=False, **bundle).result["notes"] == ["units were neither enabled nor started, as asked"]


def test_a_bundle_that_was_spoilt_on_the_way_is_refused(call: Call, bundle: dict[str, str], root: str, tmp_path: Path) -> None:
    with tarfile.open(bundle["_bundle"]) as tar:
        tar.extraction_filter = getattr(tarfile, "data_filter", None)  # came with Python 3.11.4
        tar.extractall(tmp_path / "parts")
    (tmp_path / "parts/root/etc/asl/asl.conf").write_text("mode = local\n")
    with tarfile.open(tmp_path / "spoilt.tar.gz", "w:gz") as tar:
        tar.add(tmp_path / "parts", arcname="")
    done = call("asl_overlay", **{**bundle, "_bundle": str(tmp_path / "spoilt.tar.gz")})
    assert (done.rc, done.result["reason"]) == (1, "BUNDLE_DAMAGED")
    assert not Path(root, "usr/local/lib/asl").exists()


def test_nothing_stays_in_the_temporary_folder(call: Call, bundle: dict[str, str], tmp_path: Path) -> None:
    call("asl_overlay", **bundle)
    call("asl_overlay", conf={"asl.conf": "no\n"}, **bundle)
    assert not list(tmp_path.glob("ansible-moduletmp*/*"))
