# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the stores of the domains lie: a folder each in a directory, or a prefix each in a bucket."""

from __future__ import annotations

import os
from typing import Protocol

from asl.backends.base import Adds
from asl.backends.posix import Posix
from asl.store import init_store
from asl_gateway.settings import Settings


class Takes(Adds, Protocol):
    """What the gateway needs beyond asl.backends.base.Adds. One instance a thread."""

    def take(self, path: str, name: str) -> None:
        """Make the synced file at PATH (in the spool of this place) NAME, create-only; durable from the next barrier. Raises Conflict."""


class Place(Protocol):
    """Where stores lie."""

    location: str
    spool: str

    def backend(self, domain: str) -> Takes:
        """A backend of its own for the store of DOMAIN."""

    def init(self, domain: str) -> bool:
        """Make the store of DOMAIN; False when it is there."""

    def probe(self) -> dict[str, str]:
        """Try what a store relies on; what was found. Raises Refused when it does not hold."""


class Directory:
    """Stores in a directory: ROOT/DOMAIN. Implements Place."""

    def __init__(self, root: str, spool: str | None = None) -> None:
        self.location = root
        self.spool = spool or os.path.join(root, ".uploads")

    def backend(self, domain: str) -> Takes:
        return Posix(os.path.join(self.location, domain))

    def init(self, domain: str) -> bool:
        return init_store(os.path.join(self.location, domain))[1]

    def probe(self) -> dict[str, str]:
        from asl.backends.probe import probe

        return probe(self.location)


def open_place(settings: Settings) -> Place:
    """The place that SETTINGS name. Raises Usage, Unavailable."""
    if settings.place.startswith("s3://"):
        from asl_gateway.s3 import Bucket

        return Bucket(settings)
    return Directory(settings.place, settings.spool)
