# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""federation.conf: the own domain, the peers, and what is admitted from each of them.

A peer is all keys ``peer.NAME.*``. What is admitted is decided by whoever receives, for each peer apart, and nothing is the default:

    none        nothing of this peer is taken
    artifacts   what it has stored counts as there, and is read when something of ours names it
    snapshots   its sealed snapshots may be listed and read as well

A peer without an endpoint lies where the own domain does: at the same gateway, or in the folder beside it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Optional

from asl import paths
from asl.config import parse, values
from asl.config.main import Config, convert
from asl.errors import Refused, Usage

ADMIT = ("none", "artifacts", "snapshots")
_PEER = re.compile(r"peer\.(?P<name>[a-z0-9][a-z0-9-]{0,62})\.(?P<key>[a-z-]+)\Z")
_PEER_KEYS: dict[str, Callable[[str], Any]] = {
    "domain": values.domain,
    "endpoint": values.optional(values.https),
    "ca": values.optional(values.path),
    "token-file": values.optional(values.secret_path),
    "admit": values.choice(*ADMIT),
}


class Peer(NamedTuple):
    """Another domain that this one knows."""

    name: str
    domain: str
    endpoint: Optional[str] = None
    ca: Optional[str] = None
    token_file: Optional[str] = None  # with a token of that domain that may read
    admit: str = "none"


class Federation(NamedTuple):
    """The own domain and its peers, sorted by name."""

    domain_id: str
    peers: tuple[Peer, ...] = ()

    @property
    def admitted(self) -> tuple[Peer, ...]:
        """The peers of which artifacts are admitted."""
        return tuple(peer for peer in self.peers if peer.admit != "none")

    def peer_to_read(self, name: str) -> Peer:
        """The peer NAME, whose snapshots are admitted. Raises Refused (PEER_NOT_ADMITTED), Usage for one that is not known."""
        for peer in self.peers:
            if peer.name == name and peer.admit == "snapshots":
                return peer
            if peer.name == name:
                hint = f"set peer.{name}.admit = snapshots, if they ought to be read"
                raise Refused(f"the snapshots of the peer {name} are not admitted", reason="PEER_NOT_ADMITTED", hint=hint)
        known = ", ".join(peer.name for peer in self.peers) or "none"
        raise Usage(f"there is no peer {name} in federation.conf", reason="NO_PEER", hint=f"peers there: {known}")


def load_federation(
    path: Optional[str] = None, overrides: Optional[Mapping[str, str]] = None, *, domain_id: Optional[str] = None
) -> Federation:
    """federation.conf, typed and checked. ``domain_id`` (of asl.conf) holds when the file names no own domain.

    Raises Usage (CONFIG_INVALID) with file:line.
    """
    domain_id = domain_id or Config().domain_id
    entries = parse.read(path, paths.FEDERATION, overrides or {})
    known = ["domain.id", *(f"peer.NAME.{key}" for key in _PEER_KEYS)]
    peers: dict[str, dict[str, Any]] = {}
    places: dict[str, str] = {}
    for key, entry in entries.items():
        if key == "domain.id":
            domain_id = convert(key, entry, values.domain)
            continue
        found = _PEER.match(key)
        if found is None:
            raise parse.unknown(key, entry.place, known)
        name = found["name"]
        if found["key"] not in _PEER_KEYS:
            raise parse.unknown(key, entry.place, [f"peer.{name}.{each}" for each in _PEER_KEYS])
        peers.setdefault(name, {})[found["key"]] = convert(key, entry, _PEER_KEYS[found["key"]])
        places.setdefault(name, entry.place)
    for name, fields in peers.items():
        if "domain" not in fields:
            raise parse.invalid(places[name], f"peer {name} has no peer.{name}.domain", f"add peer.{name}.domain = …")
        if fields["domain"] == domain_id:
            raise parse.invalid(places[name], f"peer {name} has the own domain {domain_id}", "a peer is another domain")
    return Federation(domain_id, tuple(_peer(name, peers[name]) for name in sorted(peers)))


def _peer(name: str, fields: Mapping[str, Any]) -> Peer:
    return Peer(name=name, **{key.replace("-", "_"): value for key, value in fields.items()})
