# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writing small things into stores, and looking at what lies there."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from asl.formats.artifact import TAG_MANIFEST, TAG_RECEIPT
from asl.formats.snapshot import About, Manifest, SourceRoot
from asl.names import Digest
from asl.store import Writer, open_writer
from asl.store.state import Snapshot

LIBRARY = Path(__file__).resolve().parents[3] / "overlay" / "usr" / "local" / "lib"


def seal(writer: Writer, text: str = "one") -> Snapshot:
    """Put a manifest, a receipt and a chunk that hold TEXT, and seal a snapshot of them."""
    root = writer.put(text.encode())
    manifest = writer.put(Manifest((SourceRoot("tree", "tree", root, len(text)),), {"average": 1}).encode(), TAG_MANIFEST)
    receipt = writer.put(b'{"format":"asl-receipt","text":"%s"}' % text.encode(), TAG_RECEIPT)
    return writer.seal_snapshot(About("d", manifest, receipt, (f"tree:/{text}",), sealed=1))


def put(root: str, *payloads: bytes) -> list[Digest]:
    """Put and commit PAYLOADS with a writer of their own."""
    with open_writer(root) as writer:
        digests = [writer.put(payload) for payload in payloads]
        writer.commit()
    return digests


def python(program: str, *words: str) -> subprocess.Popen[str]:
    """PROGRAM in a process of its own that finds the engine."""
    env = {**os.environ, "PYTHONPATH": str(LIBRARY)}
    argv: Sequence[str] = [sys.executable, "-B", "-c", program, *words]
    return subprocess.Popen(argv, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def files(root: str, folder: str) -> list[Path]:
    """The files in a folder of the store."""
    return sorted(path for path in (Path(root) / folder).rglob("*") if path.is_file())
