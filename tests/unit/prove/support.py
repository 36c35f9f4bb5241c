# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real SSH keys, and a log that somebody rewrote so that it fits."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

from asl.formats import log
from asl.formats.log import Record
from asl.store import recovery


def key(folder: Path, name: str, passphrase: str = "") -> Path:
    """A new SSH key."""
    path = folder / name
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-C", name, "-f", str(path)], check=True)
    return path


def signers(folder: Path, *keys: Path) -> Path:
    """A file that allows KEYS, each under the name of its file."""
    path = folder / "signers"
    path.write_text("".join(f"{each.name}@site {each.with_name(each.name + '.pub').read_text()}" for each in keys))
    return path


def rewrite(store: Path, change: Callable[[Record], bytes]) -> None:
    """Write the log anew with the payloads that CHANGE makes: every hash of the chain fits, and so does the head."""
    path = store / "logs" / "asl.log"
    data, position = bytearray(log.FIRST), log.START
    for record in log.records(path.read_bytes()[log.HEADER.size :]):
        encoded, position = log.encode(position, record.kind, change(record))
        data += encoded
    path.write_bytes(data)
    (store / "meta" / "head").write_bytes(recovery.encode_head(position))


def flip(path: Path, at: int, bit: int = 0) -> None:
    """Turn one bit of a file over."""
    data = bytearray(path.read_bytes())
    data[at] ^= 1 << bit
    path.chmod(0o644)
    path.write_bytes(data)
