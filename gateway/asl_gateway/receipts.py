# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Receipts: what a gateway vouches for when it has sealed a snapshot, signed with an SSH key.

The signed text is an attestation (asl.formats.attestation) without the receipt of the intake in it, which lies in the store. All of it
comes from the log, so that the same question has the same answer from every replica. Any host checks it:

    ssh-keygen -Y verify -f allowed_signers -I asl-gateway -n receipt@asl.rescue -s receipt.sig < receipt.json
"""

from __future__ import annotations

from asl.signing import NAMESPACE, sign
from asl.store.attest import attest
from asl.store.state import Snapshot

__all__ = ["NAMESPACE", "sign", "text"]


def text(store_id: str, snapshot: Snapshot) -> bytes:
    """The bytes that are signed."""
    return attest(store_id, snapshot).encode()
