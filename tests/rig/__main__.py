# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rig from the command line: ``tests/rig/run COMMAND``."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys

from . import image, remote, scene
from .hosts import Rig
from .places import CHECKOUT
from .process import RigError


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="tests/rig/run", description="systemd containers as crashed hosts, reached over SSH")
    top.add_argument("--project", default="console", help="rigs of different projects do not touch each other (default: console)")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    build = commands.add_parser("image", help="build the container image, when it is not there")
    build.add_argument("--suite", default="trixie")
    up = commands.add_parser("up", help="boot hosts and print the inventory's path")
    up.add_argument("--suite", default="trixie")
    up.add_argument("--disk", action="append", default=[], metavar="/dev/loopN", help="a loop device the hosts see (repeatable)")
    up.add_argument("names", nargs="+", metavar="NAME")
    scene_parser = commands.add_parser("scene", help="boot hosts with a crashed disk and an empty store each")
    scene_parser.add_argument("--bandwidth", default="0", help="bytes a second that an intake may read, e.g. 16MiB (default: no limit)")
    scene_parser.add_argument("names", nargs="+", metavar="NAME")
    remote_parser = commands.add_parser("remote-scene", help="boot a server for a gateway, and hosts with a crashed disk that send to it")
    remote_parser.add_argument("names", nargs="+", metavar="NAME")
    commands.add_parser("down", help="remove the hosts, their loop devices and their files")
    execute = commands.add_parser("exec", help="run a command line on a host")
    execute.add_argument("name")
    execute.add_argument("line", nargs="+")
    inside = commands.add_parser("inside", help="run a program in the rig's namespace")
    inside.add_argument("argv", nargs=argparse.REMAINDER)
    return top


def act(args: argparse.Namespace) -> int:
    rig = Rig(args.project)
    rig.enter()
    if args.command == "image":
        print(image.ensure(args.suite))
    elif args.command == "up":
        for name in args.names:
            rig.up(name, args.disk, args.suite)
        print(rig.inventory)
    elif args.command == "scene":
        scene.build(rig, args.names, args.bandwidth)
        print(rig.inventory)
    elif args.command == "remote-scene":
        remote.build(rig, args.names)
        print(rig.inventory)
    elif args.command == "down":
        rig.down()
    elif args.command == "exec":
        done = rig.ssh(args.name, " ".join(args.line), check=False)
        sys.stdout.write(done.stdout)
        sys.stderr.write(done.stderr)
        return done.returncode
    else:
        argv = args.argv[1:] if args.argv[:1] == ["--"] else args.argv
        os.environ.setdefault("ASL_COLLECTIONS", str(CHECKOUT / "playbooks" / "collections"))
        return subprocess.run(argv, env=dict(os.environ), check=False).returncode
    return 0


def main() -> int:
    try:
        return act(parser().parse_args())
    except RigError as error:
        print(f"rig: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
