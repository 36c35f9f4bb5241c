# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The snapshot on the host: there, verified, and the same whether the intake was killed or not."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import testinfra
from testinfra.host import Host

STORE = "--store /mnt/asl/local"


def test_there_is_one_snapshot_of_both_sources(host: Host, tool: Callable[..., Any], scene: Any) -> None:
    (snapshot,) = tool(f"asl-admin snapshots {STORE}")["snapshots"]
    assert snapshot["labels"] == {"host": host.check_output("hostname")}, "it is known whose it is"
    shown = tool(f"asl-admin show host={snapshot['labels']['host']} {STORE}")
    assert [row["source"] for row in shown["sources"]] == scene["sources"]
    assert [row["bytes_unread"] for row in shown["sources"]] == [0, 0]


def test_the_dirty_filesystem_is_labelled(tool: Callable[..., Any]) -> None:
    (snapshot,) = tool(f"asl-admin snapshots {STORE}")["snapshots"]
    shown = tool(f"asl-admin show {snapshot['snapshot']} {STORE}")
    assert shown["sources"][0]["view"] == "journal not replayed"


def test_it_verifies_and_the_store_is_sound(tool: Callable[..., Any]) -> None:
    (snapshot,) = tool(f"asl-admin snapshots {STORE}")["snapshots"]
    assert tool(f"asl-admin verify {snapshot['snapshot']} {STORE}")
    assert tool(f"asl-debug check {STORE}")["ok"] is True


def test_the_killed_intake_has_the_digest_of_the_undisturbed_one(request: Any) -> None:
    digests = []
    for name in ("broken-01", "broken-02"):
        inventory = request.config.getoption("ansible_inventory")
        host = testinfra.get_host(f"ansible://{name}", ansible_inventory=inventory)
        (row,) = json.loads(host.check_output(f"asl-admin snapshots {STORE} --json"))["snapshots"]
        digests.append(row["digest"])
    assert digests[0] == digests[1]
