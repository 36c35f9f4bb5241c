# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pools, put together from the labels of all devices. Pure: no device is opened here, nothing is asked of ZFS."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Optional

from asl.survey import labels, uberblock, vdevs
from asl.survey.labels import Label
from asl.survey.pools import STATES, Auxiliary, Member, Pool
from asl.survey.vdevs import Leaf, TopLevel

# A vdev that was removed lives on without any device, and still counts among the children.
REMOVAL = "com.delphix:device_removal"
Config = dict[str, Any]
Holders = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class _Device:
    """A device that shows a configuration. ``good`` counts its valid labels, ``txg`` is that of the configuration."""

    path: str
    guid: Optional[str]
    good: int
    txg: int
    config: Config
    block: Optional[uberblock.Uberblock]
    top: Optional[TopLevel]
    held_by: tuple[str, ...] = ()


def assemble(devices: Mapping[str, Sequence[Label]], *, hostid: Optional[int] = None, holders: Optional[Holders] = None) -> list[Pool]:
    """The pools that the labels of all ``devices`` (by path) belong to, ordered by name and GUID.

    ``hostid`` is this machine's (0: it has none); not given, no pool is called foreign. ``holders`` names, for a device, what uses it
    (paths of the devices that lie on it, mount points). A device and a mapping of the whole of it count as one, the mapping.
    """
    by_pool: dict[str, list[_Device]] = defaultdict(list)
    for path, found in devices.items():
        device = _device(path, found, (holders or {}).get(path, ()))
        # ZFS itself passes over txg 0: a device that was being added, or has been taken out of its pool.
        if device is not None and device.txg > 0 and _number(device.config, "pool_guid") is not None:
            by_pool[str(device.config["pool_guid"])].append(device)
    pools = [_Assembly(guid, found).pool(hostid) for guid, found in by_pool.items()]
    names = Counter(pool.name for pool in pools)
    pools = [replace(pool, hazards=("DUPLICATE_NAME", *pool.hazards)) if names[pool.name] > 1 else pool for pool in pools]
    return sorted(pools, key=lambda pool: (pool.name, pool.guid))


def auxiliaries(devices: Mapping[str, Sequence[Label]]) -> list[Auxiliary]:
    """The idle spares and caches among ``devices``, ordered by path."""
    found = []
    for path, each in sorted(devices.items()):
        device = _device(path, each, ())
        if device is not None and device.guid is not None and "pool_guid" not in device.config:
            role = STATES.get(_number(device.config, "state") or 0)
            if role in ("spare", "cache"):
                found.append(Auxiliary(path, device.guid, role, device.good))
    return found


def _device(path: str, found: Sequence[Label], held_by: Sequence[str]) -> Optional[_Device]:
    """The newest good configuration of a device; one whose checksum is wrong only where there is no other."""
    usable = [(each.valid, _number(each.config, "txg") or 0, -each.index, each.config) for each in found if each.config is not None]
    if not usable:
        return None
    _valid, txg, _index, config = max(usable, key=lambda each: each[:3])
    guid = _number(config, "guid")
    return _Device(
        path=path,
        guid=None if guid is None else str(guid),
        good=sum(each.valid for each in found),
        txg=txg,
        config=config,
        block=labels.newest(found),
        top=vdevs.top_level(config),
        held_by=tuple(held_by),
    )


def _number(config: Mapping[str, Any], key: str) -> Optional[int]:
    value = config.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _text(config: Mapping[str, Any], key: str) -> Optional[str]:
    value = config.get(key)
    return value if isinstance(value, str) else None


def _without_shadows(devices: Sequence[_Device]) -> list[_Device]:
    """Leave out what is only another view of a device.

    The disk around a partition may show the partition's last labels, at an offset where their checksum is wrong. A disk below a mapping
    shows what the mapping shows.
    """
    valid = {each.guid for each in devices if each.good}
    paths = {(each.path, each.guid) for each in devices}
    return [
        each for each in devices if (each.good or each.guid not in valid) and not any((above, each.guid) in paths for above in each.held_by)
    ] or list(devices)


class _Assembly:
    """The devices of one pool, the newest configuration among them, and the newest of each top-level vdev."""

    def __init__(self, guid: str, devices: Sequence[_Device]) -> None:
        self.guid = guid
        self.devices = sorted(_without_shadows(devices), key=lambda each: each.path)
        by_age = sorted(self.devices, key=lambda each: (each.good > 0, each.txg, each.block.rank if each.block else (0, 0, 0)))
        self.config = by_age[-1].config
        self.tops: dict[int, TopLevel] = {each.top.id: each.top for each in by_age if each.top is not None}
        self.leaves: dict[str, Leaf] = {leaf.guid: leaf for top in self.tops.values() for leaf in top.leaves()}
        self.seen = {each.guid for each in self.devices if each.guid is not None}
        self.block = uberblock.best([each.block for each in self.devices])

    def pool(self, hostid: Optional[int]) -> Pool:
        config, block = self.config, self.block
        features = config.get("features_for_read")
        pool = Pool(
            guid=self.guid,
            name=_text(config, "name") or "",
            state=STATES.get(_number(config, "state") or 0, "active"),
            hostid=_number(config, "hostid"),
            hostname=_text(config, "hostname"),
            txg=block.txg if block else _number(config, "txg"),
            last_write=block.timestamp if block else None,
            multihost=block is not None and block.multihost,
            top_level=self.top_level(),
            top_level_seen=len(self.tops),
            version=_number(config, "version"),
            comment=_text(config, "comment"),
            members=tuple(self.member(each) for each in self.devices),
            missing=tuple(leaf for guid, leaf in self.leaves.items() if guid not in self.seen),
            features_for_read=tuple(sorted(features)) if isinstance(features, dict) else (),
            has_log=any(top.role == "log" for top in self.tops.values()),
        )
        return replace(pool, hazards=tuple(code for code, applies in self.hazards(pool, hostid).items() if applies))

    def top_level(self) -> int:
        """How many top-level vdevs the pool has. What has been removed leaves a hole that still counts among the children."""
        holes = self.config.get("hole_array")
        children = (_number(self.config, "vdev_children") or 0) - (len(holes) if isinstance(holes, list) else 0)
        return max(len(self.tops), children)

    def member(self, device: _Device) -> Member:
        leaf = self.leaves.get(device.guid or "")
        return Member(
            path=device.path,
            guid=device.guid or "",
            role=leaf.role if leaf else "data",
            labels=device.good,
            top_level=device.top.id if device.top else None,
            txg=device.block.txg if device.block else None,
            held_by=", ".join(device.held_by) or None,
        )

    def stale(self, device: _Device) -> bool:
        """Whether the others of its top-level vdev have gone on without this device."""
        newest = max(each.txg for each in self.devices if each.top and device.top and each.top.id == device.top.id) if device.top else 0
        return device.txg < newest or device.guid not in self.leaves

    def hazards(self, pool: Pool, hostid: Optional[int]) -> dict[str, bool]:
        broken = {top.role for top in self.tops.values() if not top.usable(self.seen)}
        unseen = pool.top_level_seen < pool.top_level
        removal = REMOVAL in pool.features_for_read
        incomplete = bool(broken - {"log"}) or (unseen and not removal)
        return {
            "DUPLICATE_GUID": len({device.guid for device in self.devices}) < len(self.devices),
            "INCOMPLETE": incomplete,
            "REMOVED_VDEVS": unseen and removal,
            "MISSING_LOG": "log" in broken,
            "DEGRADED": bool(pool.missing) and not incomplete and "log" not in broken,
            "LABELS_PARTIAL": any(device.good < labels.COUNT for device in self.devices),
            "MEMBER_STALE": any(self.stale(device) for device in self.devices),
            "MULTIHOST": pool.multihost,
            "FOREIGN_HOST": pool.state == "active" and hostid is not None and bool(pool.hostid) and pool.hostid != hostid,
            "DESTROYED": pool.state == "destroyed",
            "HELD_BY_OTHER": any(device.held_by for device in self.devices),
        }
