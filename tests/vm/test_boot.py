# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The overlay baked into the live system: what its units do at boot, and once the operator has decided."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from vm import layer
from vm.conftest import BY_ID, project, sh
from vm.machine import Machine


@pytest.fixture(scope="module")
def baked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    machine = Machine(project("baked"))
    try:
        machine.up({"one": "256M"}, layers=[layer.make(tmp_path_factory.mktemp("layer"))])
        yield machine
    finally:
        machine.down()


def document(vm: Machine, line: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(vm.output(f"{line} --json"))
    return found


def shown(vm: Machine, unit: str, *names: str) -> list[str]:
    """Properties of a unit."""
    return [vm.output(f"systemctl show -P {name} {unit}") for name in names]


def test_at_boot_and_afterwards(baked: Machine) -> None:
    """One test, for it is one story: nothing to be had, so the service waits; a pool is approved, so it works into that."""
    vm = baked
    sh(vm, "systemctl is-system-running --wait || true")
    nothing_is_decided(vm)
    the_operator_says_where(vm)
    a_pool_is_approved(vm)


def nothing_is_decided(vm: Machine) -> None:
    assert shown(vm, "asl-preflight.service", "ActiveState", "Result", "ExecMainStatus") == ["active", "success", "0"]
    assert vm.pull("/run/asl/mode").split() == [b"none"]
    report = json.loads(vm.pull("/run/asl/preflight.json"))
    assert (report["mode"], report["reason"]) == ("none", "NOTHING_AVAILABLE")
    assert report["facts"]["zfs"]["status"] == "loadable"
    assert vm.output("lsmod | grep -c '^zfs' || true") == "0", "looking loads nothing"
    assert document(vm, "asl-debug overlay")["ok"] is True
    assert vm.output("findmnt -no FSTYPE /") == "overlay"
    assert shown(vm, "asl-intake.service", "ActiveState", "NRestarts") == ["active", "0"]
    # The unit is up before Python is.
    vm.run("until journalctl -b -o cat -u asl-intake.service | grep -q 'waiting for the operator'; do :; done", timeout=300)
    began, decided = (int(shown(vm, unit, name)[0]) for unit, name in (
        ("asl-intake.service", "ExecMainStartTimestampMonotonic"), ("asl-preflight.service", "ExecMainExitTimestampMonotonic"),
    ))  # fmt: skip
    assert began >= decided, "the service begins when it is decided"


def the_operator_says_where(vm: Machine) -> None:
    refused = vm.run("asl-intake submit tree:/etc/systemd --json", check=False)
    assert (refused.returncode, json.loads(refused.stdout)["reason"]) == (4, "MODE_NONE")
    sh(vm, "mkdir /run/elsewhere; asl-admin init /run/elsewhere/store")
    job = document(vm, "asl-intake submit tree:/etc/systemd --store /run/elsewhere/store")
    done = document(vm, f"asl-intake wait {job['job']} --collect")
    assert (done["finished"], done["result"]["exit_code"]) == (True, 0)
    assert vm.output("pgrep -fc 'asl-intake serve'") == "1", "the service did it, no other process"


def a_pool_is_approved(vm: Machine) -> None:
    sh(vm, f"modprobe zfs; zpool create -f rescuepool {BY_ID}-one; zpool export rescuepool")
    [pool] = document(vm, "asl-intake survey")["pools"]
    sh(vm, f"printf 'mode = local\\nlocal.approved = {pool['guid']}\\n' > /etc/asl/asl.conf; systemctl restart asl-preflight.service")
    report = json.loads(vm.pull("/run/asl/preflight.json"))
    assert (vm.pull("/run/asl/mode").split(), report["reason"]) == ([b"local"], "LOCAL_ELIGIBLE"), "within the sandbox of the unit, too"
    assert vm.output("zpool list -H -o name") == "", "a unit imports nothing"
    document(vm, f"asl-admin pool import {pool['guid']} --role backend --init")
    sh(vm, "systemctl restart asl-preflight.service asl-intake.service")
    assert json.loads(vm.pull("/run/asl/preflight.json"))["reason"] == "LOCAL_READY"
    job = document(vm, "asl-intake submit tree:/etc/systemd")
    done = document(vm, f"asl-intake wait {job['job']} --collect")["result"]
    assert (done["store"], done["zfs_snapshot"]["held"]) == ("/mnt/asl/local", True)
    sh(vm, "systemctl stop asl-intake.service")
    document(vm, "asl-admin pool export --all")
    assert vm.output("zpool list -H -o name") == ""
