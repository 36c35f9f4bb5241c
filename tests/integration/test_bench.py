# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""make bench on very little data: every tool does its jobs, and the report says what was measured. No figure is judged."""

from __future__ import annotations

import json
import random
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from bench import __main__ as bench
from bench import data, report
from bench.jobs import SCENARIOS, Runner, Scenario, job
from bench.tools import TOOLS

TINY = data.Sizes((), image=48, deleted=2, small=200, noise=1)
COMPARED = SCENARIOS[1]  # the root, compressed: the one that all tools take part in


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder, rng = tmp_path_factory.mktemp("bench"), random.Random(1)
    root = folder / "plain"
    (root / "usr" / "bin").mkdir(parents=True)
    for number in range(60):
        (root / "usr" / f"{number}.txt").write_bytes(data.prose(rng, rng.randrange(100_000)))
    (root / "usr" / "bin" / "tool").symlink_to("../1.txt")
    (root / "usr" / "bin" / "hard").hardlink_to(root / "usr" / "2.txt")
    with tarfile.open(folder / "root.tar", "w") as archive:
        archive.add(root, ".")
    (folder / "made").mkdir()
    return data.make(folder / "made", TINY, folder / "root.tar")


def test_the_data_is_the_same_each_time(sources: dict[str, Path], tmp_path: Path) -> None:
    again = tmp_path / "again"
    again.mkdir()
    made = data.make(again, TINY, sources["root"].parents[1] / "root.tar")
    assert data.difference(made["similar"], sources["similar"]) == 0
    assert data.difference(made["small"], sources["small"]) == 0
    assert 0 < data.difference(sources["root"], sources["similar"]) < 1_000_000
    assert made["image"].stat().st_blocks * 512 >= TINY.image * data.MIB  # every byte is allocated


def test_every_tool_does_every_step_and_the_report_has_it(sources: dict[str, Path], tmp_path: Path) -> None:
    said: list[str] = []
    runner = Runner(tmp_path, sources, said.append)
    runner.round(1, list(TOOLS), (COMPARED,))
    table = report.rows(runner.results)
    verified = {row["tool"] for row in table if row["job"] == job(COMPARED, "verify")}
    assert verified == {"asl", "restic", "borg"}
    for step in ("first", "unchanged", "restore", "similar"):
        rows = [row for row in table if row["job"] == job(COMPARED, step)]
        assert {row["tool"] for row in rows} == set(TOOLS)
        assert rows[0]["tool"] == "asl"
        assert all(row["cpu"] > 0 and row["wall"] > 0 and row["peak"] > 1 << 20 for row in rows)
    added = {(row["tool"], row["job"]): row["added"] for row in table}
    for tool in TOOLS:
        assert added[tool, job(COMPARED, "first")] > added[tool, job(COMPARED, "similar")] > 0
    assert set(report.ratios(table)) == {row["job"] for row in table}
    assert json.loads(json.dumps(table)) == table
    assert report.text(table).count("peer/asl") == 1
    report.plot(table, tmp_path / "plot.png", "tiny")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")
    assert len(said) == len(table)


class Shortest(Runner):
    """One job, by this engine alone."""

    def round(self, number: int, names: Sequence[str], scenarios: Sequence[Scenario] = SCENARIOS) -> None:
        super().round(number, ["asl"], SCENARIOS[-1:])


def test_what_was_measured_is_written_also_when_a_later_part_fails(
    sources: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(folder: Path, quick: bool) -> dict[str, Any]:
        raise AssertionError("the gateway did not come up")

    monkeypatch.setattr(bench, "Runner", Shortest)
    monkeypatch.setattr(data, "archive", lambda: sources["root"].parents[1] / "root.tar")
    monkeypatch.setattr(data, "QUICK", TINY)
    monkeypatch.setattr(bench, "FURTHER", {"short": lambda folder, quick: {"seconds": 1}, "remote": broken})
    monkeypatch.setattr(sys, "argv", ["bench", "--quick", "--folder", str(tmp_path), "--out", str(tmp_path / "out/bench")])
    assert bench.main() == 1
    assert "the gateway did not come up" in capsys.readouterr().err
    written = json.loads((tmp_path / "out/bench.json").read_text())
    assert [row["job"] for row in written["rows"]] == [job(SCENARIOS[-1], "first")]
    assert (written["rounds"], written["further"]) == (1, {"short": {"seconds": 1}})
    assert "the gateway did not come up" in written["failed"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["bench.json", "bench.png", "bench.txt"]
