# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""rescue.yml over many hosts: few tasks for each, and hosts in trouble that hold up nobody and stand in the report."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from integration.support import CHECKOUT
from scale import fleet

RESCUE = CHECKOUT / "playbooks" / "rescue.yml"
# What waits for a host and not for the control node, and what is done once for all hosts.
WAITING = "Wait for the intake"
ONCE = ("Have tokens issued", "Write the reports", "Show the summary", "Name the hosts that are not rescued")


def report(done: fleet.Run) -> dict[str, dict[str, Any]]:
    """The hosts of report.json by name."""
    hosts = json.loads((done.reports / "report.json").read_text())["hosts"]
    return {host["host"]: host for host in hosts}


def test_at_most_ten_tasks_a_host_besides_waiting(tmp_path: Path) -> None:
    done = fleet.run(tmp_path, RESCUE, fleet.names(12))
    assert done.code == 0, done.printed
    a_host = {name: count for name, count in done.cost["tasks"].items() if not name.endswith(WAITING) and name not in ONCE}
    assert sum(a_host.values()) <= 12 * 10, a_host
    assert {host["state"] for host in report(done).values()} == {"rescued"}


def through_a_gateway(folder: Path, hosts: dict[str, Any], **server: str) -> tuple[fleet.Run, dict[str, str]]:
    """rescue.yml with a gateway beside the hosts, not among those of -l; and the token that each host got."""
    (folder / "tokens").mkdir()
    (folder / "roots.pem").write_text("roots\n")
    common = {"ansible_connection": "recorded", "ansible_python_interpreter": "/usr/bin/python3"}
    (folder / "servers.json").write_text(json.dumps({"all": {"hosts": {"server": {**common, **server}}}}))
    given = json.dumps({"asl_gateway": "server", "asl_ca": str(folder / "roots.pem")})
    options = ["-i", str(folder / "servers.json"), "-e", given, "-l", "broken-hosts"]
    done = fleet.run(folder, RESCUE, hosts, options=options, ASL_TOKENS=str(folder / "tokens"))
    return done, {path.name: path.read_text() for path in (folder / "tokens").iterdir()}


def test_at_most_ten_tasks_a_host_with_a_gateway_too(tmp_path: Path) -> None:
    """Its token and the roots are one task. Each host gets a token of its own, for its own domain."""
    domains = {name: "site-b" if name < "node00004" else "rescue-domain" for name in fleet.names(12)}
    hosts = {name: {"asl_conf": {"domain.id": domain}} if domain == "site-b" else {} for name, domain in domains.items()}
    done, tokens = through_a_gateway(tmp_path, hosts)
    assert done.code == 0, done.printed
    a_host = {name: count for name, count in done.cost["tasks"].items() if not name.endswith(WAITING) and name not in ONCE}
    assert sum(a_host.values()) <= 12 * 10, a_host
    assert done.cost["tasks"]["Have tokens issued"] == 1, "for all of them together"
    assert {host["state"] for host in report(done).values()} == {"rescued"}
    assert {name: token.split(".")[1] for name, token in tokens.items()} == domains
    assert len(set(tokens.values())) == 12
    assert not any(token in done.printed for token in tokens.values())


def test_a_gateway_that_cannot_be_reached_stops_only_those_that_need_it(tmp_path: Path) -> None:
    hosts = {"vault": {"asl_token": "asl1.from.vault"}, "needs": {}, "needs-too": {}}
    done, tokens = through_a_gateway(tmp_path, hosts, recorded_fault="unreachable")
    assert (done.reports / "report.json").exists(), done.printed
    found = report(done)
    assert {name: (host["state"], host["phase"]) for name, host in found.items()} == {
        "vault": ("rescued", None), "needs": ("failed", "remote"), "needs-too": ("failed", "remote"),
    }, done.printed  # fmt: skip
    assert found["needs"]["reason"] == "TOKEN_MISSING" and found["needs"]["next"]
    assert tokens == {"vault": "asl1.from.vault"}


@contextlib.contextmanager
def silent_port() -> Iterator[int]:
    """A port that takes connections and never says a word: a machine that hangs before sshd answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@contextlib.contextmanager
def closed_port() -> Iterator[int]:
    """A port where nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


def test_hosts_in_trouble_hold_up_nobody_and_stand_in_the_report(tmp_path: Path) -> None:
    ssh = {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_ssh_timeout": 3, "ansible_ssh_common_args": "-F none"}
    with silent_port() as silent, closed_port() as closed:
        hosts: dict[str, Any] = {
            "good-01": {}, "good-02": {}, "hangs": {"recorded_fault": "hang"}, "refuses": {"recorded_fault": "refuse"},
            "silent": {**ssh, "ansible_port": silent}, "gone": {**ssh, "ansible_port": closed}, "lost": {"recorded_fault": "lose"},
        }  # fmt: skip
        done = fleet.run(tmp_path, RESCUE, hosts, options=["-e", "asl_step_timeout=8"])
    assert done.code == 2, done.printed
    found = report(done)
    assert {name: (host["state"], host["phase"]) for name, host in found.items()} == {
        "good-01": ("rescued", None), "good-02": ("rescued", None), "hangs": ("failed", "preflight"), "refuses": ("failed", "preflight"),
        "silent": ("unreachable", "overlay"), "gone": ("unreachable", "overlay"), "lost": ("unreachable", "intake"),
    }  # fmt: skip
    assert found["refuses"]["reason"] == "NO_STORE"
    assert "8 second" in found["hangs"]["sentence"]
    for name, host in found.items():
        assert host["next"], name
        assert f"{name} " in done.printed
    assert "rescued=" not in done.printed


@pytest.mark.parametrize("state", ["hang", "refuse"])
def test_a_whole_fleet_in_trouble_is_reported_too(tmp_path: Path, state: str) -> None:
    hosts = {f"node-{number}": {"recorded_fault": state} for number in range(3)}
    done = fleet.run(tmp_path, RESCUE, hosts, options=["-e", "asl_step_timeout=3"])
    assert done.code == 2
    assert {host["state"] for host in report(done).values()} == {"failed"}
