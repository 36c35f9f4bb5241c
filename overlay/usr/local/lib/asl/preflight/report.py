# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report of a preflight: /run/asl/mode (one word), /run/asl/preflight.json, and the text for people."""

from __future__ import annotations

import json
import os
import time
from typing import Any

from asl import paths, system
from asl.errors import Unavailable
from asl.preflight.codes import sentence
from asl.preflight.decide import Decision
from asl.preflight.facts import Facts

VOLATILE = ("measured", "changed")  # everything else is equal as long as nothing happens


def document(facts: Facts, decision: Decision) -> dict[str, Any]:
    """The report. What differs from run to run by nature (times, free bytes) is in ``measured`` and nowhere else."""
    return {
        "mode": decision.mode,
        "reason": decision.reason,
        "rule": decision.rule,
        "backend": decision.backend,
        "findings": list(decision.findings),
        "facts": _plain(facts.document()),
        "measured": {"at": round(time.time()), **facts.measured()},
    }


def stable(report: dict[str, Any]) -> bytes:
    """The part of a report that is equal for equal facts, as bytes."""
    return _bytes({key: value for key, value in report.items() if key not in VOLATILE})


def differs(report: dict[str, Any]) -> bool:
    """Whether /run/asl says something else than this report, or nothing."""
    try:
        with open(paths.run("preflight.json"), "rb") as file:
            old = json.load(file)
        with open(paths.run("mode"), encoding="ascii") as file:
            mode = file.read()
    except (OSError, ValueError):
        return True
    return mode != f"{report['mode']}\n" or not isinstance(old, dict) or stable(old) != stable(report)


def write(report: dict[str, Any]) -> None:
    """Put both files in place, the mode last: who waits for it finds the report beside it. Raises Unavailable (RUN_DIR).

    Where the overlay came with the medium, /run is empty after a boot: then this makes what the contract names there.
    """
    folder = paths.run()
    try:
        os.makedirs(folder, mode=0o755, exist_ok=True)
        for name in ("bytecode", "sockets"):
            os.makedirs(paths.run(name), mode=0o700, exist_ok=True)
        system.replace_file(paths.run("preflight.json"), _bytes({key: value for key, value in report.items() if key != "changed"}))
        system.replace_file(paths.run("mode"), f"{report['mode']}\n".encode("ascii"))
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise Unavailable(
            f"the report cannot be written to {folder}: {why}", reason="RUN_DIR", hint="run it as root, or with --check"
        ) from error


def text(report: dict[str, Any]) -> str:
    """The report as a person reads it: the decision, then what is wrong, worst first."""
    first = next((each["text"] for each in report["findings"] if each["code"] == report["reason"]), sentence(report["reason"]))
    lines = [f"mode    {report['mode']}", f"reason  {report['reason']}: {first}", ""]
    for each in report["findings"]:
        lines.append(f"{each['severity']:<8}{each['code']}: {each['text']}")
        if each["hint"]:
            lines.append(f"        next: {each['hint']}")
    return "\n".join(lines).rstrip()


def _bytes(value: dict[str, Any]) -> bytes:
    return json.dumps(value, indent=1, sort_keys=True, ensure_ascii=True).encode("ascii") + b"\n"


def _plain(value: Any) -> Any:
    """Tuples as lists, so that a report in memory equals the one that is read back."""
    return json.loads(json.dumps(value))
