# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the log to an attestation: whoever has the log makes the same one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Optional

from asl.formats.attestation import Attestation
from asl.store.state import Snapshot


def attest(store_id: str, snapshot: Snapshot, intake: Optional[Mapping[str, Any]] = None) -> Attestation:
    """What can be signed of SNAPSHOT in the store STORE_ID; INTAKE is its receipt, where that is to be part of it."""
    about = snapshot.about
    return Attestation(
        about.domain, store_id, snapshot.id, about.manifest, about.receipt, snapshot.root, snapshot.logseq, snapshot.link, about.sealed,
        intake,
    )  # fmt: skip
