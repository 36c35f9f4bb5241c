# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The live rescue VM from the command line: ``tests/vm/run COMMAND``, or ``python3 -m tests.vm COMMAND``."""

from __future__ import annotations

import argparse
import os
import shlex
import sys

from rig.process import RigError

from . import live, root
from .machine import Machine


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="tests/vm/run", description="a live rescue system with real OpenZFS, booted by qemu")
    top.add_argument("--project", default="console", help="machines of different projects do not touch each other (default: console)")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    build = commands.add_parser("build", help="build root and medium, when they are not in the cache (a quarter of an hour)")
    up = commands.add_parser("up", help="boot it with fresh disks")
    shell = commands.add_parser("shell", help="boot it when it is not running, and give a shell")
    for each in (build, up, shell):
        each.add_argument("--suite", default="trixie", choices=root.SUITES)
    for each in (up, shell):
        each.add_argument("--disk", action="append", default=[], metavar="NAME:SIZE", help="a disk of its own, as data:1G (repeatable)")
        each.add_argument("--memory", type=int, default=2048, metavar="MIB")
        each.add_argument("--bare", action="store_true", help="without the tools of this checkout")
    commands.add_parser("ssh", help="a shell in the running machine")
    execute = commands.add_parser("run", help="run a command line in the running machine")
    execute.add_argument("line", nargs=argparse.REMAINDER)
    commands.add_parser("save", help="remember memory and disks")
    commands.add_parser("reset", help="back to what save remembered")
    commands.add_parser("kill", help="pull the plug; the disks stay")
    commands.add_parser("boot", help="start it again with its disks")
    commands.add_parser("down", help="stop it and remove its files and disks")
    return top


def up(machine: Machine, args: argparse.Namespace) -> None:
    disks = dict(each.partition(":")[::2] for each in args.disk) or {"one": "1G", "two": "1G", "three": "1G"}
    machine.up(disks, suite=args.suite, memory=args.memory)
    if not args.bare:
        machine.lay_tools()


def act(args: argparse.Namespace) -> int:
    machine = Machine(args.project)
    if args.command == "build":
        print(live.sizes(live.medium(args.suite)))
    elif args.command == "up":
        up(machine, args)
        print(shlex.join(machine.ssh_argv()))
    elif args.command in ("ssh", "shell"):
        if args.command == "shell" and not machine.alive():
            up(machine, args)
        argv = machine.ssh_argv("-t")
        sys.stdout.flush()
        os.execvp(argv[0], argv)
    elif args.command == "run":
        line = args.line[1:] if args.line[:1] == ["--"] else args.line
        done = machine.run(" ".join(line), check=False)
        sys.stdout.write(done.stdout)
        sys.stderr.write(done.stderr)
        return done.returncode
    else:
        {"save": machine.save, "reset": machine.reset, "kill": machine.kill, "boot": machine.boot, "down": machine.down}[args.command]()
    return 0


def main() -> int:
    try:
        return act(parser().parse_args())
    except RigError as error:
        print(f"vm: {error}", file=sys.stderr)
        return 1
