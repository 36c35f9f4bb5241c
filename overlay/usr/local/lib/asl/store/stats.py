# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The state of a store in numbers."""

from __future__ import annotations

import os
from typing import Any, Optional

from asl.backends import layout
from asl.backends.base import Reads
from asl.store import Store, marker, recovery


def status(store: Store) -> dict[str, Any]:
    """The document of `asl-admin status --json`. Sizes in bytes; `free` is None where the store is not a local directory.

    `artifacts` counts the records of visible segments: an artifact that two of them know counts twice.
    """
    backend, state = store.backend, store.state
    log_bytes = backend.size(layout.LOG)
    blocks = [backend.size(name) for name in backend.names("blocks") if layout.parse_block(name)]
    segments = [backend.size(name) for name in backend.names("segments") if layout.parse_number(name)]
    known = store.snapshots()
    return {
        "store": backend.location,
        "store_id": marker.check(backend),
        "format": marker.VERSION,
        "acknowledged_logseq": recovery.read_head(backend).logseq,
        "logseq": state.position.logseq,
        "blocks": len(blocks),
        "block_bytes": sum(blocks),
        "segments": len(segments),
        "segments_visible": len(state.segments),
        "segment_bytes": sum(segments),
        "artifacts": sum(each.count for each in store.index.segments()),
        "tombstones": len(state.tombstones),
        "log_bytes": log_bytes,
        "torn_bytes": max(0, log_bytes - recovery.load(backend).position.offset),
        "snapshots": len(known),
        "pinned": sum(1 for each in known if each.pinned),
        "latest": known[-1].document() if known else None,
        "content_bytes": sum(each.about.size for each in known),
        **_space(backend),
    }


def _space(backend: Reads) -> dict[str, Optional[int]]:
    root = backend.path("")
    if root is None:
        return {"free": None, "capacity": None}
    found = os.statvfs(root)
    return {"free": found.f_bavail * found.f_frsize, "capacity": found.f_blocks * found.f_frsize}
