# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an operator sees while ansible-playbook works: on a terminal, in a pipe, and as events for machines."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from integration.support import CHECKOUT, Machine

ANSIBLE = Path(sys.executable).with_name("ansible-playbook")
MIB = 1 << 20
HOSTS = ("web07", "db01")
PLAY = [{
    "name": "Intake - read every readable byte", "hosts": "all", "gather_facts": False,
    "vars": {"top": "{{ rig }}/{{ inventory_hostname }}"},
    "environment": {"ASL_STATE_DIR": "{{ top }}/var/lib/asl", "ASL_RUN_DIR": "{{ top }}/run/asl"},
    "module_defaults": {"group/asl.rescue.asl": {"_root": "{{ top }}"}},
    "tasks": [
        {"name": "Lay", "asl.rescue.asl_overlay": {"root": "{{ top }}", "allow_non_live_root": True}},
        {
            "name": "Read the sources", "ansible.builtin.import_role": {"name": "asl.rescue.intake", "rolespec_validate": False},
            "vars": {
                "intake_sources": ["device:{{ rig }}/{{ inventory_hostname }}.img"], "intake_store": "{{ rig }}/store", "intake_poll": 1,
                "intake_settings": {"intake.bandwidth": "2MiB"},
            },
        },
        {"name": "A task of somebody else", "ansible.builtin.command": {"argv": ["echo", "hello"]}},
        {"name": "End", "ansible.builtin.fail": {"msg": "{{ inventory_hostname }} is not safe"}, "when": "inventory_hostname == 'db01'"},
    ],
}]  # fmt: skip


@pytest.fixture
def command(tmp_path: Path, machine: Machine) -> list[str]:
    """A playbook over two hosts of this machine, each with a root of its own; they share a store and read a few seconds long."""
    for number, name in enumerate(HOSTS):
        for folder in ("etc/systemd/system", "mnt", "run", "usr/local/bin", "usr/local/lib", "var/lib"):
            (tmp_path / name / folder).mkdir(parents=True)
        (tmp_path / f"{name}.img").write_bytes(os.urandom((16 + 8 * number) * MIB))
    machine.init(tmp_path / "store")
    common = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable, "rig": str(tmp_path)}
    (tmp_path / "hosts.yml").write_text(json.dumps({"all": {"hosts": {name: {} for name in HOSTS}, "vars": common}}))
    (tmp_path / "play.yml").write_text(json.dumps(PLAY))
    return [str(ANSIBLE), "-i", str(tmp_path / "hosts.yml"), str(tmp_path / "play.yml")]


def environment(**more: str) -> dict[str, str]:
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "ASL_"))}
    return {**plain, "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"), "LC_ALL": "C.UTF-8", "TERM": "xterm", **more}


def in_a_pipe(command: list[str], **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=CHECKOUT, env=environment(**more), capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False, timeout=300
    )


def on_a_terminal(command: list[str], **more: str) -> str:
    """Everything that the run wrote to its terminal, in order."""
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(CHECKOUT)
        os.execve(command[0], command, environment(**more))
    written = b""
    while select.select([terminal], [], [], 300)[0]:
        try:
            part = os.read(terminal, 65536)
        except OSError:  # the other side is closed
            break
        written += part
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 2
    return written.decode()


def left_on_screen(text: str) -> str:
    """What stays when every drawing was wiped: a drawing begins by clearing what is below and ends with the cursor at its beginning."""
    drawing = r"\r\x1b\[J(?:[^\x1b]*?\r(?!\n|\x1b\[J)(?:\x1b\[\d+A)?)?"
    return re.sub(drawing, "", re.sub(r"\x1b\[[0-9;]*m", "", text)).replace("\r\n", "\n")


def test_in_a_pipe_there_are_plain_lines_and_nothing_that_alarms(command: list[str], tmp_path: Path) -> None:
    done = in_a_pipe(command, ASL_FLEET_INTERVAL="0", ASL_FLEET_EVENTS=str(tmp_path / "events"))
    assert done.returncode == 2, done.stdout + done.stderr
    assert "\x1b" not in done.stdout
    assert "RETRYING" not in done.stdout + done.stderr
    for name in HOSTS:
        assert re.search(rf"^{name}: reading device:\S+{name}.img · \d+ % · .* of .*MiB · .*MiB/s", done.stdout, re.MULTILINE), done.stdout
        assert re.search(rf"^changed +{name} +intake +snapshot \d in .*every byte", done.stdout, re.MULTILINE)
    assert "TASK [A task of somebody else]" in done.stdout
    assert re.search(r"^failed +db01 .*db01 is not safe$", done.stdout, re.MULTILINE)
    assert re.search(r"^done +1  web07\nfailed +1  db01\nchanged +2\n2 hosts · 1 done · 1 failed ", done.stdout, re.MULTILINE)
    check_events([json.loads(line) for line in (tmp_path / "events").read_text().splitlines()])


def check_events(events: list[dict[str, Any]]) -> None:
    assert [event["event"] for event in events][0 :: len(events) - 1] == ["run", "end"]
    assert [event["time"] for event in events] == sorted(event["time"] for event in events)
    told = [event["progress"] for event in events if event["event"] == "progress" and event["host"] == "db01"]
    done = [progress["bytes_done"] for progress in told if progress]
    assert done and done == sorted(done)
    ends = {(event["host"], event["phase"]): event["state"] for event in events if event["event"] == "result"}
    assert {key: state for key, state in ends.items() if key[1] == "intake"} == {(name, "intake"): "changed" for name in HOSTS}
    assert ends["db01", "end"] == "failed"
    assert events[-1]["counts"] == {"done": 1, "failed": 1}


def test_on_a_terminal_the_lines_are_drawn_in_place_and_leave_nothing_behind(command: list[str]) -> None:
    written = on_a_terminal(command)
    assert "RETRYING" not in written
    # A bar of either host, and both at once with the line of the fleet below them.
    assert re.search(r"\x1b\[Jweb07 .*[█▏▎▍▌▋▊▉░]{20} .*\r\ndb01 .*\r\n2 hosts · 2 reading · [^\r]*\r\x1b\[2A", written)
    stays = left_on_screen(written)
    assert "░" not in stays
    assert re.search(r"^changed +web07 +intake +snapshot", stays, re.MULTILINE)
    assert re.search(r"^done +1  web07$", stays, re.MULTILINE)


def test_a_large_fleet_is_grouped_and_events_that_cannot_be_written_stop_nothing(command: list[str]) -> None:
    done = in_a_pipe(command, ASL_FLEET_INTERVAL="0", ASL_FLEET_GROUP_BEYOND="1", ASL_FLEET_EVENTS="/dev/full")
    assert done.returncode == 2
    assert re.search(r"^reading +[12]  ", done.stdout, re.MULTILINE), done.stdout
    assert re.search(r"^  (db01|web07) +reading device:", done.stdout, re.MULTILINE)
    assert "changed     web07" not in done.stdout
    assert re.search(r"^failed +1  db01$", done.stdout, re.MULTILINE)
    assert (done.stdout + done.stderr).count("no events are written from here on: /dev/full") == 1
