# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change at any time.
"""What is known of a fleet while a playbook runs: which phase each host is in, how far it is, and how it ended.

Nothing is judged here. Phases, progress and results are the tools' own; this keeps the last of each, and adds them up.
"""

from __future__ import annotations

import dataclasses
import typing as t

# Module of the collection: the phase that it stands for.
PHASES = {
    "asl_overlay": "overlay",
    "asl_preflight": "preflight",
    "asl_pool_import": "pool",
    "asl_ingest": "intake",
    "asl_verify": "verify",
    "asl_restore": "restore",
    "asl_host_key": "host key",
    "asl_image": "image",
    "asl_report": "report",
}
# Seconds without a byte after which a host that reads is called stalled. It is shown, never stopped: a dying disk may need minutes.
STALL = 60.0
# The order in which stages are shown.
STAGES = ("working", "reading", "stalled", "queued", "waiting", "done", "failed", "unreachable")


@dataclasses.dataclass
class Host:
    """One host. Sizes in bytes, rates in bytes a second, times in seconds."""

    name: str
    phase: str = ""
    state: str = "waiting"
    """waiting (nothing runs for it), working, done (its last phase ended well), failed or unreachable."""
    progress: t.Mapping[str, t.Any] = dataclasses.field(default_factory=dict)
    text: str = ""
    printed: float = 0.0
    """When a plain line was last printed for it, by the clock of the one who prints."""

    @property
    def stage(self) -> str:
        """One of STAGES: what an operator has to know of it first."""
        if self.state != "working" or self.phase != "intake":
            return self.state
        if not self.progress:
            return "queued"
        return "stalled" if self.quiet_for >= STALL else "reading"

    @property
    def quiet_for(self) -> float:
        """Seconds since the last good read, as the job said it."""
        return number(self.progress.get("seconds_since_read"))

    @property
    def share(self) -> float | None:
        """How much is done, 0 to 1; None where nobody knows how much there is."""
        total = number(self.progress.get("bytes_total"))
        return min(1.0, number(self.progress.get("bytes_done")) / total) if total > 0 else None


class Fleet:
    """All hosts of a run, in the order in which they came."""

    def __init__(self) -> None:
        self.hosts: dict[str, Host] = {}

    def host(self, name: str) -> Host:
        """The host NAME; made when it is new."""
        return self.hosts.setdefault(name, Host(name))

    def expect(self, names: t.Iterable[str]) -> None:
        """These hosts take part, and nothing runs for them yet."""
        for name in names:
            host = self.host(name)
            if host.state == "done":
                host.state = "waiting"

    def start(self, name: str, phase: str) -> Host:
        """A phase begins for a host. What was known of an intake stays until the job itself says more."""
        host = self.host(name)
        if host.phase != phase:
            host.progress = {}
        host.phase, host.state = phase, "working"
        return host

    def advance(self, name: str, phase: str, result: t.Mapping[str, t.Any]) -> bool:
        """What a job that runs says of itself. True when it is in another phase, or at another source, than before."""
        host = self.start(name, phase)
        progress = result.get("progress")
        before = (host.progress.get("phase"), host.progress.get("source"))
        if isinstance(progress, dict):
            host.progress = progress
        return before != (host.progress.get("phase"), host.progress.get("source"))

    def end(self, name: str, phase: str, state: str, text: str) -> Host:
        """A phase ended for a host, with a sentence."""
        host = self.host(name)
        # The task at the end of the playbook that fails for a host says nothing new of it.
        if phase != "end" or host.state not in ("failed", "unreachable"):
            host.phase, host.state, host.text = phase, state, text
        return host

    def settle(self) -> None:
        """Nothing more comes: whoever waits for another phase, and whose last one ended well, is done."""
        for host in self.hosts.values():
            if host.state == "waiting" and host.text:
                host.state = "done"

    def skip(self, name: str) -> None:
        """What was about to begin for a host did not have to."""
        host = self.host(name)
        if host.state == "working":
            host.state = "done"

    def working(self) -> list[Host]:
        """The hosts that something runs for now."""
        return [host for host in self.hosts.values() if host.state == "working"]

    def stages(self) -> dict[str, list[Host]]:
        """The hosts by their stage, in the order of STAGES; stages that nobody is in are left out."""
        found: dict[str, list[Host]] = {stage: [] for stage in STAGES}
        for host in self.hosts.values():
            found[host.stage].append(host)
        return {stage: hosts for stage, hosts in found.items() if hosts}


def total(hosts: t.Iterable[Host], running: bool = True) -> dict[str, t.Any]:
    """What hosts read together, in the keys of a job's progress. ``eta`` is that of the slowest: the fleet is done when the last is."""
    sums = {"bytes_done": 0.0, "bytes_total": 0.0, "rate": 0.0, "bytes_unread": 0.0}
    etas: list[float] = []
    unknown = False
    for host in hosts:
        for key in sums:
            sums[key] += number(host.progress.get(key)) if key != "rate" or host.state == "working" else 0.0
        if host.progress and host.state == "working":
            unknown = unknown or host.share is None or host.progress.get("eta") is None
            etas.append(number(host.progress.get("eta")))
    return {**sums, "eta": max(etas) if etas and not unknown and running else None}


def number(value: t.Any) -> float:
    """A figure of a document; 0 for anything that is none."""
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else 0.0
