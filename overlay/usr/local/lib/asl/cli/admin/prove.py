# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""asl-admin prove: one verdict on a snapshot, from its receipt to every byte."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from asl.cli import stores
from asl.cli.output import duration, printable, size, table
from asl.cli.reading import SNAPSHOT, ReadingLine, example

if TYPE_CHECKING:
    from asl.cli.context import Context
    from asl.prove import Witness

HELP = "check the chain from a receipt over the log to every byte of a snapshot; one verdict"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("snapshot", metavar="SNAPSHOT", help=SNAPSHOT)
    parser.add_argument(
        "--receipt", metavar="FILE", help="the receipt that was kept elsewhere (asl-admin receipt, or the reports of a rescue)"
    )
    parser.add_argument(
        "--signature", metavar="FILE", help="its signature (default: the receipt's file with .sig behind it, where there is one)"
    )
    parser.add_argument("--allowed-signers", metavar="FILE", help="who may sign it, with which key: ssh-keygen(1), ALLOWED SIGNERS")
    parser.add_argument("--identity", metavar="NAME", help="which of them it has to be (default: any)")
    stores.add_reading(parser)
    whole = "asl-admin prove 1 --receipt web07.receipt --allowed-signers signers --store /mnt/asl/local"
    example(parser, "asl-admin prove latest --store /mnt/asl/local", whole)


def run(args: argparse.Namespace, context: Context) -> int:
    """Prove it. 0: the chain holds, 5: it is broken."""
    from asl.prove import Place, prove

    place, given = Place(*stores.reading_place(args, context, fresh=True)), witness(args)
    with ReadingLine(context) as line:
        result = prove(place, args.snapshot, given, line.show)
    context.document(result)
    context.text(render(result))
    return 0 if result["ok"] else 5


def witness(args: argparse.Namespace) -> Witness:
    """What the files say that were named. Raises Usage, Unavailable."""
    from asl.prove.witness import Witness, read_file

    beside = f"{args.receipt}.sig"
    signature = args.signature or (beside if args.receipt and os.path.exists(beside) else None)
    receipt = read_file(args.receipt) if args.receipt else None
    armored = read_file(signature).decode("ascii", "replace") if signature else None
    return Witness(receipt, armored, args.allowed_signers, args.identity)


def render(result: Mapping[str, Any]) -> str:
    """Each link in its order, what is no part of the proof, and the verdict."""
    rows: list[Sequence[object]] = [("link", "", "what")]
    rows += [(each["link"], each["status"].replace("_", " ").upper() if each["status"] in ("broken", "not_checked") else each["status"],
              each["what"]) for each in result["links"]]  # fmt: skip
    lines = [table(rows)]
    for each in result["unread"]:
        lines.append(f"not read, and no part of it: {printable(each['source'])}: {size(each['bytes'])}")
    if "artifacts" in result:
        lines.append(
            f"{size(result['bytes'])} in {result['artifacts']} artifacts and {result['blocks']} blocks; {duration(result['seconds'])}"
        )
    return "\n".join([*lines, printable(result["sentence"])])
