# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Is somebody writing to a pool right now? Its best uberblock is read twice; one that has moved proves a writer.

A pool that is in use writes an uberblock at least every zfs_txg_timeout (5 s) while there is anything to write, and with multihost on
every second in any case. So a change proves that another system has it, and no change proves nothing about an idle pool without
multihost. Nothing overrides a proof.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from asl.survey.direct import newest_uberblocks

APART = 11.0  # seconds between the readings: two times zfs_txg_timeout, and a little

Wait = Callable[[float], None]


def moving(pools: Sequence[Mapping[str, Any]], *, wait: Wait = time.sleep) -> set[str]:
    """The GUIDs of those pools of a survey that are being written. Waits APART seconds between the readings, once for all pools.

    Only pools whose labels say that they are in use can be: an import for writing says so before anything else. A device that cannot
    be read does not count; what is wrong with it the survey tells.
    """
    members = {
        member["path"]: pool["guid"]
        for pool in pools
        if pool["state"] == "active"
        for member in pool["members"]
        if os.path.exists(member["path"])
    }
    if not members:
        return set()
    before = newest_uberblocks(list(members))
    wait(APART)
    after = newest_uberblocks(list(members))
    return {
        guid
        for path, guid in members.items()
        if before[path].error is None and after[path].error is None and before[path].value != after[path].value
    }
