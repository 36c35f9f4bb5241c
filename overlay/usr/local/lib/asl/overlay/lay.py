# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lay an overlay: ask the guards, make the plan, carry it out. A check run ends after the plan."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Callable, NamedTuple, Optional

from asl.errors import AslError, Refused, Unavailable, Usage
from asl.overlay import services
from asl.overlay.plan import CONFIG, Source, Step, plan, with_config
from asl.overlay.root import Root

_SHOWN = ("config", "unit", "tool")
_LARGEST_DIFF = 128 << 10  # bytes; a larger file is named, not shown


class Guards(NamedTuple):
    """What is decided elsewhere in the engine, asked here before anything changes."""

    root_is_live: Callable[[], tuple[bool, str]]
    validate: Callable[[str, bytes], None]
    running_job: Callable[[], Optional[str]]


class Request(NamedTuple):
    """What the operator asks for."""

    check: bool = False
    diff: bool = False
    allow_non_live_root: bool = False
    services: bool = True
    force: bool = False


def lay(source: Source, root: Root, config: Mapping[str, bytes], request: Request, guards: Guards) -> dict[str, Any]:
    """Bring ROOT to what SOURCE and CONFIG (file name → text) say. The same call again finds nothing to do.

    Raises Refused: NOT_LIVE_ROOT, INTAKE_RUNNING, WRONG_TYPE; Usage: CONFIG_INVALID; Unavailable: LAY_FAILED. Whatever is refused is
    refused before the first change.
    """
    refuse_fixed_root(root, request, guards)
    for name, text in config.items():
        if f"{CONFIG}/{name}" not in {entry.path for entry in source.contract.of("config") if entry.type == "file"}:
            raise Usage(f"{name} is not a configuration file of the overlay", reason="CONFIG_INVALID", hint="see ls /etc/asl")
        guards.validate(name, text)
    source = with_config(source, root, config)
    steps = plan(source, root)
    if any(step.kind in ("library", "tool", "unit") for step in steps):
        refuse_running_job("replace the tools", request, guards)
    notes = []
    if not request.services:
        notes.append("units were neither enabled nor started, as asked")
    elif services.booted(root):
        steps += services.start_steps(source.contract, {step.kind for step in steps})
    else:
        notes.append(f"systemd does not run {root.top}: no unit was started, jobs run as detached processes")
    result = carry_out(steps, root, request)
    return {**result, "digest": source.digest, "notes": notes}


def refuse_fixed_root(root: Root, request: Request, guards: Guards) -> None:
    """Raise Refused (NOT_LIVE_ROOT) when ROOT is the running system's and lies on a disk, unless the operator allows this host."""
    if root.is_system and not request.allow_non_live_root:
        live, why = guards.root_is_live()
        if not live:
            raise Refused(
                f"the overlay is laid on a live root only, and / is none: {why}",
                reason="NOT_LIVE_ROOT",
                hint="boot a live system, or allow this host (allow_non_live_root) when its disk is not one that is to be rescued",
            )


def refuse_running_job(what: str, request: Request, guards: Guards) -> None:
    """Raise Refused (INTAKE_RUNNING) while a job runs, unless forced."""
    job = None if request.force else guards.running_job()
    if job:
        raise Refused(
            f"cannot {what}: intake job {job} is running with them",
            reason="INTAKE_RUNNING",
            hint=f"wait for it (asl-intake wait {job}), cancel it (asl-intake cancel {job}), or force it: the job can be resumed",
        )


def carry_out(steps: list[Step], root: Root, request: Request) -> dict[str, Any]:
    """Do STEPS, or say what would be done. Raises Unavailable (LAY_FAILED) at the first that fails; a second run goes on there."""
    diffs = [_diff(step) for step in steps if step.after and (step.before is not None or step.kind in _SHOWN)] if request.diff else []
    for step in () if request.check else steps:
        try:
            step.run()
        except AslError:
            raise
        except OSError as error:
            raise Unavailable(
                f"cannot {step.action}: {(error.strerror or str(error)).lower()}",
                reason="LAY_FAILED",
                hint="mend the cause and run the same again: it goes on where it stopped",
                root=root.top,
            ) from error
    return {"changed": bool(steps), "check": request.check, "actions": [step.action for step in steps], "diff": diffs}


def _diff(step: Step) -> dict[str, str]:
    before, after = _text(step.before or b""), _text(step.after() if step.after else b"")
    return {"before_header": step.path, "after_header": step.path, "before": before, "after": after}


def _text(data: bytes) -> str:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        text = "\0"
    return f"({len(data)} bytes that are not shown)\n" if "\0" in text or len(data) > _LARGEST_DIFF else text
