# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Three hosts in one domain: what is there, what was sent, and what their tokens cannot do."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from testinfra.host import Host

STORE = "/srv/asl/rescue-domain"


def test_every_host_has_one_snapshot_and_the_store_is_sound(gateway: Host, snapshots: list[dict[str, Any]], scene: Any) -> None:
    assert sorted(source for each in snapshots for source in each["sources"]) == sorted(name for (name,) in scene["sources"].values())
    assert json.loads(gateway.check_output(f"asl-admin verify --store {STORE} --json"))["ok"]
    assert json.loads(gateway.check_output(f"asl-debug check --store {STORE} --json"))["ok"]


def test_the_second_and_third_host_sent_only_what_differs(gateway: Host, snapshots: list[dict[str, Any]], scene: Any) -> None:
    status = json.loads(gateway.check_output(f"asl-admin status --store {STORE} --json"))
    one = snapshots[0]["size"]
    assert status["block_bytes"] < one + 2 * scene["own"] + (4 << 20)
    assert len({each["digest"] for each in snapshots}) == 3


def test_what_went_over_the_wire_is_what_differs(gateway: Host, snapshots: list[dict[str, Any]], scene: Any) -> None:
    """All that the gateway was sent, by its own lines, also in the second run, which sends nothing."""
    lines = gateway.check_output("journalctl --unit asl-gateway --no-pager --output cat").splitlines()
    asked = [json.loads(line) for line in lines if line.startswith("{") and '"message": "request"' in line]
    sent = sum(int(line.get("size") or 0) for line in asked if line["method"] == "PUT")
    one = snapshots[0]["size"]
    assert scene["own"] * 3 < sent < one + 2 * scene["own"] + (8 << 20), (sent, one)


def test_what_was_rescued_comes_back(gateway: Host, hosts: Callable[[str], Host], snapshots: list[dict[str, Any]], scene: Any) -> None:
    for name, (source,) in scene["sources"].items():
        (snapshot,) = [each["snapshot"] for each in snapshots if each["sources"] == [source]]
        gateway.check_output(f"asl-admin restore {snapshot} --file /var/tmp/back.img --store {STORE} --json")
        back = gateway.check_output("sha256sum /var/tmp/back.img").split()[0]
        assert back == hosts(name).check_output(f"sha256sum {source.removeprefix('device:')}").split()[0], name
        gateway.check_output("rm /var/tmp/back.img")


def test_the_unit_is_hardened(gateway: Host) -> None:
    told = gateway.check_output("systemd-analyze security asl-gateway.service --no-pager")
    exposure = re.search(r"Overall exposure level for asl-gateway.service: ([0-9.]+)", told)
    assert exposure and float(exposure.group(1)) < 2.0, told[-3000:]
    assert gateway.service("asl-gateway").is_running


def test_a_rescued_host_can_neither_read_nor_list(host: Host) -> None:
    if host.backend.get_hostname() == "gateway-01":
        return
    for command in ("asl-admin snapshots", "asl-admin verify"):
        refused = host.run(f"{command} --json")
        assert refused.rc == 4, refused.stdout
        assert json.loads(refused.stdout)["reason"] == "TOKEN_VERB"
    assert host.file("/run/asl/token").mode == 0o600
    assert json.loads(host.check_output("asl-admin token show /run/asl/token --json"))["verbs"] == ["add"]


def test_no_secret_is_in_a_log_or_a_report(gateway: Host, host: Host) -> None:
    journal = gateway.check_output("journalctl --unit asl-gateway --no-pager")
    assert "request" in journal and "asl1." not in journal
    key = gateway.check_output("cut -d: -f2 /etc/asl-gateway/token.keys").strip()
    assert key not in journal
