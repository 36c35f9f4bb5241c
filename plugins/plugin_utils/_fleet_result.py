# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change at any time.
"""What a phase has given, in the few words that stand behind the name of a host."""

from __future__ import annotations

import typing as t

from ansible_collections.asl.rescue.plugins.plugin_utils._report import extent, size


def ended(phase: str, word: str, result: t.Mapping[str, t.Any]) -> str:
    """One line for a phase that ended with ``word`` (ok, changed, failed, unreachable)."""
    items = [each for each in result.get("results") or [] if isinstance(each, dict)]
    if word in ("failed", "unreachable"):
        culprit = next((each for each in items if each.get("failed") or each.get("unreachable")), result)
        message = str(culprit.get("msg") or result.get("msg") or "no message").removeprefix("Task failed: ")
        return " ".join(message.split())
    return {"preflight": decided, "intake": taken, "verify": verified}.get(phase, acted)(
        {**result, "actions": [action for each in items for action in each.get("actions") or []]} if items else result
    )


def acted(result: t.Mapping[str, t.Any]) -> str:
    """How much was done, for a module that lists its actions."""
    actions = result.get("actions") or []
    if not actions:
        return "nothing to do"
    return str(actions[0]) if len(actions) == 1 else f"{len(actions)} actions"


def decided(result: t.Mapping[str, t.Any]) -> str:
    """Where an intake may go, and why."""
    return f"{result.get('mode')} ({result.get('reason')})"


def taken(result: t.Mapping[str, t.Any]) -> str:
    """The snapshot, or what would be read."""
    if not result.get("snapshot"):
        return acted(result)
    new = f"{size(result.get('bytes_new'))} new" if result.get("changed") else "unchanged"
    return f"snapshot {result['snapshot']} in {result.get('store')}: {extent(result)}, {new}"


def verified(result: t.Mapping[str, t.Any]) -> str:
    """How much was read back."""
    read = result.get("verification") or {}
    if "sources" in read:  # nothing was read back: the sources were read again
        return f"{len(read['sources'])} sources held against the snapshot, nothing differs"
    sample = f"; a sample, {read['artifacts_skipped']} were left out" if read.get("artifacts_skipped") else ""
    return f"{size(read.get('bytes'))} in {read.get('artifacts', '?')} artifacts read back, every digest as it was{sample}"
