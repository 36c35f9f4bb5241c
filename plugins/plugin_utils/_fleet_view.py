# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change at any time.
"""How a fleet looks: lines of text from what is known of it. No terminal and no clock in here."""

from __future__ import annotations

import typing as t

from ansible_collections.asl.rescue.plugins.plugin_utils._fleet import STALL, Fleet, Host, number, total
from ansible_collections.asl.rescue.plugins.plugin_utils._report import printable, size

BAR = 20
NAME = 28
SLOWEST = 5
RECAP = 20
EIGHTHS = " ▏▎▍▌▋▊▉"


def gauge(share: float | None, width: int = BAR) -> str:
    """A bar of ``width`` cells; dots where nobody knows how much there is."""
    if share is None:
        return "·" * width
    eighths = int(max(0.0, min(1.0, share)) * width * 8)
    whole, rest = divmod(eighths, 8)
    return ("█" * whole + (EIGHTHS[rest] if rest else "")).ljust(width, "░")


def percent(share: float | None) -> str:
    """Per cent, rounded down: 100 means that it is done."""
    return "  ? %" if share is None else f"{int(share * 100):3} %"


def span(seconds: t.Any) -> str:
    """Seconds as people read them: 3:20, 1:02:03."""
    minutes, rest = divmod(int(number(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def figures(progress: t.Mapping[str, t.Any]) -> list[str]:
    """Done of total, rate, time to go, unread, and how long ago the last good read was where that is worth a word."""
    known = number(progress.get("bytes_total"))
    parts = [size(progress.get("bytes_done")) + (f" of {size(known)}" if known else ""), f"{size(number(progress.get('rate')))}/s"]
    if progress.get("eta") is not None:
        parts.append(f"ETA {span(progress['eta'])}")
    if number(progress.get("bytes_unread")):
        parts.append(f"UNREAD {size(progress['bytes_unread'])}")
    quiet = number(progress.get("seconds_since_read"))
    if quiet >= 5:
        parts.append(("STALLED, " if quiet >= STALL else "") + f"last read {span(quiet)} ago")
    return parts


def activity(host: Host) -> str:
    """What a host is at, in two or three words."""
    if host.phase == "intake" and host.progress:
        return " ".join(str(host.progress.get(key) or "") for key in ("phase", "source")).strip()
    return "queued" if host.phase == "intake" else host.phase


def live(host: Host, name: int, doing: int) -> str:
    """A host that works, on one line: name, what it is at, bar and figures."""
    line = f"{clipped(host.name, name)}  {clipped(activity(host), doing)}"
    if not host.progress:
        return line
    return f"{line}  {gauge(host.share)} {percent(host.share)}  {' · '.join(figures(host.progress))}"


def plain(host: Host) -> str:
    """The same without a bar, for a log."""
    parts = [f"{host.name}: {activity(host)}"]
    if host.progress:
        parts += [percent(host.share).strip(), *figures(host.progress)]
    return printable(" · ".join(parts))


def summary(fleet: Fleet) -> str:
    """The fleet on one line."""
    stages = fleet.stages()
    count = len(fleet.hosts)
    parts = [f"{count} host{'s' if count != 1 else ''}", *(f"{len(hosts)} {stage}" for stage, hosts in stages.items())]
    read = total(fleet.hosts.values())
    if read["bytes_done"]:
        parts += figures(read)
    return " · ".join(parts)


def grouped(fleet: Fleet) -> list[str]:
    """A large fleet: a line for each stage, and the hosts that will be last."""
    lines = []
    for stage, hosts in fleet.stages().items():
        line = f"{stage:<12} {len(hosts):>6}"
        if stage in ("reading", "stalled"):
            read = total(hosts)
            share = read["bytes_done"] / read["bytes_total"] if read["bytes_total"] else None
            line += f"  {gauge(share)} {percent(share)}  {' · '.join(figures(read))}"
        if stage in ("stalled", "failed", "unreachable"):
            line += "  " + ", ".join(host.name for host in hosts[:SLOWEST]) + (", …" if len(hosts) > SLOWEST else "")
        lines.append(printable(line))
    slow = sorted((host for host in fleet.working() if host.progress), key=lambda host: -number(host.progress.get("eta")))[:SLOWEST]
    if slow:
        name, doing = columns(slow)
        lines += ["slowest:", *("  " + printable(live(host, name, doing)) for host in slow)]
    return lines


def recap(fleet: Fleet, counted: t.Mapping[str, t.Mapping[str, int]]) -> list[str]:
    """How the run ended: a line for each stage, the hosts in it by name as far as there is room, and how many hosts were changed."""
    lines = []
    for stage, hosts in fleet.stages().items():
        shown = ", ".join(host.name for host in hosts[:RECAP]) + (f", and {len(hosts) - RECAP} more" if len(hosts) > RECAP else "")
        lines.append(printable(f"{stage:<12} {len(hosts):>6}  {shown}"))
    changed = sum(1 for name in fleet.hosts if counted.get(name, {}).get("changed"))
    return [*lines, f"{'changed':<12} {changed:>6}"]


def block(fleet: Fleet, width: int, height: int, group_beyond: int) -> list[str]:
    """What stands at the foot of a terminal: one line for each host that works, and one for the fleet. At most ``height`` lines."""
    if len(fleet.hosts) > group_beyond:
        return [line[:width] for line in [*grouped(fleet)[: height - 1], summary(fleet)]]
    working = fleet.working()
    room = max(1, height - 2)
    # The worst first where there is no room for all: a stalled host must not be the one that is not seen.
    shown = working if len(working) <= room else sorted(working, key=lambda host: (host.stage != "stalled", not host.progress))[:room]
    name, doing = columns(shown)
    lines = [printable(live(host, name, doing)) for host in shown]
    if len(shown) < len(working):
        lines.append(f"… and {len(working) - len(shown)} more")
    return [line[:width] for line in [*lines, summary(fleet)]]


def columns(hosts: t.Sequence[Host]) -> tuple[int, int]:
    """How wide the columns of names and of activities have to be."""
    names = max((len(host.name) for host in hosts), default=0)
    return min(NAME, names), min(NAME, max((len(activity(host)) for host in hosts), default=0))


def clipped(text: str, width: int) -> str:
    """Text on exactly ``width`` cells; what is cut off is shown by an ellipsis."""
    return text.ljust(width) if len(text) <= width else text[: width - 1] + "…"
