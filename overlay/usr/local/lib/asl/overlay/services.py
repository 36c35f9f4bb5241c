# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The units of the overlay, where systemd runs the machine. Without it jobs run as detached processes, and there is nothing to do."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable

from asl import system
from asl.overlay.contract import Contract
from asl.overlay.plan import Step
from asl.overlay.root import Root, look

# asl-preflight.service runs once at boot and before the intake; nothing else has to be running.
RUNNING = "asl-intake.service"
DEADLINE = 120.0  # seconds; TimeoutStopSec of asl-intake.service is 90


def booted(root: Root) -> bool:
    """True when systemd runs this machine (sd_booted(3)) and ROOT is its root."""
    return root.is_system and look("/run/systemd/system") is not None


def units(contract: Contract) -> list[str]:
    """The names of the overlay's units."""
    return [posixpath.basename(entry.path) for entry in contract.of("unit")]


def start_steps(contract: Contract, changed: Iterable[str]) -> list[Step]:
    """What brings the units up after files of the kinds CHANGED were laid. A running intake is restarted for new code, not for settings."""
    kinds = set(changed)
    steps = [_step("reload systemd", "daemon-reload")] if "unit" in kinds else []
    steps += [_step(f"enable {name}", "enable", name) for name in units(contract) if not _is("is-enabled", name)]
    if not _is("is-active", RUNNING):
        steps.append(_step(f"start {RUNNING}", "start", RUNNING))
    elif kinds & {"unit", "tool", "library"}:
        steps.append(_step(f"restart {RUNNING}", "restart", RUNNING))
    return steps


def stop_steps(contract: Contract) -> list[Step]:
    """What takes the units down before their files are removed."""
    steps = [_step(f"stop {name}", "stop", name) for name in units(contract) if _is("is-active", name)]
    return steps + [_step(f"disable {name}", "disable", name) for name in units(contract) if _is("is-enabled", name)]


def forget_step(contract: Contract) -> Step:
    """systemd forgets units whose files are gone, and that one of them had failed."""
    reload = _step("reload systemd", "daemon-reload")

    def run() -> None:
        reload.run()
        system.run(["systemctl", "reset-failed", *units(contract)], DEADLINE)  # fails for units that never failed

    return reload._replace(run=run)


def _is(question: str, name: str) -> bool:
    return system.run(["systemctl", "--quiet", question, name], DEADLINE).rc == 0


def _step(action: str, *argv: str) -> Step:
    hint = f"look at: journalctl -b -u {argv[-1]}" if len(argv) > 1 else None

    def run() -> None:
        system.run(["systemctl", *argv], DEADLINE).check(f"cannot {action}", hint=hint)

    return Step(action, "", "service", run)
