# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two hosts that are well beside three in trouble: the two are rescued, the three cost one timeout each and say what to do."""

from __future__ import annotations

import json
from typing import Any

from testinfra.host import Host

STATES = {
    "good-01": ("rescued", None),
    "good-02": ("rescued", None),
    "hanging": ("failed", "overlay"),
    "refusing": ("failed", "preflight"),
    "unplugged": ("unreachable", "overlay"),
}
SORTING = ("ansible.builtin.group_by", "ansible.builtin.fail")


def test_every_host_stands_in_the_report_with_its_next_step(report: dict[str, dict[str, Any]]) -> None:
    assert {name: (host["state"], host["phase"]) for name, host in report.items()} == STATES
    assert all(host["next"] for host in report.values())
    assert report["refusing"]["reason"] == "NOTHING_AVAILABLE"
    assert "90 second" in report["hanging"]["sentence"]


def test_a_host_in_trouble_holds_up_the_others_once(answers: list[dict[str, Any]]) -> None:
    """What fails or does not answer is asked for nothing more, so the others wait for one timeout at most."""
    for name, (state, _phase) in STATES.items():
        asked = [each for each in answers if each["host"] == name and each["action"] not in SORTING]
        bad = [each["outcome"] for each in asked if each["outcome"] != "ok"]
        assert bad == {"rescued": [], "failed": ["failed"], "unreachable": ["unreachable"]}[state], asked
        assert not bad or asked[-1]["outcome"] == bad[0]


def test_the_others_are_rescued_and_every_byte_is_read_back(host: Host) -> None:
    found = json.loads(host.check_output("asl-admin verify --store /mnt/asl/local --json"))
    assert found["ok"] and found["snapshots"] == ["1"]


def test_the_operator_sees_each_of_them_in_a_line(said: str) -> None:
    last = said.splitlines()[-40:]
    for name in STATES:
        assert any(name in line for line in last), name
    assert "Traceback" not in said
