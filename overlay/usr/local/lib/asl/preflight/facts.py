# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything preflight looks at, gathered once. Only reads: no tool is run, no module loaded, nothing mounted."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Optional

from asl import system
from asl.config import Config
from asl.preflight import environment, local, network, touching, zfs
from asl.preflight.environment import Environment, Scratch
from asl.preflight.local import LocalStore
from asl.preflight.network import Endpoint
from asl.preflight.pools import PoolFact
from asl.preflight.zfs import Capability


@dataclass(frozen=True)
class Facts:
    """What was seen. ``memory`` is bytes; what measured() gives changes from second to second."""

    environment: Environment
    scratch: Scratch
    store: LocalStore
    zfs: Capability
    endpoint: Endpoint
    writable_mounts: tuple[touching.WritableMount, ...] = ()
    swaps: tuple[str, ...] = ()
    arrays: tuple[touching.Array, ...] = ()
    mapped: tuple[touching.Mapped, ...] = ()
    imported: tuple[touching.Imported, ...] = ()
    zfs_units: tuple[str, ...] = ()
    daemons: tuple[str, ...] = ()
    interfaces: tuple[str, ...] = ()
    pools: tuple[PoolFact, ...] = ()
    memory: Optional[int] = None
    clock_plausible: bool = True
    remote_store: Optional[LocalStore] = None  # at remote.mount; None where that is not set

    @property
    def clock_drifts(self) -> bool:
        """Whether the clock is off, but not so far that nothing works."""
        return self.endpoint.reachable and self.endpoint.skew is not None and abs(self.endpoint.skew) > network.DRIFT

    def document(self) -> dict[str, Any]:
        """What is equal from run to run as long as nothing happens."""
        facts = asdict(self)
        del facts["memory"], facts["endpoint"]["skew"], facts["scratch"]["free"], facts["store"]["free"]
        if facts["remote_store"]:
            del facts["remote_store"]["free"]
        return facts

    def measured(self) -> dict[str, Any]:
        """What is never equal: sizes in bytes, the clock's difference in seconds."""
        return {
            "memory_available": self.memory,
            "scratch_free": self.scratch.free,
            "store_free": self.store.free,
            "remote_store_free": self.remote_store.free if self.remote_store else None,
            "clock_skew": self.endpoint.skew,
        }


def gather(config: Optional[Config], pools: Sequence[PoolFact] = (), *, root: str = "/", now: Optional[float] = None) -> Facts:
    """Look at the machine. With ``config=None`` (it is invalid) no endpoint is tried and the default local.mount is looked at."""
    usable = config or Config()
    here = environment.observe(root)
    views = environment.views(root)
    mounts = views.own
    devices = system.block_devices(root)
    store = local.local_store(usable.local_mount, views, devices, root)
    shared = here.container is not None  # what belongs to the host of a container is not ours to judge
    remote = local.local_store(usable.remote_mount, views, devices, root) if usable.remote_mount else None
    room = environment.scratch(views)
    room_mount = system.mount_at(room.path, mounts)
    # / is judged by NOT_RESCUE_ENV; the folder of our own state may well be a USB stick.
    scratch = (room_mount.mount_point,) if room_mount and room_mount.mount_point == room.path else ()
    spared = ("/", *(each.mount_point for each in (store, remote) if each and each.holds), *scratch)
    return Facts(
        environment=here,
        scratch=room,
        store=store,
        remote_store=remote,
        zfs=zfs.capability(root, here.kernel),
        endpoint=network.of_mount(remote) if remote else _endpoint(config, now),
        writable_mounts=tuple(touching.writable_mounts(mounts, devices, in_container=shared, spared=spared)),
        swaps=() if shared else tuple(touching.swaps(root)),
        arrays=() if shared else tuple(touching.arrays(root)),
        mapped=() if shared else tuple(touching.mapped(devices, root)),
        imported=() if shared else tuple(touching.imported_pools(mounts, root)),
        zfs_units=tuple(touching.zfs_units(root)),
        daemons=tuple(touching.daemons(root)),
        interfaces=tuple(network.interfaces_up(root)),
        pools=tuple(pools),
        memory=environment.memory_available(root),
        clock_plausible=environment.clock_is_plausible(time.time() if now is None else now),
    )


def _endpoint(config: Optional[Config], now: Optional[float]) -> Endpoint:
    return network.check(config.remote_endpoint if config else None, config.remote_ca if config else None, now=now)
