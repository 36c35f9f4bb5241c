# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""asl-admin heal: damaged and lost blocks made whole from another store."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

from asl.cli import stores
from asl.cli.output import first_of, lost_place
from asl.cli.reading import ReadingLine, example
from asl.errors import Usage

if TYPE_CHECKING:
    from asl.cli.context import Context
    from asl.store.heal import Healed

HELP = "make damaged or lost blocks whole from another store; list by file what cannot be healed"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("--from", dest="other", metavar="DIR|URL", required=True, help="the store that has what is missing; only read")
    stores.add_argument(parser)
    example(parser, "asl-admin heal --from /mnt/copy --store /mnt/asl/local")


def run(args: argparse.Namespace, context: Context) -> int:
    """Heal. 0: the store is whole, 1: healed as far as that goes, losses are listed."""
    from asl.store import open_store
    from asl.store.heal import heal

    where = stores.location(args, context)
    other = args.other if "://" in args.other else os.path.abspath(args.other)
    if other == where:
        raise Usage(f"{where} cannot be healed from itself", hint="--from names another store")
    with stores.open_for_adding(args, context) as writer, ReadingLine(context) as line:
        result = heal(writer, open_store(other, remote=stores.reached(other, args, context)), line.show)
    context.document({"store": where, "from": other, **result.document()})
    context.text(render(result))
    return 1 if result.artifacts_lost else 0


def render(result: Healed) -> str:
    """What was healed, and what is lost."""
    if not result.blocks:
        return "no block is damaged"
    lines = [
        f"{result.blocks} blocks were damaged: {result.blocks_healed} replaced, {result.artifacts_healed} artifacts of others taken in, "
        f"{result.artifacts_lost} lost"
    ]
    return "\n".join([*lines, *first_of(result.lost, lambda each: f"LOST {lost_place(each)}", result.lost_omitted)])
