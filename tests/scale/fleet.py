# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a playbook over hosts that answer from recorded results, and say what it cost.

tests/scale/fleet.py --hosts 1000 --forks 50          # rescue.yml beside a playbook of no-ops of the same size
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parents[1]
PLAYBOOKS = {"rescue.yml": CHECKOUT / "playbooks" / "rescue.yml", "no-op": HERE / "noop.yml"}


class Run(NamedTuple):
    """How a run ended: its status, what it printed, what it cost (callback_plugins/account.py), and where its reports are."""

    code: int
    printed: str
    cost: dict[str, Any]
    reports: Path


def run(folder: Path, playbook: Path, hosts: Mapping[str, Any], *, forks: int = 50, options: Sequence[str] = (), **environment: str) -> Run:
    """Run PLAYBOOK over HOSTS, name to variables, in FOLDER."""
    folder.mkdir(parents=True, exist_ok=True)
    common = {
        "ansible_connection": "recorded", "ansible_python_interpreter": "/usr/bin/python3", "asl_sources": ["tree:/srv", "device:/dev/sda"],
        "asl_report_dir": str(folder / "reports"),
    }  # fmt: skip
    inventory = folder / "hosts.json"
    inventory.write_text(json.dumps({"all": {"children": {"broken-hosts": {"hosts": hosts, "vars": common}}}}))
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "ASL_"))}
    env = {
        **plain, "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"), "LC_ALL": "C.UTF-8", "ASL_ACCOUNT": str(folder / "cost.json"),
        "ANSIBLE_CONNECTION_PLUGINS": str(HERE / "connection_plugins"), "ANSIBLE_CALLBACK_PLUGINS": str(HERE / "callback_plugins"),
        "ANSIBLE_CALLBACKS_ENABLED": "account", "ANSIBLE_LOCAL_TEMP": str(folder / "tmp"), **environment,
    }  # fmt: skip
    ansible = Path(sys.executable).with_name("ansible-playbook")
    argv = [str(ansible), "-i", str(inventory), "--forks", str(forks), *options, str(playbook)]
    done = subprocess.run(argv, cwd=CHECKOUT, env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    cost = folder / "cost.json"
    return Run(done.returncode, done.stdout + done.stderr, json.loads(cost.read_text()) if cost.exists() else {}, folder / "reports")


def names(count: int) -> dict[str, Any]:
    """So many hosts."""
    return {f"node{number:05}.example.com": {} for number in range(count)}


def line(name: str, cost: Mapping[str, Any]) -> str:
    """The cost of a run as a row."""
    each = cost["host_tasks"]
    figures = [
        f"{cost['most_tasks']}", f"{cost['wall']:.0f} s",
        f"{1000 * cost['parent_cpu'] / each:.1f} ms", f"{1000 * cost['workers_cpu'] / each:.1f} ms",
        f"{cost['parent_peak'] / 2**20:.0f} MiB", f"{cost['worker_peak'] / 2**20:.0f} MiB",
    ]  # fmt: skip
    return "  ".join([name.ljust(12), *(figure.rjust(12) for figure in figures)])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hosts", type=int, default=1000)
    parser.add_argument("--forks", type=int, default=50)
    parser.add_argument("--strategy", default="", help="linear, free or host_pinned")
    parser.add_argument("--json", action="store_true", help="the whole of what was measured")
    wanted = parser.parse_args()
    heads = ["tasks a host", "wall", "parent CPU *", "workers' *", "parent peak", "worker peak"]
    print(f"{wanted.hosts} hosts, {wanted.forks} forks; * for each host and task")
    print("  ".join(["".ljust(12), *(head.rjust(12) for head in heads)]), flush=True)
    environment = {"ANSIBLE_STRATEGY": wanted.strategy} if wanted.strategy else {}
    with tempfile.TemporaryDirectory(prefix="asl-scale-") as folder:
        for name, playbook in PLAYBOOKS.items():
            done = run(Path(folder) / name, playbook, names(wanted.hosts), forks=wanted.forks, **environment)
            if done.code or not done.cost:
                print(f"{name} ended with {done.code}:\n{done.printed[-3000:]}", file=sys.stderr)
                return 1
            print(line(name, done.cost), flush=True)
            if wanted.json:
                print(json.dumps(done.cost), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
