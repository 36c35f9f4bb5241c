# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A disk as a file, in a mount namespace of its own: each test looks from a process that is thrown away."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from asl import paths, system
from asl.deadline import in_child
from asl.errors import Unavailable
from asl.hits import view

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
SIZE = 1 << 20


@pytest.fixture(autouse=True)
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ASL_RUN_DIR", str(tmp_path / "run"))
    return tmp_path / "run"


def whole(at: int, size: int) -> bytes:
    return bytes(at // 512 % 251 for at in range(at, min(at + size, SIZE)))


def test_only_the_place_of_mounts_is_hidden(runtime: Path) -> None:
    (runtime / "mnt").mkdir(parents=True)
    (runtime / "store").write_text("here")
    (runtime / "mnt" / "other").write_text("another source's")

    def look() -> Any:
        view.alone()
        with view.as_file(SIZE, whole) as path:
            same = Path(path).read_bytes() == whole(0, SIZE)
        mounted = [each.mount_point for each in system.mounts() if each.mount_point.startswith(str(runtime))]
        return [Path(paths.run("store")).read_text(), os.listdir(paths.run("mnt")), mounted, same]

    outcome = in_child(look, 60)
    assert outcome.error is None
    assert outcome.value == ["here", ["disk"], [str(runtime / "mnt")], True]
    assert (runtime / "mnt" / "other").read_text() == "another source's"


@pytest.mark.parametrize("caught", [False, True])
def test_a_server_that_has_ended_is_told_and_not_taken_for_bad_sectors(caught: bool) -> None:
    """Whatever came of it: an error, or files that seemed to be unreadable."""

    def gone(at: int, size: int) -> bytes:
        raise Unavailable("the store is not there any more")

    def look() -> Any:
        view.alone()
        try:
            with view.as_file(SIZE, gone) as path:
                try:
                    Path(path).read_bytes()
                except OSError:
                    if not caught:
                        raise
        except Unavailable as error:
            return [error.reason, error.message]
        return ["", ""]

    outcome = in_child(look, 60)
    assert outcome.error is None
    assert outcome.value == ["HITS_FAILED", "the process that shows the disk to the kernel has ended: the store is not there any more"]


def test_a_server_that_was_killed_is_told_too() -> None:
    def killing(at: int, size: int) -> bytes:
        os.kill(os.getpid(), 9)
        return b""

    def look() -> Any:
        view.alone()
        try:
            with view.as_file(SIZE, killing) as path:
                Path(path).read_bytes()
        except Unavailable as error:
            return error.message
        return None

    assert in_child(look, 60).value == "the process that shows the disk to the kernel has ended: it was ended by signal 9"
