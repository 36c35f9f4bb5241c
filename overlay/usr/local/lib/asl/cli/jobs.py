# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs as people read them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from asl.cli.output import progress_text, result_text


def job_text(document: Mapping[str, Any]) -> str:
    """One job: its state, and its progress, result or error."""
    lines = [f"job {document['job']}: {document['state']}"]
    result = document["result"]
    if result and "error" in result:
        lines.append(f"{result['error']} [{result['reason']}]")
        if result.get("hint"):
            lines.append(f"  next: {result['hint']}")
    elif result:
        lines.append(result_text(result))
    else:
        lines += [f"  {action}" for action in document["actions"]]
        if document["progress"]:
            lines.append(f"  {progress_text(document['progress'])}")
    return "\n".join(lines)


def exit_code(document: Mapping[str, Any]) -> int:
    """The exit status that a finished job's result stands for; 0 while it is not finished."""
    result = document["result"]
    return int(result["exit_code"]) if result else 0
