# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run cost: CPU seconds of the parent and of its workers, memory, wall time, and how many tasks each host had."""

from __future__ import annotations

import collections
import json
import os
import resource
import time
from pathlib import Path
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: account
type: notification
short_description: what a run cost
description: [Writes one JSON document to the file that ASL_ACCOUNT names.]
"""


class CallbackModule(CallbackBase):
    """Counts every task that was dispatched for a host, also those that were skipped: they cost the same."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "account"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._began = time.monotonic()
        self._tasks: collections.Counter[str] = collections.Counter()
        self._names: collections.Counter[str] = collections.Counter()
        self._retries = 0

    def v2_runner_on_start(self, host: Any, task: Any) -> None:
        self._tasks[host.get_name()] += 1
        self._names[task.get_name()] += 1

    def v2_runner_retry(self, result: Any) -> None:
        self._retries += 1

    def v2_playbook_on_stats(self, stats: Any) -> None:
        own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
        document = {
            "hosts": len(self._tasks), "host_tasks": sum(self._tasks.values()), "most_tasks": max(self._tasks.values(), default=0),
            "tasks": dict(self._names), "retries": self._retries, "wall": round(time.monotonic() - self._began, 2),
            "parent_cpu": round(own.ru_utime + own.ru_stime, 2), "workers_cpu": round(children.ru_utime + children.ru_stime, 2),
            "parent_peak": own.ru_maxrss * 1024, "worker_peak": children.ru_maxrss * 1024,
        }  # fmt: skip
        Path(os.environ["ASL_ACCOUNT"]).write_text(json.dumps(document))
