# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which store a command works on: --store, else ASL_STORE, else what /run/asl/mode and asl.conf say."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Optional

from asl import paths
from asl.cli.context import Context
from asl.errors import Unavailable
from asl.store import Remote, Store, open_store, open_writer

if TYPE_CHECKING:
    from asl.store import Peer, Writer


def add_argument(parser: argparse.ArgumentParser) -> None:
    """Add --store to a command."""
    parser.add_argument("--store", metavar="DIR|URL", help="the store (default: ASL_STORE, else what /run/asl/mode and asl.conf say)")


def add_reading(parser: argparse.ArgumentParser) -> None:
    """Add --store and --peer to a command that only reads."""
    add_argument(parser)
    parser.add_argument("--peer", metavar="NAME", help="read the domain of this peer in federation.conf, whose snapshots are admitted")


def mode() -> str:
    """The word in /run/asl/mode: local, remote or none; empty where preflight has not run."""
    try:
        with open(paths.run("mode"), encoding="ascii", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return ""


def location(args: argparse.Namespace, context: Context) -> str:
    """Where the store is. Raises Unavailable when nothing says so."""
    named = args.store or os.environ.get("ASL_STORE")
    if named:
        # A job runs in another process, in another directory.
        return str(named) if "://" in str(named) else os.path.abspath(named)
    decided = mode() or context.config.mode
    if decided == "remote":
        return context.config.remote_place or ""
    if decided == "none":
        raise Unavailable(
            "preflight found no place for an intake (/run/asl/mode says none)",
            reason="MODE_NONE",
            hint="asl-intake preflight says why; or name a store with --store",
        )
    return context.config.local_mount


def open_readonly(args: argparse.Namespace, context: Context, *, fresh: bool = False) -> Store:
    """The store, for reading, together with the admitted peers; or that of the peer that --peer names. FRESH: of what lies behind a
    URL nothing is taken from the cache that an earlier command put there. Raises AslError."""
    where, remote, peers = reading_place(args, context, fresh=fresh)
    return open_store(where, remote=remote, peers=peers)


def reading_place(args: argparse.Namespace, context: Context, *, fresh: bool = False) -> tuple[str, Optional[Remote], Sequence[Peer]]:
    """Where open_readonly() reads: the place, how it is reached, and the peers that are read too. Raises AslError."""
    from asl.intake import reach

    where = location(args, context)
    remote = reached(where, args, context, fresh=fresh)
    if getattr(args, "peer", None):
        return (*reach.peer_place(context.federation.peer_to_read(args.peer), where, remote), ())
    return where, remote, reach.peers(context.federation, where, remote)


def open_for_adding(args: argparse.Namespace, context: Context) -> Writer:
    """The store, for adding."""
    where = location(args, context)
    return open_writer(where, block_size=context.config.block_size, remote=reached(where, args, context))


def reached(where: str, args: argparse.Namespace, context: Context, *, fresh: bool = False) -> Optional[Remote]:
    """How the gateway at the URL WHERE is reached; None for a directory."""
    if "://" not in where:
        return None
    from asl.intake.reach import remote

    return remote(context.config, where, getattr(args, "domain", None) or context.domain_id, fresh=fresh)
