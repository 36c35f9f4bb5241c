# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change at any time.
"""report.json: what became of a fleet, in the form that docs/report.schema.json publishes.

It is made of the reports of the hosts and nothing else, and bounded: long lists are cut here, each with a count of what was left out.
The whole of it is in <host>.json.
"""

from __future__ import annotations

import datetime
import typing as t

from ansible_collections.asl.rescue.plugins.plugin_utils import _report_receipts

FORMAT, VERSION = "asl-report", 1
MAX_LISTED = 200
FIGURES = (
    "files", "files_unchanged", "size", "bytes_read", "bytes_new", "bytes_duplicate", "bytes_stored", "bytes_unread", "seconds",
)  # fmt: skip
OF_REPORT = ("host", "state", "rescued", "ok", "sentence", "next", "phase", "snapshot", "digest", "store", "read_back")
SUMMED = ("files", "size", "bytes_read", "bytes_new", "bytes_duplicate", "bytes_unread")
VERIFICATION = ("store", "snapshots", "files", "artifacts", "artifacts_skipped", "bytes", "seconds")

Document = dict[str, t.Any]
Found = t.Mapping[str, t.Any]


def fleet(hosts: t.Sequence[Found], at: datetime.datetime) -> Document:
    """The document for the reports of HOSTS, written AT a time (with its time zone)."""
    rows = [host(each) for each in hosts]
    states: dict[str, int] = {}
    for row in rows:
        states[row["state"]] = states.get(row["state"], 0) + 1
    sums = {key: sum(row["figures"][key] or 0 for row in rows) for key in SUMMED}
    return {
        "format": FORMAT, "version": VERSION, "written": at.isoformat(timespec="seconds"),
        "totals": {"hosts": len(rows), "rescued": sum(row["rescued"] for row in rows), "states": states, **sums},
        "hosts": rows,
    }  # fmt: skip


def host(report: Found) -> Document:
    """One host, from its own report."""
    phases: t.Mapping[str, Found] = report["phases"]
    intake, verify = phases.get("intake", {}), phases.get("verify", {})
    failed = phases.get(report["phase"] or "", {})
    losses, omitted = cut(intake.get("losses"))
    return {
        **{key: report[key] for key in OF_REPORT},
        "reason": failed.get("reason"),
        "domain": intake.get("domain"),
        "labels": {str(key): str(value) for key, value in (intake.get("labels") or {}).items()},
        "decision": decision(phases.get("preflight", {})),
        "figures": figures(intake),
        "sources": [source(each) for each in intake.get("sources") or []],
        "losses": [{key: text(each.get(key)) for key in ("what", "where", "why")} for each in losses],
        "losses_omitted": omitted + whole(intake.get("losses_omitted")),
        "verification": verification(verify),
        "receipts": _report_receipts.described(report["host"], _report_receipts.given(intake)),
        "phases": [phase(name, result) for name, result in phases.items()],
    }


def decision(preflight: Found) -> Document | None:
    """Where the data was to go, why, and everything that was found on the way."""
    if not preflight.get("mode"):
        return None
    findings = [{key: text(each.get(key)) for key in ("code", "severity", "text", "hint")} for each in preflight.get("findings") or []]
    return {"mode": preflight["mode"], "reason": text(preflight.get("reason")), "findings": findings}


def figures(intake: Found) -> Document:
    """What was read, in bytes and seconds; None for what is not known. ``rate`` is over the whole of the intake."""
    found: Document = {key: intake.get(key) if isinstance(intake.get(key), (int, float)) else None for key in FIGURES}
    read, seconds = found["bytes_read"], found["seconds"]
    return {**found, "rate": round(read / seconds) if read and seconds else None}


def source(given: Found) -> Document:
    """One source: what it is, what was read of it, its map, and the health of its disk before and after where that was asked."""
    details = dict(given.get("details") or {})
    smart = given.get("smart") or details.pop("smart", None) or {}
    # Every area that is not there, by status: what the map shows, and as text unreadable.
    details.pop("map", None)
    return {
        "source": text(given.get("source")),
        "kind": text(given.get("kind")),
        **{key: whole(given.get(key)) for key in ("files", "size", "bytes_read", "bytes_unread")},
        "view": given.get("view"),
        "details": {str(key): value if isinstance(value, (int, float)) else text(value) for key, value in details.items()},
        "notes": [text(each) for each in given.get("notes") or []],
        "map": given.get("map"),
        "smart": {when: smart[when] for when in ("before", "after") if smart.get(when)} or None,
    }


def verification(verify: Found) -> Document | None:
    """How much was read back, and what of it is damaged."""
    if "ok" not in verify:
        return None
    damaged, omitted = cut(verify.get("damaged"))
    read = verify.get("verification") or {}
    return {
        "ok": verify["ok"],
        **{key: read.get(key) for key in VERIFICATION},
        "damaged": [{str(key): value for key, value in each.items()} for each in damaged],
        "damaged_omitted": omitted + whole(verify.get("damaged_omitted")),
    }


def phase(name: str, result: Found) -> Document:
    """What one phase did: its actions, the commands it ran where it says them, and its notes."""
    commands = [*(result.get("commands") or []), *([result["cmd"]] if result.get("cmd") else [])]
    actions, omitted = cut(result.get("actions"))
    return {
        "phase": name,
        "outcome": result["outcome"],
        "reason": result.get("reason"),
        "actions": [text(each) for each in actions],
        "actions_omitted": omitted,
        "commands": [each if isinstance(each, str) else " ".join(str(word) for word in each) for each in commands],
        "notes": [text(each) for each in result.get("notes") or []],
    }


def cut(listed: t.Any) -> tuple[list[t.Any], int]:
    """The first of a list, and how many were left out."""
    found = list(listed or [])
    return found[:MAX_LISTED], max(0, len(found) - MAX_LISTED)


def whole(value: t.Any) -> int:
    """A count; 0 for anything that is none."""
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def text(value: t.Any) -> str:
    """A value as text; lists by commas."""
    if isinstance(value, (list, tuple)):
        return ", ".join(text(each) for each in value)
    return "" if value is None else str(value)
