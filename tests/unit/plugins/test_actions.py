# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action plugins, run by ansible-playbook: the bundle travels only when it is needed, and nothing of it stays."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from unit.plugins import returned
from unit.plugins.support import CHECKOUT

Play = Any
ANSIBLE = Path(sys.executable).with_name("ansible-playbook")
PLAYBOOK = """
- hosts: all
  gather_facts: false
  vars: {{ansible_python_interpreter: {python}, ansible_remote_tmp: {tmp}/remote}}
  tasks:
    - asl.rescue.{module}: {options}
      register: found
      ignore_errors: true
    - ansible.builtin.copy:
        content: "{{{{ found | to_json }}}}"
        dest: {tmp}/result.json
        mode: "0600"
      check_mode: false
      diff: false
"""


@pytest.fixture
def play(tmp_path: Path) -> Play:
    def run(module: str, options: dict[str, Any], *arguments: str) -> dict[str, Any]:
        text = PLAYBOOK.format(python=sys.executable, tmp=tmp_path, module=module, options=json.dumps(options))
        (tmp_path / "play.yml").write_text(text)
        environment = {
            **os.environ, "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"), "ANSIBLE_LOCAL_TEMP": str(tmp_path / "local"),
            "PATH": f"{tmp_path}/bin:{os.environ['PATH']}",
        }  # fmt: skip
        done = subprocess.run(
            [str(ANSIBLE), "-i", "localhost,", "-c", "local", *arguments, str(tmp_path / "play.yml")],
            cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        found: dict[str, Any] = json.loads((tmp_path / "result.json").read_text())
        returned.note(module, found)
        return found

    return run


def leftovers(tmp_path: Path) -> list[str]:
    return [path.name for path in (tmp_path / "remote").rglob("*") if path.is_file()]


def test_the_overlay_is_carried_laid_and_removed(play: Play, root: str, tmp_path: Path) -> None:
    predicted = play("asl_overlay", {"root": root}, "--check")
    assert not Path(root, "usr/local/lib/asl").exists()
    done = play("asl_overlay", {"root": root})
    assert predicted["actions"] == done["actions"] != []
    again = play("asl_overlay", {"root": root})
    assert (again["changed"], again["actions"]) == (False, [])
    assert "needs_bundle" not in done | again
    gone = play("asl_overlay", {"root": root, "state": "absent"})
    assert gone["changed"] is True
    assert not Path(root, "usr/local/lib/asl").exists()
    assert leftovers(tmp_path) == []
    assert not list((CHECKOUT / "overlay").rglob("*.pyc"))


def test_a_host_without_tools_is_looked_at_with_tools_that_are_carried(play: Play, root: str, tmp_path: Path) -> None:
    before = sorted(Path(root).rglob("*"))
    seen = play("asl_preflight", {"_root": root}, "--check")
    assert seen["failed"] is False
    assert seen["mode"] in ("local", "remote", "none")
    assert sorted(Path(root).rglob("*")) == before
    assert leftovers(tmp_path) == []


def test_a_restore_carries_its_tools_and_warns_of_losses(play: Play, root: str, tmp_path: Path) -> None:
    image, store = tmp_path / "disk.img", tmp_path / "store"
    image.write_bytes(b"x" * 65536)
    (tmp_path / "bad.map").write_text("0 + 1\n0 4096 +\n4096 512 -\n4608 60928 +\n")
    environment = {**os.environ, "ASL_STATE_DIR": str(tmp_path / "state"), "ASL_RUN_DIR": str(tmp_path / "run")}
    taken = ["run", f"device:{image}", "--map", str(tmp_path / "bad.map"), "--store", str(store)]
    for tool, words in (("asl-admin", ["init", str(store)]), ("asl-intake", taken)):
        argv = [sys.executable, "-B", str(CHECKOUT / "overlay/usr/local/bin" / tool), *words]
        assert subprocess.run(argv, env=environment, capture_output=True, check=False).returncode in (0, 1)
    wanted = {"_root": root, "snapshot": "latest", "file": str(tmp_path / "back"), "store": str(store)}
    predicted = play("asl_restore", wanted, "--check", "--diff")
    assert predicted["diff"]["prepared"] == f"make {tmp_path / 'back'}\n" and not (tmp_path / "back").exists()
    done = play("asl_restore", wanted)
    assert (tmp_path / "back").read_bytes() == b"x" * 4096 + bytes(512) + b"x" * 60928
    assert done["changed"] and "512 bytes at 4096" in done["warnings"][0]
    assert leftovers(tmp_path) == []


def test_a_report_is_written_on_the_control_node(play: Play, tmp_path: Path) -> None:
    done = play("asl_report", {"dir": str(tmp_path / "reports")})
    assert (done["changed"], done["not_rescued"]) == (False, ["localhost"])
    assert (tmp_path / "reports" / "localhost.json").is_file()
    (tmp_path / "file").touch()
    failed = play("asl_report", {"dir": str(tmp_path / "file" / "reports")})
    assert failed["failed"] is True
    assert str(tmp_path / "file" / "reports") in failed["msg"]
    play("asl_report", {"dir": str(tmp_path / "none")}, "--check")
    assert not (tmp_path / "none").exists()


def test_a_host_key_check_run_run_check(play: Play, tmp_path: Path) -> None:
    """With what ssh-keyscan prints for a machine whose key was made just now; tests/integration/test_runbook.py has a real machine."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "key")], check=True)
    shown = subprocess.run(["ssh-keygen", "-lf", str(tmp_path / "key")], capture_output=True, text=True, check=True).stdout.split()[1]
    scan = tmp_path / "bin" / "ssh-keyscan"
    scan.parent.mkdir()
    scan.write_text(f"#!/bin/sh\necho '# 192.0.2.7:22 SSH-2.0-OpenSSH_9.2p1'\necho 192.0.2.7 {(tmp_path / 'key.pub').read_text()}")
    scan.chmod(0o755)
    options = {"address": "192.0.2.7", "known_hosts": str(tmp_path / "known")}
    unknown = play("asl_host_key", options)
    assert (unknown["failed"], unknown["reason"], unknown["offered"]) == (True, "HOST_KEY_UNKNOWN", [shown])
    assert unknown["hint"] in unknown["msg"]
    predicted = play("asl_host_key", {**options, "fingerprint": shown}, "--check")
    assert not (tmp_path / "known").exists()
    done = play("asl_host_key", {**options, "fingerprint": shown})
    assert done["actions"] == predicted["actions"] == [f"learn {shown} (ssh-ed25519) of 192.0.2.7"]
    again = play("asl_host_key", {**options, "fingerprint": shown}, "--check")
    assert (done["changed"], again["changed"], again["actions"]) == (True, False, [])


def test_images_check_run_run_and_what_stops_them(play: Play, tmp_path: Path) -> None:
    options: dict[str, Any] = {"dir": str(tmp_path / "images"), "services": False}
    predicted = play("asl_image", options, "--check")
    assert not (tmp_path / "images").exists()
    done = play("asl_image", options)
    assert predicted["actions"] == done["actions"] == [f"write {name}" for name in sorted(done["files"])]
    assert {name: (tmp_path / "images" / name).stat().st_size for name in done["files"]} == done["files"]
    again = play("asl_image", options)
    assert (again["changed"], again["actions"], again["digest"]) == (False, [], done["digest"])
    refused = play("asl_image", {**options, "conf": {"asl.conf": "no.such.key = 1\n"}})
    assert (refused["failed"], refused["reason"]) == (True, "CONFIG_INVALID")
    assert refused["hint"] in refused["msg"]
