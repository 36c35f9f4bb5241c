# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role gateway on a machine of its own: an /etc that only this test sees."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from integration.support import CHECKOUT

from asl.config import load, load_federation, parse

ANSIBLE = Path(sys.executable).with_name("ansible-playbook")
# The folder $1 becomes /etc for the command that follows it, and for nothing else.
ELSEWHERE = 'mount --make-rprivate / && mount --bind "$1" /etc && shift && exec "$@"'

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="an /etc of its own needs root")


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    """An /etc with the account of the gateway."""
    folder = tmp_path / "etc"
    (folder / "asl-gateway").mkdir(parents=True)
    (folder / "passwd").write_text("root:x:0:0:root:/root:/bin/sh\nasl-gateway:x:871:871::/nonexistent:/usr/sbin/nologin\n")
    (folder / "group").write_text("root:x:0:\nasl-gateway:x:871:\n")
    return folder


def configure(tmp_path: Path, etc: Path, **variables: object) -> str:
    """Run the tasks of the role that write its configuration; what Ansible says of it."""
    play = [{
        "hosts": "all", "connection": "local", "gather_facts": False,
        "vars": {"ansible_python_interpreter": "/usr/bin/python3", **variables},
        "tasks": [
            {"import_role": {"name": "asl.rescue.gateway", "tasks_from": "peers.yml"}},
            {"template": {"src": str(CHECKOUT / "roles/gateway/templates/gateway.conf.j2"), "dest": "/etc/asl-gateway/gateway.conf"}},
            {"meta": "end_play"},  # before the handlers: no unit runs here
        ],
    }]  # fmt: skip
    (tmp_path / "play.json").write_text(json.dumps(play))
    env = {**os.environ, "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"), "ANSIBLE_STDOUT_CALLBACK": "default", "LC_ALL": "C.UTF-8"}
    argv = ["unshare", "--mount", "sh", "-ec", ELSEWHERE, "sh", str(etc), str(ANSIBLE), "-i", "localhost,", str(tmp_path / "play.json")]
    done = subprocess.run(argv, cwd=CHECKOUT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_every_domain_has_a_federation_of_its_own(tmp_path: Path, etc: Path) -> None:
    peers = {"site-a": {"peer.b.domain": "site-b", "peer.b.admit": "artifacts"}, "site-b": {"peer.a.domain": "site-a"}}
    peers["not-served"] = {"peer.a.domain": "site-a"}  # reaches the gateway, which refuses it
    given = {"gateway_domains": ["site-a", "site-b", "lonely"], "gateway_federation": peers}
    configure(tmp_path, etc, **given)
    found = {}
    for domain in ("site-a", "site-b", "lonely", "not-served"):
        folder = etc / "asl-gateway" / "domains" / domain
        assert load(str(folder / "asl.conf")).domain_id == domain
        federation = load_federation(str(folder / "federation.conf"))
        found[federation.domain_id] = [(peer.domain, peer.admit) for peer in federation.peers]
        assert (folder / "federation.conf").stat().st_mode & 0o777 == 0o640
    assert found == {"site-a": [("site-b", "artifacts")], "site-b": [("site-a", "none")], "lonely": [], "not-served": [("site-a", "none")]}
    named = parse.read(str(etc / "asl-gateway" / "gateway.conf"), "", {})["federation"].value
    assert named.split() == [f"/etc/asl-gateway/domains/{domain}/federation.conf" for domain in ("not-served", "site-a", "site-b")]
    assert "changed=0 " in configure(tmp_path, etc, **given), "a second run changes nothing"
