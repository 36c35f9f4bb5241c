# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Receipts: what a gateway vouches for when it has sealed a snapshot, signed with an SSH key.

The signed text is canonical JSON: format "asl-gateway-receipt", version 1, domain, store_id, snapshot, digest (the content digest),
receipt (the artifact that says how it was read), root (SHA-256 of the checkpoint), logseq, sealed. All of it comes from the log, so
that the same question has the same answer from every replica. Any host checks it:

    ssh-keygen -Y verify -f allowed_signers -I asl-gateway -n receipt@asl.rescue -s receipt.sig < receipt.json
"""

from __future__ import annotations

import os
import subprocess

from asl.errors import Unavailable
from asl.formats import canonical
from asl.names import reference_text
from asl.store.state import Snapshot

NAMESPACE = "receipt@asl.rescue"
SECONDS = 20


def text(domain: str, store_id: str, snapshot: Snapshot) -> bytes:
    """The bytes that are signed."""
    return canonical.encode(
        {
            "format": "asl-gateway-receipt", "version": 1, "domain": domain, "store_id": store_id, "snapshot": str(snapshot.id),
            "digest": snapshot.about.manifest.hex(), "receipt": reference_text(snapshot.about.receipt), "root": snapshot.root.hex(),
            "logseq": snapshot.logseq, "sealed": snapshot.about.sealed,
        }
    )  # fmt: skip


def sign(data: bytes, key: str) -> str:
    """The armored signature of DATA with the private SSH key in the file KEY. Raises Unavailable."""
    argv = ["ssh-keygen", "-q", "-Y", "sign", "-f", key, "-n", NAMESPACE]
    try:
        done = subprocess.run(argv, input=data, capture_output=True, timeout=SECONDS, check=False, env={**os.environ, "LC_ALL": "C"})
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"the receipt cannot be signed: {error}", reason="SIGN", hint="install openssh-client") from error
    if done.returncode:
        why = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
        raise Unavailable(f"the receipt cannot be signed: {' '.join(why)}", reason="SIGN", hint="check receipt.key")
    return done.stdout.decode("ascii")
