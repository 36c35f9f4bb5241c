# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The admitted peers of the served domains, as their federation.conf names them (docs/remote.md).

A peer without an endpoint lies in this very place. One with an endpoint is read through its gateway, with a token of its domain that
may read. A peer that cannot be reached has nothing, for as long: what it would have spared is sent. The log says so.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence

from asl.backends.remote import Remote
from asl.config import Peer as Named
from asl.config import load_federation
from asl.errors import Usage
from asl.store import Peer, Reader, Store, open_store, recovery
from asl_gateway import observe
from asl_gateway.places import Place

# Seconds: since the last answer of another gateway, until it counts as not there; and for which its log is not read again.
PATIENCE, FRESH = 10.0, 5.0


def of_domains(files: Sequence[str], domains: Sequence[str], place: Place) -> dict[str, list[Peer]]:
    """The admitted peers, by served domain; FILES are federation.conf files, one a domain. Raises Usage (CONFIG_INVALID)."""
    found: dict[str, list[Peer]] = {}
    for path in files:
        federation = load_federation(path)
        if federation.domain_id not in domains:
            what = f"{path}: its own domain {federation.domain_id} is not served here"
            raise Usage(what, reason="CONFIG_INVALID", hint="set domain.id there to a domain of `domains`")
        if federation.domain_id in found:
            what = f"{path}: a second federation.conf for {federation.domain_id}"
            raise Usage(what, reason="CONFIG_INVALID", hint="one file a domain")
        for each in federation.admitted:
            if each.endpoint and not each.token_file:
                what = f"{path}: the peer {each.name} is admitted, and there is no token to read it with at {each.endpoint}"
                hint = f"set peer.{each.name}.token-file to a token of the domain {each.domain} that may read"
                raise Usage(what, reason="CONFIG_INVALID", hint=hint)
        found[federation.domain_id] = [_peer(each, federation.domain_id, place) for each in federation.admitted]
    return found


def silent(peers: Mapping[str, Sequence[Peer]]) -> list[str]:
    """Those of PEERS, by domain, that cannot be read now, in words. Each is tried."""
    return [
        f"the peer {each.name} of {domain} cannot be read: {each.error}"
        for domain, admitted in peers.items()
        for each in admitted
        if each.reader() is None
    ]


def _peer(named: Named, domain: str, place: Place) -> Peer:
    tell = functools.partial(observe.peer_line, domain, named.name)
    return Peer(named.name, _opening(named, place), fresh=FRESH if named.endpoint else 0.0, needed=False, tell=tell)


def _opening(peer: Named, place: Place) -> Callable[[], Reader]:
    if peer.endpoint is None:

        def beside() -> Reader:
            backend = place.backend(peer.domain)
            return Store(backend, recovery.load(backend))

        return beside
    endpoint = peer.endpoint
    remote = Remote(endpoint, peer.domain, peer.token_file, peer.ca, silence=PATIENCE, patience=PATIENCE)
    return lambda: open_store(endpoint, remote=remote)
