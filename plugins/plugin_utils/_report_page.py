# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change at any time.
"""report.html: the same document as one page that needs nothing else, no network and no server.

Names come from crashed disks and are hostile until proven otherwise: the template escapes, the page's script only ever sets text, and
the page forbids itself to load anything.
"""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import jinja2

from ansible_collections.asl.rescue.plugins.plugin_utils._report import READ_BACK, STATES, printable, size

FOLDER = Path(__file__).with_name("report")
# The order in which states are shown: what needs somebody first.
ORDER = ("failed", "unreachable", "incomplete", "running", "rescued_with_losses", "rescued", "predicted")
SHORT = {
    "rescued": "rescued", "rescued_with_losses": "with losses", "running": "running", "failed": "failed", "unreachable": "unreachable",
    "predicted": "predicted", "incomplete": "not finished",
}  # fmt: skip


def render(document: t.Mapping[str, t.Any]) -> str:
    """The page for the DOCUMENT of report.json."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER), autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    environment.filters.update(size=size, known=known, seen=lambda value: printable(str(value)), span=span)
    return environment.get_template("report.html.j2").render(
        report=document,
        needs=needs(document["hosts"]),
        order=[state for state in ORDER if state in document["totals"]["states"]],
        short=SHORT,
        states=STATES,
        data=embedded(document),
        style=(FOLDER / "report.css").read_text(encoding="utf-8"),
        script=(FOLDER / "report.js").read_text(encoding="utf-8"),
    )


def needs(hosts: t.Sequence[t.Mapping[str, t.Any]]) -> list[dict[str, t.Any]]:
    """What somebody has to see to, the gravest first; hosts with the same trouble and the same next step stand together."""
    groups: dict[tuple[t.Any, ...], dict[str, t.Any]] = {}
    for host in hosts:
        if host["state"] in ORDER[:5]:
            # Losses are each host's own; a refusal is often the same one for many.
            own = host["host"] if host["rescued"] else None
            key = (host["state"], host["phase"], host["reason"], host["next"], own)
            groups.setdefault(key, {**host, "hosts": []})["hosts"].append(host["host"])
    return sorted(groups.values(), key=lambda group: (ORDER.index(group["state"]), -len(group["hosts"])))


def known(host: t.Mapping[str, t.Any]) -> str:
    """The sentence of a host without what its badge and its figures say."""
    if not host["rescued"]:
        return str(host["sentence"]).removeprefix(f"{STATES[host['state']]} in phase ")
    missing = host["figures"]["bytes_unread"]
    lost = len(host["losses"]) + host["losses_omitted"]
    whole = f"{lost} losses, {size(missing)} unread" if missing or lost else "every byte"
    return f"snapshot {host['snapshot']}, {whole}, {READ_BACK[host['read_back']] or 'verified'}"


def embedded(document: t.Any) -> str:
    """JSON that can stand within a script element: nothing in it ends the element or begins a comment."""
    text = json.dumps(document, ensure_ascii=True, separators=(",", ":"), sort_keys=True, default=str)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def span(seconds: t.Any) -> str:
    """Seconds as people read them."""
    if not isinstance(seconds, (int, float)):
        return ""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
