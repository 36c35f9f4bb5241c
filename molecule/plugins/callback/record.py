# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keep what every module answered, one JSON line for each host and task, in a file for each run of Ansible.

Molecule compares check mode with the run after it by these files: its own output has no room for actions.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
    name: record
    type: notification
    short_description: keep what every module answered
    description: One JSON line for each host and task, in a file for each run.
"""


class CallbackModule(CallbackBase):
    """Writes RUN.jsonl under $ANSIBLE_RECORD_FOLDER, numbered in order of the runs; nothing where that is not set."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "record"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._file: Path | None = None

    def v2_playbook_on_start(self, playbook: Any) -> None:
        folder = os.environ.get("ANSIBLE_RECORD_FOLDER", "")
        if folder:
            self._file = Path(folder) / f"{time.time_ns()}-{Path(playbook._file_name).stem}.jsonl"

    def v2_runner_on_ok(self, result: Any) -> None:
        self._record(result, "ok")

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        self._record(result, "failed")

    def v2_runner_on_unreachable(self, result: Any) -> None:
        self._record(result, "unreachable")

    def _record(self, result: Any, outcome: str) -> None:
        if self._file is None or result._host.get_name() == "localhost":
            return
        self._file.parent.mkdir(exist_ok=True)
        answer = result._result
        row = {
            "host": result._host.get_name(), "task": result._task.get_name(), "action": result._task.resolved_action or result._task.action,
            "outcome": outcome, "changed": bool(answer.get("changed", False)), "check": bool(result._task.check_mode),
            "actions": answer.get("actions"), "msg": answer.get("msg"),
        }  # fmt: skip
        with self._file.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(row, default=str) + "\n")
