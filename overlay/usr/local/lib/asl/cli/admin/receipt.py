# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""asl-admin receipt: the receipt of a snapshot, to be kept elsewhere, and its signature."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING, Optional

from asl.cli import stores
from asl.cli.reading import SNAPSHOT, example
from asl.errors import Refused, Unavailable, Usage

if TYPE_CHECKING:
    from asl.cli.context import Context

HELP = "write the receipt of a snapshot, signed on request, to be kept away from the store"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("snapshot", metavar="SNAPSHOT", help=SNAPSHOT)
    parser.add_argument(
        "--output", metavar="FILE", help="write it to FILE, and the signature to FILE.sig (default: stdout); never overwrites"
    )
    parser.add_argument(
        "--sign",
        metavar="KEY",
        help="sign it with ssh-keygen: a private SSH key that has no passphrase, or the public half of one that an agent has",
    )
    stores.add_reading(parser)
    signed = "asl-admin receipt latest --output web07.receipt --sign /etc/ssh/ssh_host_ed25519_key"
    example(parser, "asl-admin receipt latest > web07.receipt", signed)


def run(args: argparse.Namespace, context: Context) -> int:
    """Write it. What is signed is what is written, without an end of line."""
    from asl import signing

    if args.sign and not args.output and not context.json:
        raise Usage("a signature stands beside the receipt, and that goes to no file", hint="name it: --output FILE")
    snapshot = stores.open_readonly(args, context).find_snapshot(args.snapshot)
    text = snapshot.attestation().encode()
    signature = signing.sign(text, args.sign) if args.sign else None
    changed = [keep(path, data) for path, data in places(args.output, text, signature)]
    document = {
        "snapshot": str(snapshot.id), "digest": snapshot.digest, "receipt": text.decode("ascii"), "signature": signature,
        "namespace": signing.NAMESPACE, "output": args.output, "changed": any(changed),
    }  # fmt: skip
    context.document(document)
    if args.output:
        context.text(f"{args.output}{f' and {args.output}.sig' if signature else ''}: snapshot {snapshot.id}, {snapshot.digest}")
    elif not context.json:
        sys.stdout.write(text.decode("ascii"))
    return 0


def places(output: Optional[str], text: bytes, signature: Optional[str]) -> list[tuple[str, bytes]]:
    """What goes into which file. Nothing is written before it is known that no other file is in the way."""
    wanted = [(output, text), *([(f"{output}.sig", signature.encode("ascii"))] if signature else [])] if output else []
    for path, data in wanted:
        if os.path.lexists(path) and not same(path, data):
            raise Refused(f"{path} is there already and is another one", reason="EXISTS", hint="name another file, or remove that one")
    return wanted


def same(path: str, data: bytes) -> bool:
    """True when the file has these bytes."""
    try:
        with open(path, "rb") as file:
            return file.read(len(data) + 1) == data
    except OSError:
        return False


def keep(path: str, data: bytes) -> bool:
    """Make the file PATH with DATA; True unless it was there. Raises Unavailable."""
    if same(path, data):
        return False
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(fd)
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise Unavailable(f"{path} cannot be written: {why}", reason="WRITE_FAILED") from error
    return True
