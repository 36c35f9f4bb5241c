# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the gateway of a configuration is reached: its CA, the file of the token, the limit of the rate; and its peers likewise."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Optional

from asl import paths
from asl.backends.remote import Plan, Remote
from asl.store import open_store

if TYPE_CHECKING:
    from asl.config import Config, Federation
    from asl.config import Peer as Named
    from asl.store import Peer, Reader

CREDENTIAL = "asl-token"
# Seconds since the last answer of a peer, until it counts as not there.
_PATIENCE = 60.0


def token_file(config: Config) -> str:
    """Where the token is: remote.token-file, else the systemd credential asl-token, else /run/asl/token."""
    if config.remote_token_file:
        return config.remote_token_file
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    credential = os.path.join(folder, CREDENTIAL) if folder else ""
    return credential if credential and os.path.exists(credential) else paths.run("token")


def remote(config: Config, location: str, domain: str, *, fresh: bool = False) -> Remote:
    """How the gateway at the URL LOCATION is reached for DOMAIN. FRESH: nothing that an earlier run has cached is taken."""
    cache = Plan(paths.state("cache", "blocks"), config.cache_size, fresh) if config.cache_size else None
    return Remote(location.rstrip("/"), domain, token_file(config), config.remote_ca, config.intake_bandwidth, cache=cache)


def peer_place(peer: Named, location: str, own: Optional[Remote]) -> tuple[str, Optional[Remote]]:
    """Where the domain of PEER lies, and how it is reached, for whoever has the own domain at LOCATION, reached by OWN."""
    if peer.endpoint is None and own is None:
        return os.path.join(os.path.dirname(location), peer.domain), None
    ca = peer.ca or (own.ca if own and peer.endpoint is None else None)
    where = peer.endpoint or location
    cache = own.cache if own else None
    return where, Remote(where.rstrip("/"), peer.domain, peer.token_file, ca, patience=_PATIENCE, cache=cache)


def peers(federation: Federation, location: str, own: Optional[Remote]) -> list[Peer]:
    """The admitted peers, for reading beside the own domain. None is opened before something is looked for in it."""

    def opening(peer: Named) -> Callable[[], Reader]:
        where, remote = peer_place(peer, location, own)
        return lambda: open_store(where, remote=remote)

    admitted = federation.admitted
    if not admitted:
        return []
    from asl.store import Peer

    return [Peer(peer.name, opening(peer)) for peer in admitted]
