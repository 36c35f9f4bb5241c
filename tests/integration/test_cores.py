# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection under every ansible-core it supports, each with a Python of its own: what differs is how results reach a callback."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from integration.support import CHECKOUT
from integration.test_pythons import find
from rig import bootstrap

# ansible-core: the Python it is tried with.
CORES = {"2.19": "3.11", "2.20": "3.12", "2.21": "3.12", "2.22": "3.13"}
MODULES = [
    "asl_host_key", "asl_image", "asl_ingest", "asl_overlay", "asl_pool_import", "asl_preflight", "asl_report", "asl_restore", "asl_verify",
]  # fmt: skip


def core(version: str) -> Path:
    """The folder with the programs of ansible-core VERSION; made when it is not there. Candidates of a release are taken too."""
    python = find(CORES[version])
    if python is None:
        pytest.skip(f"Python {CORES[version]} is NOT on this machine: ansible-core {version} was not tried")
    folder = bootstrap.CACHE / f"core-{version}"
    with bootstrap.alone():
        requirements = folder.with_suffix(".d") / f"requirements-core-{version}.txt"
        requirements.parent.mkdir(parents=True, exist_ok=True)
        requirements.write_text(f"ansible-core~={version}.0rc1\njinja2>=3.1\n")
        return bootstrap.environment(folder, requirements, python).parent


@pytest.fixture(params=CORES)
def programs(request: pytest.FixtureRequest) -> Path:
    return core(request.param)


def run(programs: Path, *argv: str, code: int = 0, **environment: str) -> str:
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "ASL_"))}
    env = {**plain, "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"), "LC_ALL": "C.UTF-8", **environment}
    done = subprocess.run(
        [str(programs / argv[0]), *argv[1:]], cwd=CHECKOUT, env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
    )
    assert done.returncode == code, done.stdout[-4000:] + done.stderr[-2000:]
    assert "DEPRECATION" not in done.stdout + done.stderr
    return done.stdout


def test_a_rescue_and_its_report(programs: Path, tmp_path: Path) -> None:
    scale = CHECKOUT / "tests" / "scale"
    hosts = {"good": {}, "refuses": {"recorded_fault": "refuse"}, "gone": {"recorded_fault": "unreachable"}}
    common = {
        "ansible_connection": "recorded", "ansible_python_interpreter": "/usr/bin/python3", "asl_sources": ["tree:/srv"],
        "asl_report_dir": str(tmp_path / "reports"),
    }  # fmt: skip
    (tmp_path / "hosts.json").write_text(json.dumps({"all": {"children": {"broken-hosts": {"hosts": hosts, "vars": common}}}}))
    said = run(
        programs, "ansible-playbook", "-i", str(tmp_path / "hosts.json"), "playbooks/rescue.yml", code=2,
        ANSIBLE_CONNECTION_PLUGINS=str(scale / "connection_plugins"), ASL_FLEET_EVENTS=str(tmp_path / "events"),
    )  # fmt: skip
    report = json.loads((tmp_path / "reports" / "report.json").read_text())
    assert {host["host"]: host["state"] for host in report["hosts"]} == {"good": "rescued", "refuses": "failed", "gone": "unreachable"}
    assert "changed     good     intake     snapshot 1 in /mnt/asl/local" in said
    assert "3 hosts · 1 done · 1 failed · 1 unreachable" in said
    assert json.loads((tmp_path / "events").read_text().splitlines()[-1])["counts"] == {"done": 1, "failed": 1, "unreachable": 1}


def test_a_survey_with_tools_that_are_carried(programs: Path, tmp_path: Path) -> None:
    here = {"here": {"ansible_connection": "local"}}
    (tmp_path / "hosts.json").write_text(json.dumps({"all": {"children": {"broken-hosts": {"hosts": here}}}}))
    said = run(programs, "ansible-playbook", "-i", str(tmp_path / "hosts.json"), "playbooks/survey.yml")
    assert "ok          here  preflight" in said
    assert "done              1  here" in said


def test_images(programs: Path, tmp_path: Path) -> None:
    run(programs, "ansible-playbook", "-i", "localhost,", "playbooks/image.yml", "-e", f"asl_image_dir={tmp_path / 'images'}")
    assert (tmp_path / "images" / "SHA256SUMS").is_file()


def test_documentation(programs: Path) -> None:
    names = [f"asl.rescue.{name}" for name in MODULES]
    assert all(name in run(programs, "ansible-doc", "-t", "module", "--json", *names) for name in names)
    assert "group_beyond" in run(programs, "ansible-doc", "-t", "callback", "asl.rescue.fleet")
    assert "overlay_conf" in run(programs, "ansible-doc", "-t", "role", "asl.rescue.overlay")
