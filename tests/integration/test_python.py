# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host without a Python, or with an old one, is told so in a sentence; a machine that is no live system gets nothing installed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from integration.support import CHECKOUT

SCRIPT = (CHECKOUT / "playbooks/files/python.sh").read_text()
ANSIBLE = Path(sys.executable).with_name("ansible-playbook")
SH = "/bin/sh"


def look(path: Path, mode: str = "look") -> subprocess.CompletedProcess[str]:
    """Run the script with nothing but PATH on its path."""
    env = {"PATH": str(path), "ASL_PYTHON": mode}
    return subprocess.run([SH, "-c", SCRIPT], env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A path with awk and no Python."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "awk").symlink_to("/usr/bin/awk")
    return tmp_path / "bin"


def script(path: Path, text: str) -> None:
    path.write_text(f"#!{SH}\n{text}\n")
    path.chmod(0o755)


def test_the_newest_python_that_fits_is_found(bare: Path) -> None:
    (bare / "python3").symlink_to(sys.executable)
    assert look(bare).stdout.strip() == str(bare / "python3")
    (bare / "python3.11").symlink_to(sys.executable)
    assert look(bare).stdout.strip() == str(bare / "python3.11")


def test_no_python_and_an_old_one_are_different_sentences(bare: Path) -> None:
    none = look(bare)
    assert (none.returncode, none.stdout) == (1, "there is no Python on this host, and the tools need 3.9 or newer [PYTHON_MISSING]\n")
    script(bare / "python3", "exit 1")
    old = look(bare)
    assert (old.returncode, old.stdout) == (1, f"the tools need Python 3.9 or newer, and {bare / 'python3'} is older [PYTHON_TOO_OLD]\n")


def test_nothing_is_installed_on_a_system_whose_root_is_a_disk(bare: Path) -> None:
    script(bare / "apt-get", f"echo called >> {bare}/called")
    root = next(line.split()[2] for line in reversed(Path("/proc/mounts").read_text().splitlines()) if line.split()[1] == "/")
    if root in ("overlay", "tmpfs"):
        pytest.skip(f"/ of this machine is {root}: that it is refused cannot be tried here")
    done = look(bare, "install")
    assert (done.returncode, done.stdout) == (1, f"/ is {root}, not a live system in RAM, so nothing is installed here [NOT_LIVE_ROOT]\n")
    assert not (bare / "called").exists()


BARE = """
from ansible.plugins.connection.local import Connection as Local
DOCUMENTATION = "{{name: bare, short_description: a host whose shell finds no Python, description: [For a test.], options: {{}}}}"


class Connection(Local):
    transport = "bare"

    def exec_command(self, cmd, in_data=None, sudoable=True):
        return super().exec_command("PATH={path}; export PATH; " + cmd, in_data, sudoable)
"""


def test_survey_says_it_and_goes_on_with_the_others(bare: Path, tmp_path: Path) -> None:
    """Two hosts of this machine; the shell of one of them finds no Python."""
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "bare.py").write_text(BARE.format(path=bare))
    hosts = {"good": {"ansible_connection": "local"}, "bare": {"ansible_connection": "bare"}}
    (tmp_path / "hosts.json").write_text(json.dumps({"all": {"children": {"broken-hosts": {"hosts": hosts}}}}))
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "ASL_"))}
    env = {**plain, "LC_ALL": "C.UTF-8", "ANSIBLE_CONNECTION_PLUGINS": str(tmp_path / "plugins")}
    done = subprocess.run(
        [str(ANSIBLE), "-i", str(tmp_path / "hosts.json"), "playbooks/survey.yml"],
        cwd=CHECKOUT, env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False,
    )  # fmt: skip
    assert done.returncode == 2, done.stdout + done.stderr
    said = "there is no Python on this host, and the tools need 3.9 or newer [PYTHON_MISSING]. Next: ansible-playbook bootstrap.yml -l bare"
    assert said in done.stdout
    assert "failed            1  bare" in done.stdout
    assert "done              1  good" in done.stdout
