# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""asl-debug bench: every step is measured, nothing is left behind, and what cannot be measured is said."""

from __future__ import annotations

from pathlib import Path

import pytest
from unit.admin.support import text, tool

from asl import bench
from asl.kernel import load

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "REPEAT", 0.001)
    monkeypatch.setattr(bench, "RECORDS", 800)
    monkeypatch.setattr(bench, "ASKED", 100)


def test_every_step_has_a_rate(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "source").write_bytes(b"x" * 3_000_000)
    words = ("--dir", str(tmp_path), "--size", "2MiB", "--read", str(tmp_path / "source"))
    code, document = tool(capsys, "debug", "bench", *words)
    assert code == 0
    assert document["kernel"] == load().name
    assert min(document["processor"][name] for name in ("cores", "cut", "zeros", "sha256", "sha256_all_cores", "zstd", "look_ups")) > 0
    assert document["write"]["bytes"] == document["read"][0]["bytes"] == 2 << 20
    assert 0 < document["write"]["durable"] <= document["write"]["write"]
    assert 0 < document["bounds"]["all_new"] < document["bounds"]["duplicate"]
    assert [path.name for path in tmp_path.iterdir()] == ["source"]
    code, printed = text(capsys, "debug", "bench", *words)
    assert (code, "sha256" in printed, "at most, all new" in printed) == (0, True, True)


@pytest.mark.parametrize(
    ("words", "code", "reason"),
    [
        (("--size", "many"), 2, "BAD_SIZE"),
        (("--dir", "/nowhere/at/all"), 4, "WRITE_FAILED"),
        (("--read", "/nowhere/at/all"), 2, "SOURCE_NOT_FOUND"),
    ],
)
def test_what_cannot_be_measured_is_said(tmp_path: Path, capsys: Capture, words: tuple[str, ...], code: int, reason: str) -> None:
    found, document = tool(capsys, "debug", "bench", "--dir", str(tmp_path), *words)
    assert (found, document["reason"]) == (code, reason)
