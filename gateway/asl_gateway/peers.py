# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The admitted peers of the served domains, as their federation.conf names them (docs/remote.md).

A peer without an endpoint lies in this very place. One with an endpoint is read through its gateway, with a token of its domain that
may read. A peer that cannot be reached has nothing, for as long: what it would have spared is sent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from asl.backends.https import Remote
from asl.config import Federation, load_federation
from asl.config import Peer as Named
from asl.errors import Usage
from asl.store import Peer, Reader, Store, open_store, recovery
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
        found[federation.domain_id] = _peers(federation, place)
    return found


def _peers(federation: Federation, place: Place) -> list[Peer]:
    return [Peer(each.name, _opening(each, place), fresh=FRESH if each.endpoint else 0.0, needed=False) for each in federation.admitted]


def _opening(peer: Named, place: Place) -> Callable[[], Reader]:
    if peer.endpoint is None:

        def beside() -> Reader:
            backend = place.backend(peer.domain)
            return Store(backend, recovery.load(backend))

        return beside
    endpoint = peer.endpoint
    remote = Remote(endpoint, peer.domain, peer.token_file, peer.ca, silence=PATIENCE, patience=PATIENCE)
    return lambda: open_store(endpoint, remote=remote)
