# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host that is not there: it answers every module of the collection at once, with what a real host once answered.

What a control node does for each host is real: variables, templates, workers, the module's payload, the result. What is left out is
the network and the work of the host, so that a thousand of them fit on a small machine.
"""

from __future__ import annotations

import json
import os
import re
import time
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.connection import ConnectionBase

DOCUMENTATION = """
name: recorded
short_description: a host that answers from recorded results
description: [For measurements only.]
options:
  fault:
    description:
      - V(unreachable) cannot be connected to. V(hang) never answers asl_preflight. V(refuse) has no place for an intake. V(lose) cannot be
        reached any more when the intake is asked about.
    default: ""
    vars: [{name: recorded_fault}]
"""
RECORDED = Path(__file__).resolve().parents[1] / "recorded"
REFUSED = {
    "failed": True, "mode": "none", "reason": "NO_STORE", "hint": "mount one",
    "msg": "there is no place for an intake: there is no store at /mnt/asl/local [NO_STORE]. Next: mount one",
}  # fmt: skip


def _issued(payload: bytes) -> Any:
    """What asl-admin token issue says: the domain and a number stand for a token."""
    asked = re.search(rb'"--domain", "([^"]+)", "--count", "?(\d+)', payload)
    assert asked, "this is not how tokens are asked for"
    lines = [f"asl1.{asked[1].decode()}.{number}" for number in range(int(asked[2]))]
    return {"changed": True, "rc": 0, "stdout": "\n".join(lines), "stdout_lines": lines, "stderr": ""}


class Connection(ConnectionBase):
    """Answers what a module would have printed."""

    transport = "recorded"
    has_pipelining = True
    always_pipeline_modules = True

    def _connect(self) -> Connection:
        if self.get_option("fault") == "unreachable":
            raise AnsibleConnectionFailure("Failed to connect to the host via ssh: connect to host 192.0.2.1 port 22: No route to host")
        self._connected = True
        return self

    def exec_command(self, cmd: str, in_data: bytes | None = None, sudoable: bool = True) -> tuple[int, bytes, bytes]:
        self._connect()
        if not in_data:
            # The only command without a module is the one that makes a temporary folder.
            made = re.search(r"ansible-tmp-[\d.-]+", cmd)
            return 0, f"{made[0]}=/root/.ansible/tmp/{made[0]}\n".encode() if made else b"", b""
        named = re.search(rb"^ansible_module='(?:[\w.]+\.)?(\w+)',$", in_data, re.MULTILINE)
        assert named, "this is not how Ansible sends a module"
        return 0, json.dumps(self._answer(named[1].decode(), in_data)).encode(), b""

    def _answer(self, module: str, payload: bytes) -> Any:
        fault = self.get_option("fault")
        if module == "asl_overlay" and b'"_bundle": "' not in payload:
            return {"changed": False, "needs_bundle": True}
        if module == "command":  # asl-admin token issue on the gateway
            return _issued(payload)
        if module == "asl_token":
            return self._handed_over(payload)
        if module == "asl_preflight" and fault == "hang":
            time.sleep(10**6)
        if module == "asl_preflight" and fault == "refuse":
            return REFUSED
        if module == "asl_ingest" and b'"collect": false' in payload:
            module = "asl_ingest_started"
        elif module == "asl_ingest" and fault == "lose":
            raise AnsibleConnectionFailure("Failed to connect to the host via ssh: Connection timed out")
        return json.loads((RECORDED / f"{module}.json").read_text())

    def _handed_over(self, payload: bytes) -> Any:
        """As of a host without a token; which one it got is written into the folder that ASL_TOKENS names."""
        found = re.search(rb'"token": "([^"]*)"', payload)
        assert found, "this is not how asl_token is asked"
        if not found[1]:
            what = "there is no token to hand over [TOKEN_MISSING]. Next: try asl-admin token issue"
            return {"failed": True, "msg": what, "reason": "TOKEN_MISSING", "hint": "try asl-admin token issue"}
        if folder := os.environ.get("ASL_TOKENS"):
            Path(folder, self._play_context.remote_addr).write_bytes(found[1])
        return {"changed": True, "handed_over": ["/run/asl/token", "/run/asl/ca.pem"]}

    def put_file(self, in_path: str, out_path: str) -> None:
        """The bundle goes nowhere."""

    def fetch_file(self, in_path: str, out_path: str) -> None:
        raise AnsibleConnectionFailure("nothing can be fetched from a host that is not there")

    def close(self) -> None:
        self._connected = False
