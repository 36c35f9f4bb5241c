# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The arguments that say how a failing disk is read."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

from asl.errors import Usage

if TYPE_CHECKING:
    from asl.sources.media import Media

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the group "failing disks"."""
    group = parser.add_argument_group("failing disks", "How device: sources are read where they cannot be read. All of it is optional.")
    group.add_argument("--map", metavar="FILE", help="a ddrescue mapfile: of a disk, what to read first; of an image, what of it is real")
    group.add_argument("--retry", metavar="SNAPSHOT", help="take what this snapshot of the disk has, and read only what it lacks")
    group.add_argument("--domain-map", metavar="FILE", help="a mapfile whose finished areas are in use: they are read first")
    group.add_argument("--skip-free", action="store_true", help="do not read at all what --domain-map does not name")
    group.add_argument("--retries", type=int, default=0, metavar="N", help="try bad sectors so often once more (default: 0)")
    group.add_argument("--no-scrape", action="store_true", help="do not read failed blocks sector by sector")
    group.add_argument("--read-deadline", type=int, metavar="SECONDS", help="give up a read that takes longer (default: 180)")
    group.add_argument("--max-temperature", type=int, metavar="C", help="stop when the disk is hotter (needs smartctl)")
    group.add_argument("--max-errors", type=int, metavar="N", help="stop after so many failed reads")
    group.add_argument("--max-error-rate", type=int, metavar="N", help="stop after so many failed reads within a minute")
    group.add_argument("--max-unread", metavar="BYTES", help="stop when more than this is known to be bad (K, M, G, T)")
    group.add_argument("--name-files", action="store_true", help="name the files that lie where it could not be read (asl-admin hits)")
    group.add_argument("--restart", action="store_true", help="do not go on from what an earlier run that did not end has read")


def from_arguments(args: argparse.Namespace) -> Media:
    """What ARGS say. Raises Usage."""
    from asl.sources.media import READ_DEADLINE, Media

    return Media(
        map=os.path.abspath(args.map) if args.map else None,
        retry=args.retry,
        domain_map=os.path.abspath(args.domain_map) if args.domain_map else None,
        skip_free=args.skip_free,
        retries=max(args.retries, 1) if args.retry and args.retries >= 0 else args.retries,
        scrape=not args.no_scrape,
        read_deadline=READ_DEADLINE if args.read_deadline is None else args.read_deadline,
        max_temperature=args.max_temperature,
        max_errors=args.max_errors,
        max_error_rate=args.max_error_rate,
        max_unread=None if args.max_unread is None else parse_bytes(args.max_unread),
        restart=args.restart,
        name_files=args.name_files,
    )


def parse_bytes(text: str) -> int:
    """A number of bytes: 512, 64K, 10M, 1G. Raises Usage."""
    number, unit = (text[:-1], text[-1].upper()) if text[-1:].isalpha() else (text, "")
    if not number.isdigit() or unit not in _UNITS:
        raise Usage(f"{text!r} is no number of bytes", hint="for example 4096, 64K, 10M, 1G")
    return int(number) * _UNITS[unit]
