# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The overlay on the host is the contract, and running it changes nothing of the operating system."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from testinfra.host import Host

CHECKOUT = Path(__file__).resolve().parents[3]
CONTRACT = yaml.safe_load((CHECKOUT / "overlay" / "overlay.yml").read_text())


def test_every_path_of_the_contract_is_there(host: Host) -> None:
    kinds = {"file": "regular file", "directory": "directory", "tree": "directory"}
    wanted = [
        f"{entry['path']}|{kinds[entry['type']]}|{entry['mode'].lstrip('0')}|{entry['owner']}|{entry['group']}"
        for entry in CONTRACT["entries"]
    ]
    paths = " ".join(entry["path"] for entry in CONTRACT["entries"])
    assert host.check_output(f"stat --format='%n|%F|%a|%U|%G' {paths}").split("\n") == wanted


def test_the_host_finds_no_deviation_itself(tool: Callable[..., Any]) -> None:
    assert tool("asl-debug overlay")["ok"] is True


def test_no_byte_code_lies_under_usr(host: Host) -> None:
    assert host.check_output("find /usr/local -name '*.pyc' -o -name __pycache__") == ""


def test_the_units_run(host: Host) -> None:
    for name in ("asl-preflight.service", "asl-intake.service"):
        assert host.service(name).is_enabled, name
        assert host.service(name).is_running, host.check_output("journalctl --no-pager -n 30 -u %s", name)


def test_preflight_chose_the_local_store(host: Host) -> None:
    assert host.file("/run/asl/mode").content_string.strip() == "local"


def test_the_tools_changed_nothing_of_the_system(host: Host) -> None:
    name = host.check_output("hostname")
    before = lines(Path(f"/run/asl-rig/molecule/system-{name}.txt").read_text())
    after = lines(host.check_output((CHECKOUT / "molecule" / "default" / "files" / "list_system.sh").read_text()))
    assert len(before) > 10_000
    assert sorted(before ^ after) == []


def lines(text: str) -> set[str]:
    """The lines of a listing; Ansible and ssh end them differently."""
    return {line.strip() for line in text.splitlines() if line.strip()}


def test_the_crashed_disk_was_not_written(scene: Any) -> None:
    now = subprocess.run(["sha256sum", scene["image"]], capture_output=True, text=True, check=True).stdout.split()[0]
    assert now == scene["sha256"]
