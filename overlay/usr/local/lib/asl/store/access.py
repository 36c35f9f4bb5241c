# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Opening what lies behind a URL: the same stores, through a gateway."""

from __future__ import annotations

from typing import Optional

from asl.backends.base import Reads
from asl.backends.cache import CachedReads
from asl.backends.gateway import Gateway, GatewayReads
from asl.backends.remote import Remote
from asl.errors import Usage
from asl.store.remote import BLOCK_SIZE, RemoteWriter


def is_remote(location: str) -> bool:
    """True when LOCATION is a URL."""
    return "://" in location


def gateway(location: str, remote: Optional[Remote]) -> Gateway:
    """The gateway at the URL LOCATION. Raises Usage, Unavailable."""
    if not location.startswith("https://"):
        hint = "plain http protects neither data nor token"
        raise Usage(f"{location}: a store is a directory or an https:// URL", reason="BAD_STORE", hint=hint)
    if remote is None:
        raise Usage(f"{location}: nothing says how to reach it", reason="BAD_STORE", hint="set remote.token-file and remote.ca")
    return Gateway(remote)


def reads(location: str, remote: Optional[Remote]) -> Reads:
    """A domain to read from."""
    found = GatewayReads(gateway(location, remote))
    return CachedReads(found, remote.cache) if remote and remote.cache else found


def writer(location: str, remote: Optional[Remote], block_size: Optional[int]) -> RemoteWriter:
    """A domain to add to."""
    opened = gateway(location, remote)
    return RemoteWriter(opened, block_size=block_size or BLOCK_SIZE, connections=opened.remote.connections)
