# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""libzfs_core, through the distribution's python3-pyzfs where that is installed.

    core.py send NAME [FLAG…]    the stream of a snapshot, or of a dataset's head, to standard output
    core.py keep NAME TAG        make the snapshot NAME unless it is there, and hold it under TAG unless it is held

It runs as a program of its own: a call that hangs in the kernel hangs nobody else, and can be left behind at a deadline. It needs
nothing of this engine. Status 0: done (keep says `made` or `there`). 1: ZFS refused, its words are on standard error.
3: libzfs_core cannot be used here; ask the zfs command instead.
"""

from __future__ import annotations

import errno
import importlib
import importlib.util
import os
import sys
from collections.abc import Sequence
from typing import Any

UNUSABLE = 3


def present() -> bool:
    """Whether the distribution's bindings are installed. (Those of the Python package index are for Python 2 and do not import.)"""
    if sys.flags.no_site:  # the tools start without the packages of the distribution: nothing else of them is used
        import site

        site.main()
    return importlib.util.find_spec("libzfs_core") is not None


def command(*words: str) -> list[str]:
    """The argument list that runs this file with WORDS."""
    return [sys.executable, "-B", os.path.abspath(__file__), *words]


def send(core: Any, name: str, flags: Sequence[str]) -> int:
    """Write the stream of NAME to standard output. FLAGS: large_blocks, embedded_data, compress, raw."""
    core.lzc_send(os.fsencode(name), None, sys.stdout.fileno(), list(flags))
    return 0


def keep(core: Any, name: str, tag: str) -> int:
    """Make and hold; either may be done already."""
    full = os.fsencode(name)
    try:
        core.lzc_snapshot([full])
        made = True
    except core.exceptions.SnapshotFailure as error:
        if not all(isinstance(each, core.exceptions.SnapshotExists) for each in error.errors):
            raise
        made = False
    try:
        core.lzc_hold({full: os.fsencode(tag)})
    except core.exceptions.HoldFailure as error:
        if not all(isinstance(each, core.exceptions.HoldExists) for each in error.errors):
            raise
    print("made" if made else "there")
    return 0


def _words(error: Any) -> str:
    """The kernel's own word for ERROR. The bindings have classes for the likely ones and call the rest an error of input and output."""
    number = getattr(error, "errno", None)
    if number == errno.EACCES:
        return "dataset key must be loaded"
    return f"{os.strerror(number) if isinstance(number, int) else error} ({type(error).__name__})"


def main(words: Sequence[str]) -> int:
    """Run one order."""
    try:
        core = importlib.import_module("libzfs_core")
    except Exception as error:  # it opens /dev/zfs and a shared library of its own version: it fails in many ways
        print(f"libzfs_core cannot be used: {error}", file=sys.stderr)
        return UNUSABLE
    try:
        if words[0] == "send":
            return send(core, words[1], words[2:])
        return keep(core, words[1], words[2])
    except core.exceptions.ZFSError as error:
        errors = getattr(error, "errors", None) or [error]
        print("; ".join(dict.fromkeys(_words(each) for each in errors)), file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
