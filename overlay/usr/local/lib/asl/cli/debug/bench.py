# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""asl-debug bench: how fast this machine does the single steps of an intake."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from asl import paths
from asl.cli.output import fields, size
from asl.cli.reading import example
from asl.errors import Usage

if TYPE_CHECKING:
    from asl.cli.context import Context

HELP = "measure reading, cutting, hashing, look-up, writing and syncing on this machine"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("--dir", metavar="DIR", help="write a test file there, and remove it (default: the engine's own state)")
    parser.add_argument("--size", metavar="SIZE", default="256MiB", help="how much is written and read (default: 256MiB)")
    parser.add_argument("--read", metavar="PATH", action="append", default=[], help="a file or device to read from; may be given again")
    example(parser, "asl-debug bench --dir /mnt/asl/local --read /dev/sda")


def run(args: argparse.Namespace, context: Context) -> int:
    """Measure. Raises Usage, Unavailable."""
    from asl import bench
    from asl.config import values

    try:
        amount = values.size(1 << 20, 1 << 40)(args.size)
    except ValueError as error:
        raise Usage(f"--size {args.size}: it {error}", reason="BAD_SIZE", hint="for example --size 256MiB") from error
    context.note("measuring; other work on this machine makes it look slower")
    document = bench.run(args.dir or paths.state(), amount, args.read)
    context.document(document)
    context.text(render(document))
    return 0


def render(document: dict[str, Any]) -> str:
    """Aligned rates."""
    speed, written = document["processor"], document["write"]
    rows: list[tuple[str, object]] = [("kernel", document["kernel"]), ("cores", speed["cores"])]
    rows += [(name, _rate(speed[name])) for name in ("cut", "zeros", "sha256", "sha256_all_cores", "zstd")]
    rows.append(("look-ups", f"{speed['look_ups']:,} a second"))
    rows += [("write", f"{_rate(written['write'])}, durable {_rate(written['durable'])}  {written['path']}")]
    rows.append(("fsync", f"{written['fsyncs']:,} small files a second"))
    for each in document["read"]:
        rows.append(("read", f"{_rate(each['rate'])}{'' if each['direct'] else ' (through the page cache)'}  {each['path']}"))
    rows += [(f"at most, {name.replace('_', ' ')}", _rate(rate)) for name, rate in document["bounds"].items()]
    return fields(rows)


def _rate(rate: object) -> str:
    return f"{size(rate)}/s" if isinstance(rate, int) else "not there"
