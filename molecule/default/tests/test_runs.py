# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the runs of the playbook said: check mode foretells the first, the second changes nothing, the one after the kill ends it."""

from __future__ import annotations

from typing import Any

from testinfra.host import Host

Run = list[dict[str, Any]]


def of(run: Run, host: Host) -> Run:
    name = host.check_output("hostname")
    return [row for row in run if row["host"] == name]


def actions(run: Run) -> list[tuple[str, list[str]]]:
    """Every module's actions, in order, without the tasks that only ask again."""
    found: list[tuple[str, list[str]]] = []
    for row in run:
        entry = (row["task"], row["actions"])
        if row["actions"] and entry not in found:
            found.append(entry)
    return found


def test_check_mode_foretells_the_run_after_it(host: Host, runs: list[Run]) -> None:
    foretold, done = actions(of(runs[0], host)), actions(of(runs[1], host))
    assert foretold, "check mode foretold nothing"
    assert foretold == done


def test_check_mode_changed_nothing_and_nothing_failed(host: Host, runs: list[Run]) -> None:
    assert all(row["check"] for row in of(runs[0], host))
    assert [row["task"] for run in runs for row in of(run, host) if row["outcome"] != "ok"] == []


def test_the_second_run_changed_nothing(host: Host, runs: list[Run]) -> None:
    assert [row["task"] for row in of(runs[2], host) if row["changed"]] == []


def test_few_tasks_a_host(host: Host, runs: list[Run]) -> None:
    tasks = {row["task"] for row in of(runs[1], host)}
    assert len(tasks) <= 25, sorted(tasks)
