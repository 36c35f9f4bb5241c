# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every pool that can be seen, and what would stand against taking it as a source or as the backend. Reads only; runs zpool only to ask."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Optional

from asl import imported
from asl.config import Config
from asl.errors import AslError
from asl.pools import rules
from asl.pools.request import Request
from asl.pools.situation import Situation, look_at_all
from asl.pools.zpool import State


def list_pools(config: Config, *, devices: Sequence[str] = (), root: str = "/") -> dict[str, Any]:
    """``pools``: each with its labels' story (as in a survey), ``imported`` (None, or how), ``approved`` as the backend, and for each role
    the first thing that would stand against it if it were approved (None: nothing).

    Whether somebody else writes to it right now is looked at by an import only, since that takes time.
    """
    pools = []
    for seen in look_at_all(config, devices=devices, root=root):
        assert seen.pool is not None
        guid = str(seen.pool["guid"])
        pools.append(
            {
                **{
                    key: seen.pool[key]
                    for key in ("guid", "name", "state", "hostname", "hostid", "txg", "last_write", "multihost", "hazards")
                },
                "members": [each["path"] for each in seen.pool["members"]],
                "missing": [each["path"] for each in seen.pool["missing"]],
                "imported": _imported(seen.state(guid), imported.read(guid)),
                "approved": guid in config.local_approved,
                "as_source": _against(Request(guid, imported.SOURCE, approved=(guid,), load_module=True), seen, config),
                "as_backend": _against(Request(guid, imported.BACKEND, approved=(guid,), load_module=True), seen, config),
            }
        )
    return {"pools": pools}


def _imported(state: Optional[State], record: Optional[imported.Import]) -> Optional[dict[str, Any]]:
    if state is None:
        return None
    return {
        "as": state.name, "read_only": state.read_only, "altroot": state.altroot, "health": state.health,
        "role": record.role if record else None,
    }  # fmt: skip


def _against(request: Request, seen: Situation, config: Config) -> Optional[dict[str, Any]]:
    """Why it would be refused; the gates that an option opens are named with it."""
    try:
        rules.refuse(request, seen, config)
    except AslError as error:
        return {"reason": error.reason, "text": error.message, "hint": error.hint}
    return None
