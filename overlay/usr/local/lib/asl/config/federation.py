# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""federation.conf: the own domain, the peers, and what is admitted from each of them.

A peer is all keys ``peer.NAME.*``. What is admitted is decided by whoever receives, for each peer apart, and nothing is the default:

    none        nothing of this peer is taken
    artifacts   its blocks and segments may be read when something of ours names them
    snapshots   its sealed snapshots may be listed and read as well
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Optional

from asl import paths
from asl.config import parse, values
from asl.config.main import Config, convert

ADMIT = ("none", "artifacts", "snapshots")
_PEER = re.compile(r"peer\.(?P<name>[a-z0-9][a-z0-9-]{0,62})\.(?P<key>[a-z-]+)\Z")
_PEER_KEYS: dict[str, Callable[[str], Any]] = {
    "domain": values.domain,
    "endpoint": values.https,
    "ca": values.optional(values.path),
    "admit": values.choice(*ADMIT),
}


@dataclass(frozen=True)
class Peer:
    """Another domain that this one knows."""

    name: str
    domain: str
    endpoint: str
    ca: Optional[str] = None
    admit: str = "none"


@dataclass(frozen=True)
class Federation:
    """The own domain and its peers, sorted by name."""

    domain_id: str
    peers: tuple[Peer, ...] = ()


def load_federation(
    path: Optional[str] = None, overrides: Optional[Mapping[str, str]] = None, *, domain_id: str = Config.domain_id
) -> Federation:
    """federation.conf, typed and checked. ``domain_id`` (of asl.conf) holds when the file names no own domain.

    Raises Usage (CONFIG_INVALID) with file:line.
    """
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
        for needed in ("domain", "endpoint"):
            if needed not in fields:
                raise parse.invalid(places[name], f"peer {name} has no peer.{name}.{needed}", f"add peer.{name}.{needed} = …")
        if fields["domain"] == domain_id:
            raise parse.invalid(places[name], f"peer {name} has the own domain {domain_id}", "a peer is another domain")
    return Federation(domain_id, tuple(Peer(name=name, **peers[name]) for name in sorted(peers)))
