# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a backend owes. Rights are types: a Reads cannot add, and nothing here can overwrite or remove but `head`, `sweep`
and `set_aside`, which keeps what it takes away.

Names are those of backends.layout. All errors are AslError: NotFound, Conflict (the name is taken, or the log has grown),
Unavailable with reason NO_SPACE, PERMISSION, READ_ONLY, IO_ERROR. After a failed write or barrier a backend promises nothing
about what is durable: the caller must stop and open the store anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Optional, Protocol, runtime_checkable

from asl.formats.artifact import Buffer


class Reads(Protocol):
    """Reading. Safe in any number of threads, at any time, beside writers."""

    @property
    def location(self) -> str:
        """Where this is, as people write it."""

    def read(self, name: str, offset: int = 0, length: Optional[int] = None) -> bytes:
        """LENGTH bytes from OFFSET on (to the end when None); fewer where the object ends. Raises NotFound."""

    def size(self, name: str) -> int:
        """Bytes in the object. Raises NotFound."""

    def names(self, folder: str) -> Iterator[str]:
        """All names in FOLDER (`blocks`, `segments` …), sorted."""

    def path(self, name: str) -> Optional[str]:
        """A local file with these bytes, for mmap; None where there is none."""


@runtime_checkable
class Sealed(Protocol):
    """Reads that may have kept some objects, for whoever knows their digest."""

    def sealed(self, name: str, digest: bytes) -> bytes:
        """The bytes of NAME, whose SHA-256 ought to be DIGEST. What was kept has it; what comes from the store is as it is there."""


class Staged(Protocol):
    """An object in the making: invisible until published, gone when dropped or when its process dies."""

    def write(self, data: Buffer) -> None:
        """Append DATA."""

    def publish(self, name: str) -> None:
        """Make it NAME, all of it at once, durable from the next barrier on. Until then a crash may take NAME back, never tear it.

        Raises Conflict when NAME exists; the object is dropped then."""

    def drop(self) -> None:
        """Forget it. May be called at any time, more than once."""


@runtime_checkable
class OnFile(Protocol):
    """A Staged that is a file of this machine: large stretches may be written to its descriptor, in turn with write()."""

    def fileno(self) -> int:
        """The descriptor; its offset is the end of what was written."""


class Adds(Reads, Protocol):
    """Adding. One thread at a time; several processes at once."""

    def stage(self) -> Staged:
        """Begin a new object."""

    def create(self, name: str, data: Buffer) -> None:
        """Make NAME with DATA, create-only. Raises Conflict when NAME exists."""

    def ensure(self, name: str) -> None:
        """Make NAME durable up to the next barrier, whoever published it: a dead process may have left it before its barrier."""

    def barrier(self) -> None:
        """Return when everything published so far is durable, names included."""

    def lock(self) -> AbstractContextManager[None]:
        """Hold off other writers of the log. Waits for them."""

    def append(self, name: str, data: bytes, at: int) -> None:
        """Add DATA to the log, and make all of the log durable, also when DATA is empty. Only within lock().

        Raises Conflict unless it ends at AT. A crash may leave any part of DATA behind, or as many zeros, or rubbish."""

    def cut(self, name: str, at: int) -> None:
        """Cut a torn tail off the log at AT, keeping what is cut in tmp/. Only within lock()."""

    def set_aside(self, name: str) -> None:
        """Take the damaged object NAME away from its name and keep it in tmp/, so that a sound one can be made. Durable."""

    def replace_head(self, data: bytes) -> None:
        """Replace meta/head atomically and durably. Only within lock()."""

    def sweep(self) -> int:
        """Remove what dead processes left in tmp/; the number removed. Only within lock()."""
