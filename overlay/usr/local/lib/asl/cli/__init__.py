# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line: parse, run one command, map errors to exit codes. Nothing below this package prints or exits.

A command is a module ``asl.cli.<tool>.<command>`` with ``HELP``, ``arguments(parser)`` and ``run(args, context)``. Only the
module of the command that runs is imported: at the first start after a boot each import is compiled.
"""

from __future__ import annotations

import argparse
import functools
import gc
import importlib
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any, NoReturn, Optional

from asl.cli.context import Context
from asl.cli.tools import TOOLS, VERSION
from asl.errors import Usage, as_asl_error

# Each of its messages would be looked for in catalogues of translations, of which there are none.
vars(argparse)["_"] = str

EXIT_CODES = """\
exit status:
  0 done   1 done, with losses that are listed   2 usage or configuration   3 refused by a safety rule
  4 not available (network, ZFS, space, permission)   5 integrity failure   130 interrupted, resumable"""


class Parser(argparse.ArgumentParser):
    """argparse whose errors are ours: one sentence, exit status 2, JSON when asked for. Options may stand anywhere."""

    _mixing = False

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse, but an optional argument behind an option is found too (`ls SNAPSHOT --store DIR PATH`)."""
        if self._subparsers is not None or self._mixing:
            return super().parse_known_args(args, namespace)
        self._mixing = True
        # Mixing would first put the usage together, for messages that are not ours; only help shows it.
        self.usage = None if asks_help(args) else ""
        try:
            return self.parse_known_intermixed_args(args, namespace)
        finally:
            self._mixing, self.usage = False, None

    def error(self, message: str) -> NoReturn:
        command = self.prog.partition(" ")[2]
        raise Usage(f"{command}: {message}" if command else message, hint=f"see {self.prog} --help")


def asks_help(words: Sequence[str]) -> bool:
    """Whether help could be meant: --help may be shortened, and -h may stand together with others."""
    return any(word.startswith(("-h", "--h")) for word in words)


def common(parser: argparse.ArgumentParser, *, top: bool) -> None:
    """Add the flags every tool has. They may stand before or after the command."""
    default = {} if top else {"default": argparse.SUPPRESS}
    group = parser.add_argument_group("common options")
    group.add_argument("--config", metavar="FILE", help="configuration to read (default: /etc/asl/asl.conf)", **default)  # type: ignore[arg-type]
    group.add_argument(
        "--set",
        dest="settings",
        metavar="KEY=VALUE",
        action="append",
        help="override one key of asl.conf; may be repeated",
        **default,  # type: ignore[arg-type]
    )
    group.add_argument("--json", action="store_true", help="print one JSON document on stdout and nothing else", **default)  # type: ignore[arg-type]
    group.add_argument("--quiet", action="store_true", help="no progress and no notes", **default)  # type: ignore[arg-type]


def parser_for(tool: str, command: Optional[str], *, alone: bool = False) -> argparse.ArgumentParser:
    """The parser of TOOL; only COMMAND's own module is imported, the others show their one line of help. ALONE: the others are left
    out, since nothing will be shown."""
    description, commands = TOOLS[tool]
    # Its width would be asked for each option, by a module that imports compressors.
    form: Any = functools.partial(argparse.RawDescriptionHelpFormatter, width=80) if alone else argparse.RawDescriptionHelpFormatter
    parser = Parser(prog=tool, description=description, epilog=EXIT_CODES, formatter_class=form)
    parser.add_argument("--version", action="version", version=f"{tool} {VERSION}")
    common(parser, top=True)
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True, prog=tool)
    for name, text in commands.items():
        if alone and name != command:
            continue
        sub = subparsers.add_parser(name, help=text, description=text, epilog=EXIT_CODES, formatter_class=form)
        if name == command:
            module = importlib.import_module(f"asl.cli.{tool[4:]}.{name.replace('-', '_')}")
            module.arguments(sub)
            common(sub, top=False)
    return parser


def find_command(tool: str, argv: Sequence[str]) -> Optional[str]:
    """The first word that is a command, skipping common options and their values."""
    skip = False
    for word in argv:
        if skip:
            skip = False
        elif word in ("--config", "--set"):
            skip = True
        elif not word.startswith("-"):
            return word if word in TOOLS[tool][1] else None
    return None


def run(tool: str, argv: Sequence[str]) -> int:
    """Parse ARGV and run its command. Raises AslError."""
    command = find_command(tool, argv)
    args = parser_for(tool, command, alone=command is not None and not asks_help(argv)).parse_args(argv)
    module = importlib.import_module(f"asl.cli.{tool[4:]}.{args.command.replace('-', '_')}")
    return int(module.run(args, Context(args)))


def leave(status: int) -> NoReturn:
    """As sys.exit(STATUS), but the collector does not look at all objects once more at the end, which is an eighth of a short command."""
    gc.freeze()
    sys.exit(status)


def main(tool: str, argv: Optional[Sequence[str]] = None) -> int:
    """Run TOOL and return its exit status. The only place where an error becomes text and a number."""
    words = list(sys.argv[1:] if argv is None else argv)
    signal.signal(signal.SIGTERM, _terminate)
    # What commands make are many small things without cycles, and looking for some in them takes a fifth of the time of an intake.
    before = gc.get_threshold()
    gc.set_threshold(100_000, 20, 20)
    try:
        return run(tool, words)
    except BrokenPipeError:
        # The reader of our output went away (`| head`): nothing to say, and nothing to flush at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (Exception, KeyboardInterrupt) as error:
        if os.environ.get("ASL_TRACE"):
            raise
        told = as_asl_error(error)
        Context.report(tool, told, as_json="--json" in words)
        return told.exit_code
    finally:
        gc.set_threshold(*before)


def _terminate(_number: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt
