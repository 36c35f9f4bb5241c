# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The receipts that come with the result of an intake, to be kept away from the store. Nothing about them can fail an intake."""

from __future__ import annotations

from typing import Any, Optional

from asl import signing
from asl.errors import AslError
from asl.store import StoredSnapshot, Writer

GATEWAY, HOST = "gateway", "host"


def vouch(writer: Writer, snapshot: StoredSnapshot, key: Optional[str]) -> list[dict[str, Any]]:
    """Each receipt of SNAPSHOT: `by` (gateway, host), `text` (an attestation), `signature` (armored, or None) with its `namespace`, and
    `why` there is none. A gateway gives its own, which is signed with its key; here KEY signs, where one is named."""
    found: list[dict[str, Any]] = []
    text: Optional[str] = None
    if writer.receipt is not None:
        text = writer.receipt["text"]
        found.append(
            {"by": GATEWAY, **writer.receipt, "why": None if writer.receipt["signature"] else "the gateway has no key to sign with"}
        )
    if text is None or key:
        found.append(_own(snapshot, text, key))
    return found


def _own(snapshot: StoredSnapshot, text: Optional[str], key: Optional[str]) -> dict[str, Any]:
    signature, why = None, None if key else "no key was named"
    try:
        text = text or snapshot.attestation().encode().decode("ascii")
        signature = signing.sign(text.encode("ascii"), key) if key else None
    except AslError as error:
        why = error.message
    return {"by": HOST, "text": text, "signature": signature, "namespace": signing.NAMESPACE, "why": why}
