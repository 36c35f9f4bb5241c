# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How results look to people: sizes, tables, the progress line."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Callable, Optional, TypeVar

from asl.cli.context import Context

Each = TypeVar("Each")

LOSSES_SHOWN = 20
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def size(count: Optional[int]) -> str:
    """COUNT bytes as people read it: 1.5 GiB."""
    if count is None:
        return "?"
    value, unit = float(count), 0
    while value >= 1024 and unit < len(_UNITS) - 1:
        value, unit = value / 1024, unit + 1
    return f"{count} B" if unit == 0 else f"{value:.1f} {_UNITS[unit]}"


def duration(seconds: Optional[float]) -> str:
    """SECONDS as people read it: 1:02:03."""
    if seconds is None:
        return "?"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def printable(text: object) -> str:
    """TEXT with everything that a terminal would act on, and bytes that are not UTF-8, escaped as \\xNN."""
    text = str(text)
    if text.isprintable():  # nearly always
        return text
    return "".join(
        char if char.isprintable() else "".join(f"\\x{byte:02x}" for byte in char.encode("utf-8", "surrogateescape")) for char in text
    )


def table(rows: Sequence[Sequence[object]], *, right: Sequence[int] = ()) -> str:
    """ROWS in aligned columns, the first row a heading; columns in RIGHT stand to the right."""
    columns = []
    for column in zip(*rows):
        cells = list(map(str, column))
        # Looked at all together first: a listing has a hundred thousand of them.
        columns.append(cells if "".join(cells).isprintable() else list(map(printable, cells)))
    widths = [max(map(len, cells)) for cells in columns]
    line = "  ".join(f"{{:{'>' if column in right else '<'}{width or 1}}}" for column, width in enumerate(widths))
    return "\n".join([line.format(*row).rstrip() for row in zip(*columns)])


def fields(pairs: Sequence[tuple[str, object]]) -> str:
    """Name and value in two columns; pairs without a value are left out."""
    shown = [(name, value) for name, value in pairs if value not in (None, "", [], {})]
    width = max((len(name) for name, _value in shown), default=0)
    return "\n".join(f"{name.ljust(width)}  {printable(value)}" for name, value in shown)


def first_of(
    found: Sequence[Each], line: Callable[[Each], str], omitted: int = 0, *, head: str = "", shown: int = LOSSES_SHOWN
) -> list[str]:
    """A LINE, behind HEAD, for each of the first SHOWN in FOUND, and one that says how many more there are; OMITTED of them are not in
    FOUND."""
    return [*(head + line(each) for each in found[:shown]), *rest(len(found) + omitted - min(len(found), shown))]


def rest(more: int) -> list[str]:
    """The line that says how MANY more there are than were shown; none where there are none."""
    return [f"… and {more} more: --json lists them"] if more > 0 else []


def lost_place(each: Mapping[str, Any]) -> str:
    """What is lost, and where, as verify and heal have it: snapshot, source and path, kind, and bytes where it is content."""
    place = f" bytes {each['offset']} to {each['offset'] + each['length'] - 1}" if "length" in each else ""
    where = f"{each['source']} {os.fsdecode(each['path'])}".strip() or "the snapshot itself"
    return f"snapshot {each['snapshot']}: {printable(where)}: {each['what']}{place}"


def losses_text(losses: Sequence[Mapping[str, str]], omitted: int = 0) -> str:
    """The losses, the first of them one a line."""
    if not losses:
        return ""
    lines = first_of(losses, lambda loss: f"{loss['what']:<12} {printable(loss['where'])}  ({printable(loss['why'])})", omitted)
    return "\n  ".join([f"{len(losses) + omitted} losses:", *lines])


def result_text(result: Mapping[str, Any]) -> str:
    """The result of an intake."""
    rate = result["bytes_read"] / result["seconds"] if result["seconds"] else 0
    head = fields(
        [
            ("snapshot", f"{result['snapshot']}  ({'sealed' if result['changed'] else 'unchanged, sealed before'})"),
            ("digest", result["digest"]),
            ("store", result["store"]),
            ("domain", result["domain"]),
        ]
    )
    rows: list[Sequence[object]] = [("source", "files", "size", "read", "unread")]
    for each in result["sources"]:
        rows.append((each["source"], each["files"], size(each["size"]), size(each["bytes_read"]), size(each["bytes_unread"])))
    tail = (
        f"new {size(result['bytes_new'])}, duplicate {size(result['bytes_duplicate'])}, unread {size(result['bytes_unread'])}; "
        f"{duration(result['seconds'])} at {size(round(rate))}/s"
    )
    notes = [f"note: {each['source']}: {printable(note)}" for each in result["sources"] for note in each["notes"]]
    views = [f"note: {each['source']}: {each['view']}" for each in result["sources"] if each["view"]]
    kept = result.get("zfs_snapshot")
    if kept and kept["error"]:
        notes.append(f"warning: the ZFS snapshot {kept['name']} was not made and held: {printable(kept['error'])}")
    elif kept:
        notes.append(f"note: held by ZFS as {kept['name']}")
    parts = [head, table(rows, right=(1, 2, 3, 4)), tail, *views, *notes, losses_text(result["losses"], result["losses_omitted"])]
    return "\n".join(part for part in parts if part)


def progress_text(progress: Mapping[str, Any]) -> str:
    """One line: done of total, rate, new and duplicate, unread, time since the last good read, time to go."""
    total = progress["bytes_total"]
    share = f" of {size(total)} ({100 * progress['bytes_done'] // max(1, total):.0f}%)" if total else ""
    parts = [
        f"{progress['phase']} {progress['source']}".strip(),
        f"{size(progress['bytes_done'])}{share}",
        f"{size(progress['rate'])}/s",
        f"new {size(progress['bytes_new'])}",
        f"dup {size(progress['bytes_duplicate'])}",
    ]
    if progress["files"]:
        parts.append(f"{progress['files']} files")
    if progress["bytes_unread"]:
        parts.append(f"UNREAD {size(progress['bytes_unread'])}")
    if progress["seconds_since_read"] > 5:
        parts.append(f"last read {duration(progress['seconds_since_read'])} ago")
    if progress["eta"] is not None:
        parts.append(f"ETA {duration(progress['eta'])}")
    return " · ".join(parts)


class ProgressLine:
    """The live line on stderr, when that is a terminal and nobody asked for quiet."""

    def __init__(self, context: Context) -> None:
        self._on = sys.stderr.isatty() and not context.quiet
        self._drawn = False

    def show(self, progress: Mapping[str, Any]) -> None:
        """Draw PROGRESS over what was drawn before."""
        if self._on:
            self.draw(progress_text(progress))

    def draw(self, text: str) -> None:
        """Draw TEXT over what was drawn before."""
        if self._on:
            width = os.get_terminal_size(sys.stderr.fileno()).columns
            sys.stderr.write("\r\x1b[K" + printable(text)[: max(20, width - 1)])
            sys.stderr.flush()
            self._drawn = True

    def close(self) -> None:
        """Clear the line."""
        if self._drawn:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
            self._drawn = False
