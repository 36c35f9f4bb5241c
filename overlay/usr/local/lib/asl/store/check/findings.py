# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a check finds: faults, notes, counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Optional

from asl.errors import AslError

# progress(phase, done, total): bytes, or objects where a phase has no bytes.
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Fault:
    """What is wrong (or, as a note, worth knowing) with OBJECT, a name below the store's root."""

    object: str
    what: str
    reason: str
    artifacts: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        """As --json shows it; `artifacts` (references) only where artifacts are hit."""
        shown: dict[str, Any] = {"object": self.object, "what": self.what, "reason": self.reason}
        return {**shown, "artifacts": list(self.artifacts)} if self.artifacts else shown


@dataclass
class Findings:
    """Collects while a check goes on."""

    progress: Optional[Progress] = None
    faults: list[Fault] = field(default_factory=list)
    notes: list[Fault] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)

    def fault(self, name: str, what: str, reason: str, artifacts: Sequence[str] = ()) -> None:
        """The object NAME is not as it must be."""
        self.faults.append(Fault(name, what, reason, tuple(artifacts)))

    def note(self, name: str, what: str, reason: str) -> None:
        """The object NAME is as a crash or a running writer may leave it, or as an admitted peer makes up for."""
        self.notes.append(Fault(name, what, reason))

    def count(self, what: str, number: int = 1) -> None:
        """Count NUMBER more of WHAT."""
        self.counts[what] = self.counts.get(what, 0) + number

    def tick(self, phase: str, done: int, total: int) -> None:
        """Tell how far a phase is."""
        if self.progress:
            self.progress(phase, done, total)

    @contextmanager
    def catching(self, name: str) -> Iterator[None]:
        """Turn an error about the object NAME into its fault. What this process may not read says nothing about the store, and a peer
        that cannot be read nothing about what it has: raised."""
        try:
            yield
        except AslError as error:
            if error.reason in ("PERMISSION", "PEER_UNAVAILABLE"):
                raise
            self.fault(name, error.message, error.reason)
