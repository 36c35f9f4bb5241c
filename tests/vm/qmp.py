# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Orders to a running qemu over its machine protocol (QMP): one JSON document a line."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

from rig.process import RigError


def execute(path: Path, command: str, timeout: float = 300, **arguments: Any) -> Any:
    """Send COMMAND to the qemu that listens at PATH and return its answer. Raises RigError with qemu's own words."""
    with socket.socket(socket.AF_UNIX) as link:
        link.settimeout(timeout)
        try:
            link.connect(str(path))
            with link.makefile("rw", encoding="utf-8") as lines:
                json.loads(lines.readline())
                _ask(lines, {"execute": "qmp_capabilities"})
                return _ask(lines, {"execute": command, "arguments": arguments})
        except OSError as error:
            raise RigError(f"qemu at {path} did not answer to {command}: {error}") from error


def monitor(path: Path, line: str, timeout: float = 300) -> str:
    """Give a command LINE of qemu's monitor, and return what it prints; savevm and loadvm print only when they fail."""
    return str(execute(path, "human-monitor-command", timeout, **{"command-line": line}))


def _ask(lines: Any, document: dict[str, Any]) -> Any:
    lines.write(json.dumps(document) + "\n")
    lines.flush()
    for text in lines:
        answer = json.loads(text)
        if "return" in answer:
            return answer["return"]
        if "error" in answer:
            raise RigError(f"qemu refused {document['execute']}: {answer['error'].get('desc')}")
    raise RigError(f"qemu went away while it was asked for {document['execute']}")
