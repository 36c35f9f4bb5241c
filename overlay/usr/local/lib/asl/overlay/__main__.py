# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""``python3 -B -m asl.overlay lay|remove|compare|pack``: what lays the overlay, run from an unpacked bundle or from the laid engine.

The three tools never write under /usr; this is the one door through which files get there.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Optional

from asl import system
from asl.errors import AslError, Unavailable, Usage
from asl.overlay import bundle
from asl.overlay.compare import compare
from asl.overlay.lay import Guards, Request, lay
from asl.overlay.plan import from_bundle, from_laid
from asl.overlay.remove import remove
from asl.overlay.root import Root
from asl.overlay.validate import validate

STATUS_DEADLINE = 30.0  # seconds


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Run one command; print its document with --json, its actions without. Errors become a sentence and an exit status here."""
    args = _parser().parse_args(argv)
    try:
        document = args.run(args)
    except OSError as error:
        return _fail(Unavailable(f"{error.filename or 'overlay'}: {(error.strerror or str(error)).lower()}", reason="OS_ERROR"), args.json)
    except AslError as error:
        return _fail(error, args.json)
    if args.json:
        print(json.dumps(document, indent=1))
    else:
        print("\n".join([*_lines(document), *document.get("notes", [])]))
    return 5 if document.get("ok") is False else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="asl.overlay", description=__doc__)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, run in (("lay", _lay), ("remove", _remove), ("compare", _compare), ("pack", _pack)):
        command = commands.add_parser(name)
        command.set_defaults(run=run)
        command.add_argument("--json", action="store_true", help="print one JSON document")
        if name == "pack":
            command.add_argument("overlay", type=Path, help="the folder overlay/ of a checkout")
            command.add_argument("native", type=Path, help="the folder native/build of a checkout")
            command.add_argument("target", type=Path, help="the tar.gz to write")
            continue
        command.add_argument("--root", default="/", help="the root to work on (default: /)")
        if name in ("lay", "remove"):
            _changing(command, name)
    return parser


def _changing(command: argparse.ArgumentParser, name: str) -> None:
    command.add_argument("--bundle", type=Path, help="an unpacked bundle; without it, what is laid already is the measure")
    command.add_argument("--check", action="store_true", help="only say what would be done")
    command.add_argument("--allow-non-live-root", action="store_true", help="go on although / is on a disk")
    command.add_argument("--no-services", dest="services", action="store_false", help="leave systemd alone")
    command.add_argument("--force", action="store_true", help="go on while an intake job is running")
    if name == "lay":
        command.add_argument("--diff", action="store_true", help="add the text of files before and after")
        command.add_argument("--conf", metavar="NAME=FILE", action="append", default=[], help="a file that is to become /etc/asl/NAME")


def _lay(args: argparse.Namespace) -> dict[str, Any]:
    root = Root(args.root)
    config: dict[str, bytes] = {}
    for setting in args.conf:
        name, equals, path = setting.partition("=")
        if not equals:
            raise Usage(f"--conf {setting}: not of the form NAME=FILE", hint="for example --conf asl.conf=/tmp/asl.conf")
        config[name] = Path(path).read_bytes()
    source = from_bundle(bundle.open_folder(args.bundle)) if args.bundle else from_laid(root)
    return lay(source, root, config, _request(args), _guards(root))


def _remove(args: argparse.Namespace) -> dict[str, Any]:
    root = Root(args.root)
    fallback = bundle.open_folder(args.bundle).contract if args.bundle else None
    return remove(root, fallback, _request(args), _guards(root))


def _compare(args: argparse.Namespace) -> dict[str, Any]:
    return compare(Root(args.root))


def _pack(args: argparse.Namespace) -> dict[str, Any]:
    packed = bundle.collect(args.overlay, args.native)
    with args.target.open("wb") as file:
        bundle.write(packed, file)
    return {"changed": True, "digest": packed.contents.digest, "files": len(packed.contents.lines)}


def _request(args: argparse.Namespace) -> Request:
    return Request(args.check, getattr(args, "diff", False), args.allow_non_live_root, args.services, args.force)


def _guards(root: Root) -> Guards:
    return Guards(_root_is_live, validate, lambda: _running_job(root))


def _root_is_live() -> tuple[bool, str]:
    from asl.preflight.environment import root_is_live

    return root_is_live()


def _running_job(root: Root) -> Optional[str]:
    """The id of a job that runs with the tools laid on ROOT. Tools that are not there, or too broken to answer, run nothing."""
    tool = root.at("/usr/local/bin/asl-intake")
    if not os.path.isfile(tool):
        return None
    where = {} if root.is_system else {"ASL_STATE_DIR": root.at("/var/lib/asl"), "ASL_RUN_DIR": root.at("/run/asl")}
    answer = system.run([sys.executable, "-B", tool, "status", "--json"], STATUS_DEADLINE, env=where)
    try:
        jobs = json.loads(answer.stdout)["jobs"]
    except (ValueError, KeyError, TypeError):
        return None
    return next((str(job["job"]) for job in jobs if job.get("state") == "running"), None)


def _lines(document: dict[str, Any]) -> list[str]:
    if "deviations" in document:
        return [f"{each['deviation']:8} {each['path']}" for each in document["deviations"]] or ["everything is as it was laid"]
    return document.get("actions") or [f"{key}: {document[key]}" for key in ("digest", "files") if key in document]


def _fail(error: AslError, as_json: bool) -> int:
    if as_json:
        print(json.dumps(error.document(), indent=1))
    print(f"overlay: {error.message} [{error.reason}]", file=sys.stderr)
    if error.hint:
        print(f"  next: {error.hint}", file=sys.stderr)
    return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
