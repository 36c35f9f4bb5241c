# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""May this pool be imported, like this, here and now? Pure: a situation in, nothing or a refusal out.

The order is that of the questions a person would ask: which pool, may it be, is this the machine for it, is it imported already, what do
its labels say. What holds for a backend preflight has decided before; it is asked, not repeated.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Optional

from asl.config import Config
from asl.errors import AslError
from asl.imported import temporary_name
from asl.pools import zpool
from asl.pools.codes import from_finding, refused, unavailable
from asl.pools.request import Request
from asl.pools.situation import Situation, occupied
from asl.preflight import backend

MEMORY = 256 << 20  # bytes: below that ZFS cannot keep what it needs, and the OOM killer takes sshd first

Pool = Mapping[str, Any]


def refuse(request: Request, seen: Situation, config: Config) -> None:
    """Raise Refused or Unavailable for the first rule against it. A pool that is imported as wanted already passes."""
    pool = seen.pool
    if pool is None:
        where = ", ".join(request.devices) or "any device"
        raise unavailable("NO_SUCH_POOL", guid=request.guid, where=where)
    names = {"name": pool["name"], "guid": request.guid, "role": request.role}
    if request.guid not in approved(request, config):
        raise refused("NOT_APPROVED", **names)
    found = _machine(request, seen) or _imported(request, seen, names)
    if found is None and seen.state(request.guid) is None:
        found = _labels(request, seen, pool, names) or _source(request, seen, pool, names) if request.is_source else None
        found = found or (None if request.is_source else _backend(request, seen, pool, names, config))
    if found is not None:
        raise found


def approved(request: Request, config: Config) -> tuple[str, ...]:
    """The GUIDs that may be imported in this role: those of the request, and for a backend those of local.approved."""
    return request.approved if request.is_source else (*request.approved, *config.local_approved)


def _machine(request: Request, seen: Situation) -> Optional[AslError]:
    if not seen.live:
        return refused("NOT_RESCUE_ENV", why=seen.why_live)
    if seen.hanging is not None:
        return refused("ZPOOL_HANGS", command=seen.hanging[0], pid=seen.hanging[1])
    if not seen.zfs.usable:
        return refused(f"ZFS_UNUSABLE_{seen.zfs.status.upper()}", tool=seen.zfs.tool, module=seen.zfs.module, tools=seen.zfs.tools)
    if seen.zfs.status == "loadable" and not request.load_module:
        return refused("MODULE_NOT_LOADED")
    if seen.memory is not None and seen.memory < MEMORY:
        return refused("MEMORY_TOO_LOW", free=seen.memory >> 20, need=MEMORY >> 20)
    return None


def _imported(request: Request, seen: Situation, names: Mapping[str, str]) -> Optional[AslError]:
    """What is imported already: the pool itself in the wrong mode, or another one under the name that this one would get."""
    state = seen.state(request.guid)
    if state is not None:
        if state.read_only != request.is_source:
            return refused("WRONG_MODE", mode=state.mode, **names)
        return refused("BACKEND_DEGRADED", **names) if unhealthy(request, state) else None
    wanted = temporary_name(request.guid) if request.is_source else names["name"]
    return refused("NAME_TAKEN", name=wanted) if any(each.name == wanted for each in seen.states) else None


def _labels(request: Request, seen: Situation, pool: Pool, names: Mapping[str, str]) -> Optional[AslError]:
    """What the labels say against a source. DEGRADED, old or partly overwritten labels and a stale member are no obstacle."""
    held = next((each for each in pool["members"] if each["held_by"]), None)
    if "DUPLICATE_GUID" in pool["hazards"]:
        return refused("DUPLICATE_GUID", **names)
    if pool["state"] == "destroyed":
        return refused("POOL_DESTROYED", **names)
    if held is not None:
        return refused("MEMBER_HELD", member=held["path"], holder=held["held_by"], **names)
    return _missing(request, seen, pool, names)


def _missing(request: Request, seen: Situation, pool: Pool, names: Mapping[str, str]) -> Optional[AslError]:
    """What is not there. A top-level vdev of which nothing was seen may be the log or hold data: no label of the others tells."""
    hazards, missing = pool["hazards"], ", ".join(each["path"] or each["guid"] for each in pool["missing"])
    if "INCOMPLETE" in hazards and seen.silent:
        return refused("SCAN_INCOMPLETE", devices=", ".join(seen.silent), **names)
    if "INCOMPLETE" in hazards and pool["top_level_seen"] == pool["top_level"]:
        return refused("POOL_INCOMPLETE", missing=missing, **names)
    if "INCOMPLETE" in hazards and not request.allow_missing_log:
        return refused("TOP_LEVEL_MISSING", seen=pool["top_level_seen"], all=pool["top_level"], **names)
    return refused("MISSING_LOG", missing=missing, **names) if "MISSING_LOG" in hazards and not request.allow_missing_log else None


def _source(request: Request, seen: Situation, pool: Pool, names: Mapping[str, str]) -> Optional[AslError]:
    fact = seen.fact
    if fact is not None and fact.unsupported_read:
        return refused("FEATURES_UNSUPPORTED", features=", ".join(fact.unsupported_read), **names)
    if pool["multihost"] and not seen.hostid:
        return refused("HOSTID_NOT_SET", theirs=hexadecimal(pool["hostid"]), number=pool["hostid"] or "HOSTID", **names)
    if "FOREIGN_HOST" in pool["hazards"] and not request.force_foreign:
        return foreign(pool, names)
    if request.txg is None and claim_refuses(pool, seen.hostid, seen.zfs.module or seen.zfs.tools):
        exported = pool["state"] == "exported"
        same = f"set this machine's hostid to {hexadecimal(pool['hostid'])}; or " if exported and pool["hostid"] else ""
        return refused(
            "MMP_RULE", state=pool["state"], theirs=hexadecimal(pool["hostid"]), ours=hexadecimal(seen.hostid), txg=pool["txg"],
            module=seen.zfs.module or seen.zfs.tools, same=same, **names,
        )  # fmt: skip
    return None


def _backend(request: Request, seen: Situation, pool: Pool, names: Mapping[str, str], config: Config) -> Optional[AslError]:
    """What preflight has against it, and what can only be seen now. Its approval has been looked at."""
    held = next((each for each in pool["members"] if each["held_by"]), None)
    if held is not None:
        return refused("MEMBER_HELD", member=held["path"], holder=held["held_by"], **names)
    fact = seen.fact
    if fact is not None:
        judged = replace(
            fact, foreign=fact.foreign and not request.force_foreign, degraded=fact.degraded and not request.allow_degraded
        )
        finding = backend.judge(judged, seen.facts, seen.zfs, config._replace(local_approved=approved(request, config)))
        if finding is not None:
            return from_finding(finding)
    return refused("MOUNTPOINT_NOT_EMPTY", path=config.local_mount) if occupied(config.local_mount) else None


def unhealthy(request: Request, state: zpool.State) -> bool:
    """Whether a backend that is imported is one into which nothing should be written, as long as no operator allows it."""
    healths = ("ONLINE", "DEGRADED") if request.allow_degraded else ("ONLINE",)
    return not request.is_source and state.health not in healths


def foreign(pool: Pool, names: Mapping[str, str]) -> AslError:
    """The pool was last used by another host and never exported."""
    return refused("FOREIGN_HOST", hostname=pool["hostname"] or "unknown", theirs=hexadecimal(pool["hostid"]), **names)


def claim_refuses(pool: Pool, ours: int, version: Optional[str]) -> bool:
    """Whether OpenZFS ``version`` refuses to import this multihost pool read-only.

    From 2.3.6 and 2.4.1 every import of a multihost pool begins with a claim, for which uberblocks are written; a read-only import cannot
    write, so the claim fails, except where it is left out: the pool was exported and the hostids are equal. (Seen with 2.3.9; before,
    with 2.1.11, such an import works after twenty seconds of watching.) An unknown version counts as a new one.
    """
    if not pool["multihost"] or (pool["state"] == "exported" and pool["hostid"] == ours):
        return False
    numbers = tuple(int(each) for each in re.findall(r"\d+", version or "")[:3])
    return not numbers or numbers >= (2, 4, 1) or (2, 3, 6) <= numbers < (2, 4, 0)


def after_failure(words: str, pool: Pool, names: Mapping[str, Any]) -> AslError:
    """What zpool said of an import that failed, in our terms."""
    code = zpool.meaning(words)
    if code == "FOREIGN_HOST":
        return foreign(pool, names)
    if code == "FEATURES_UNSUPPORTED":
        return refused(code, features=words, **names)
    if code == "NAME_TAKEN":
        return refused(code, name=names["name"])
    if code == "MMP_ACTIVE":
        return refused(code, words=words, **names)
    return unavailable("IMPORT_FAILED", words=words, **names)


def hexadecimal(hostid: Optional[int]) -> str:
    """A hostid as people write it: 0badcafe."""
    return f"{hostid:08x}" if hostid else "none"
