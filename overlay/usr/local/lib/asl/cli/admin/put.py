# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""asl-admin put: store one file as an artifact and print its reference."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO, Optional

from asl import paths
from asl.cli import stores
from asl.cli.output import size
from asl.cli.reading import example
from asl.errors import Usage
from asl.names import reference_text

if TYPE_CHECKING:
    from asl.cli.context import Context

HELP = "store one file as an artifact and print its reference"
# What does not come from a file is kept in memory up to here, then spooled to /var/lib/asl/runtime: bytes.
IN_MEMORY = 8 * 1024 * 1024


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("file", metavar="FILE", help="the file to store, of any size; - is standard input")
    parser.add_argument("--type-tag", metavar="N", help="a type tag, 0 to 4294967295, 0x… for hex (default: none); part of the identity")
    stores.add_argument(parser)
    example(parser, "asl-admin put notes.txt --store /mnt/asl/local", "dmesg | asl-admin put - --type-tag 7")


def run(args: argparse.Namespace, context: Context) -> int:
    """Store the file. What is stored already is not stored again."""
    from asl.store.large import put_file

    tag = _type_tag(args.type_tag)
    with _seekable(args.file) as file, stores.open_for_adding(args, context) as writer:
        put = put_file(writer, file, tag)
        writer.commit()
    reference = reference_text(put.digest)
    context.document({"reference": reference, "size": put.size, "type_tag": tag, "changed": put.new})
    context.text(reference)
    if not context.json:
        context.note(f"{size(put.size)}, {'stored' if put.new else 'was stored before'}")
    return 0


def _type_tag(text: Optional[str]) -> Optional[int]:
    if text is None:
        return None
    try:
        tag = int(text, 0)
    except ValueError:
        tag = -1
    if not 0 <= tag < 2**32:
        raise Usage(f"--type-tag {text}: not a number from 0 to 4294967295", reason="BAD_TYPE_TAG")
    return tag


@contextmanager
def _seekable(name: str) -> Iterator[BinaryIO]:
    """The file NAME, or what a pipe gives, as a file that can be read twice."""
    if name == "-":
        with _spooled(sys.stdin.buffer) as spool:
            yield spool
        return
    if os.path.isdir(name):
        raise Usage(f"{name} is a directory; put stores one file", hint=f"asl-intake run tree:{os.path.abspath(name)} takes a directory")
    with open(name, "rb") as file:
        if file.seekable():
            yield file
        else:
            with _spooled(file) as spool:
                yield spool


@contextmanager
def _spooled(source: BinaryIO) -> Iterator[BinaryIO]:
    folder = paths.state("runtime")
    os.makedirs(folder, exist_ok=True)
    with tempfile.SpooledTemporaryFile(IN_MEMORY, dir=folder) as spool:
        shutil.copyfileobj(source, spool, 1024 * 1024)
        yield spool  # type: ignore[misc]
