# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The arguments that name an intake: sources, store, domain, labels."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

from asl.cli import media, stores
from asl.cli.context import Context

if TYPE_CHECKING:
    from asl.intake.request import Request


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add SOURCE…, --store, --domain, --label and what concerns failing disks."""
    parser.add_argument(
        "sources",
        metavar="SOURCE",
        nargs="+",
        help="tree:/path, fs:/dev/sda2, fs:luks:/dev/sda3 (opened read-only with a key in /run/asl/keys), "
        "device:/dev/sda (or an image file), zfs:pool/dataset[@snapshot] (its stream), "
        "fs:zfs:pool/dataset[@snapshot] (its files), stream:/path or stream:-",
    )
    stores.add_argument(parser)
    parser.add_argument("--domain", metavar="ID", help="the domain to store under (default: domain.id)")
    parser.add_argument(
        "--label", metavar="K=V", action="append", default=[], dest="labels", help="a label of the snapshot; may be repeated"
    )
    parser.add_argument(
        "--sign",
        metavar="KEY",
        help="sign the receipt that comes with the result: an SSH key of this host without a passphrase, such as "
        "/etc/ssh/ssh_host_ed25519_key, or the public half of one that an agent has",
    )
    media.add_arguments(parser)


def from_arguments(args: argparse.Namespace, context: Context) -> Request:
    """The request that ARGS make. Raises Usage, Unavailable."""
    from asl.intake.request import Request, parse_labels

    config = context.config
    return Request(
        tuple(args.sources),
        stores.location(args, context),
        args.domain or context.domain_id,
        parse_labels(args.labels),
        config.chunk_average,
        media.from_arguments(args),
        os.path.abspath(args.sign) if args.sign else None,
    )
