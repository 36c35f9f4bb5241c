# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""asl-admin pool: list ZFS pools, import them in one of two roles, export them."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Optional

from asl.cli import EXIT_CODES, common
from asl.cli.output import fields, size, table
from asl.errors import Usage
from asl.imported import BACKEND, SOURCE

if TYPE_CHECKING:
    from asl.cli.context import Context

HELP = "list ZFS pools, import them as a source or as the backend, export them"
TIMEOUT = 900.0

_IMPORT = """\
A source is imported read-only, under a name of its own, with nothing mounted; its devices are set read-only. The backend is imported
writable, and its dataset (local.dataset) is mounted at local.mount. Both have to be approved by their GUID."""
_EXAMPLES = {
    "list": "asl-admin pool list",
    "import": "asl-admin pool import 1234567890123456789 --approve 1234567890123456789 --force-foreign",
    "export": "asl-admin pool export --all",
}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the actions, each with its own arguments."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, text, add in (
        ("list", "every pool that can be seen, and what stands against taking it as source or backend", _list_arguments),
        ("import", "import one pool, by its GUID", _import_arguments),
        ("export", "export pools that were imported, and put back what was set for them", _export_arguments),
    ):
        about = f"{text}.\n\n{_IMPORT}" if name == "import" else text
        epilog = f"example:\n  {_EXAMPLES[name]}\n\n{EXIT_CODES}"
        form = argparse.RawDescriptionHelpFormatter
        each = actions.add_parser(name, help=text, description=about, epilog=epilog, formatter_class=form)
        add(each)
        common(each, top=False)


def _list_arguments(parser: argparse.ArgumentParser) -> None:
    _device_argument(parser)


def _import_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("guid", metavar="GUID", help="the pool, by its GUID; a name will not do")
    parser.add_argument("--role", choices=(SOURCE, BACKEND), default=SOURCE, help="what it is for (default: source)")
    _approve_argument(parser)
    _device_argument(parser)
    parser.add_argument("--force-foreign", action="store_true", help="also when another host used it last and never exported it")
    parser.add_argument("--allow-missing-log", action="store_true", help="source only: do without a log device that is gone")
    parser.add_argument("--allow-degraded", action="store_true", help="backend only: also when it has lost devices (DEGRADED)")
    parser.add_argument("--txg", type=int, metavar="N", help="source only: as of this transaction group; verifies the whole pool")
    parser.add_argument("--load-module", action="store_true", help="load the ZFS module when it is not loaded")
    parser.add_argument("--init", action="store_true", help="backend only: make the dataset and an empty store where there are none")
    _running_arguments(parser)


def _export_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("guid", metavar="GUID", nargs="?", help="the pool")
    parser.add_argument("--all", action="store_true", help="every pool that was imported with asl-admin pool import")
    _approve_argument(parser)
    _running_arguments(parser)


def _device_argument(parser: argparse.ArgumentParser) -> None:
    text = "look for the pool on this device or image only; may be repeated"
    parser.add_argument("--device", metavar="PATH", action="append", default=[], help=text)


def _approve_argument(parser: argparse.ArgumentParser) -> None:
    text = "approve this pool; may be repeated (a backend may also stand in local.approved)"
    parser.add_argument("--approve", metavar="GUID", action="append", default=[], help=text)


def _running_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--timeout", metavar="SECONDS", type=float, default=TIMEOUT, help="for each command (default: %(default)g)")
    parser.add_argument("--check", action="store_true", help="only say what would be done")


def run(args: argparse.Namespace, context: Context) -> int:
    """Do it. A refusal is exit 3, whatever is not there 4, a pool that changed under our hands 5."""
    action = {"list": _list, "import": _import, "export": _export}[args.action]
    document, text = action(args, context)
    context.document(document)
    context.text(text)
    return 0


def _list(args: argparse.Namespace, context: Context) -> tuple[dict[str, Any], str]:
    from asl.pools import list_pools

    document = list_pools(context.config, devices=args.device)
    return document, render(document["pools"])


def _import(args: argparse.Namespace, context: Context) -> tuple[dict[str, Any], str]:
    from asl.pools import Request, import_pool

    request = Request(
        guid=args.guid, role=args.role, approved=tuple(args.approve), force_foreign=args.force_foreign, txg=args.txg,
        allow_missing_log=args.allow_missing_log, allow_degraded=args.allow_degraded, devices=tuple(args.device),
        load_module=args.load_module, init=args.init, timeout=args.timeout, check=args.check,
    )  # fmt: skip
    document = import_pool(request, context.config)
    if request.role == BACKEND:
        _store(document, request.init, context.config.local_mount)
    return document, _told(document)


def _store(document: dict[str, Any], init: bool, folder: str) -> None:
    """Make the store where that was asked for, and say which one is there: ``store_id``, None where there is none."""
    from asl.store import init_store, marker

    began_mounted = document["diff"]["before"]["mounted_at"] is not None
    store = marker.present(folder) if document["mounted_at"] else None
    # Whether a pool that is yet to be imported holds a store, a check run cannot know; so it is said in the same words each time.
    if init and (store is None or not began_mounted):
        document["actions"].append(f"make a store at {folder}" + ("" if began_mounted else " where there is none"))
        document["changed"] = True
        if not document["check"]:
            store, _made = init_store(folder)
    document["store_id"] = store


def _export(args: argparse.Namespace, context: Context) -> tuple[dict[str, Any], str]:
    from asl.pools import export_pools

    if args.all == (args.guid is not None):
        raise Usage("pool export: give either a GUID or --all", hint="see asl-admin pool export --help")
    document = export_pools(None if args.all else args.guid, context.config, approved=args.approve, timeout=args.timeout, check=args.check)
    return document, _told(document)


def _told(document: Mapping[str, Any]) -> str:
    """What was done, or would be, a line for each step; then what else there is to know."""
    verb = "would " if document["check"] else ""
    lines = [f"{verb}{action}" for action in document["actions"]] or ["nothing to do"]
    lines += [f"  {' '.join(command)}" for command in document["commands"]] if document["check"] else []
    lines += [f"note: {note}" for note in document.get("notes", ())]
    if "imported_as" in document and not document["check"]:
        free = document["available"]
        lines.append(
            fields(
                [
                    (
                        "imported as",
                        f"{document['imported_as']} ({'read-only' if document['read_only'] else 'writable'}, {document['health']})",
                    ),
                    ("below", document["altroot"]),
                    ("mounted at", document["mounted_at"]),
                    ("free", size(free) if free is not None else None),
                    ("store", document.get("store_id")),
                ]
            )
        )
    return "\n".join(lines)


def render(pools: Sequence[Mapping[str, Any]]) -> str:
    """The pools as a table, then what stands against each."""
    if not pools:
        return "no pools were found"
    rows: list[tuple[str, ...]] = [("POOL", "GUID", "STATE", "IMPORTED", "AS SOURCE", "AS BACKEND", "APPROVED")]
    notes = []
    for pool in pools:
        against = {role: pool[f"as_{role}"] for role in (SOURCE, BACKEND)}
        words = [each["reason"] if each else "yes" for each in against.values()]
        rows.append((pool["name"], pool["guid"], pool["state"], _imported(pool["imported"]), *words, "yes" if pool["approved"] else "no"))
        for role, each in against.items():
            if each:
                notes.append(f"{pool['name']} as {role}: {each['text']}\n  next: {each['hint']}")
    return "\n".join([table(rows), *(["", *notes] if notes else [])])


def _imported(found: Optional[Mapping[str, Any]]) -> str:
    return f"{'read-only' if found['read_only'] else 'writable'} as {found['as']}" if found else "no"
