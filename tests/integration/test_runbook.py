# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every command of README.md and docs/runbook.md, typed in their order, on a crashed host of the rig."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from integration.support import CHECKOUT

PROJECT, HOST = "practice", "web07.example.com"
RIG = [sys.executable, "-B", "tests/rig/run", "--project", PROJECT]
PROMPT = re.compile(r"^(control\$|web07#) (.*)$", re.MULTILINE)
# What other tests run, or what a person does once with a machine of his own.
ELSEWHERE = {
    "make demo": "the rig's own demonstration",
    "make test": "this is part of it",
    "make build && ansible-galaxy collection install .cache/asl-rescue-*.tar.gz": "test_collection.py",
}


class Command(NamedTuple):
    """A line that somebody is told to type: where, and what."""

    page: str
    prompt: str
    line: str


def commands() -> list[Command]:
    return [
        Command(page, prompt, line)
        for page in ("README.md", "docs/runbook.md")
        for prompt, line in PROMPT.findall((CHECKOUT / page).read_text())
        if line not in ELSEWHERE
    ]


def run(argv: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "PYTEST_", "ASL_"))}
    env = {**plain, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "LC_ALL": "C.UTF-8", **environment}
    return subprocess.run(argv, cwd=CHECKOUT, env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A crashed host called web07.example.com, as the README says how to get one; a home without known hosts."""
    built = run([*RIG, "scene", HOST])
    assert built.returncode == 0, built.stdout + built.stderr
    yield tmp_path_factory.mktemp("home")
    run([*RIG, "down"])


def typed(command: Command, home: Path) -> subprocess.CompletedProcess[str]:
    """What becomes of COMMAND when somebody types it. The inventory of the rig stands where the README has people put theirs."""
    line = command.line.replace("SHA256:…", fingerprint()) if "SHA256:…" in command.line else command.line
    if command.prompt == "web07#":
        return run([*RIG, "exec", HOST, line])
    environment = {"ANSIBLE_INVENTORY": f"/run/asl-rig/{PROJECT}/hosts.yml", "HOME": str(home)}
    return run([*RIG, "inside", "--", "sh", "-c", line], **environment)


def fingerprint() -> str:
    """As it is read from the console of the host."""
    shown = run([*RIG, "exec", HOST, "ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key"])
    return shown.stdout.split()[1]


@pytest.mark.root
def test_every_command_does_what_the_page_says(host: Path) -> None:
    told = commands()
    assert {command.page for command in told} == {"README.md", "docs/runbook.md"}
    for command in told:
        done = typed(command, host)
        assert done.returncode == 0, f"{command.page}: {command.line}\n{done.stdout[-4000:]}{done.stderr[-2000:]}"
    assert "known_hosts.rescue" in [path.name for path in (host / ".ssh").iterdir()]


def test_boxes_are_the_only_place_for_commands() -> None:
    """A command that stands outside of a box is one that nobody has tried."""
    for page in ("README.md", "docs/runbook.md"):
        text = (CHECKOUT / page).read_text()
        boxes = "".join(re.findall(r"```console\n(.*?)```", text, re.DOTALL))
        assert all(PROMPT.fullmatch(line) for line in boxes.splitlines()), page
        assert len(PROMPT.findall(text)) == len(PROMPT.findall(boxes)), page
        for _prompt, line in PROMPT.findall(boxes):
            assert shlex.split(line)


def test_every_playbook_that_is_named_exists() -> None:
    for path in [CHECKOUT / "README.md", *(CHECKOUT / "docs").glob("*.md")]:
        for name in re.findall(r"playbooks/([a-z]+\.yml)", path.read_text()):
            assert (CHECKOUT / "playbooks" / name).is_file(), f"{path.name}: {name}"
