# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pools put together from labels: those of real OpenZFS, with devices taken away, doubled and held."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Optional

import archive
import pytest

from asl.survey.assembly import assemble, auxiliaries
from asl.survey.labels import Label, read_labels
from asl.survey.pools import HAZARDS, Pool

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures" / "zfs"
VERSIONS = sorted(path.name for path in FIXTURES.iterdir() if path.is_dir() and any(path.glob("*.json")))
HOST = 0x00BAB10C
# What a version could not be brought to make: 2.1 does not let a file that is a spare take the place of another.
UNMADE = {("2.1.11", "replaced")}


def load(version: str, name: str) -> tuple[list[dict[str, Any]], dict[str, list[Label]]]:
    facts, devices = archive.read(FIXTURES / version / f"{name}.json")
    return facts["pools"], {f"/dev/{device.name}": read_labels(device.fetch, device.size) for device in devices}


def one(version: str, name: str, without: Iterable[str] = (), **options: Any) -> Pool:
    """The only pool of a scenario, without some of its devices."""
    _, found = load(version, name)
    (pool,) = assemble({path: labels for path, labels in found.items() if path not in without}, hostid=HOST, **options)
    return pool


@pytest.fixture(params=VERSIONS)
def version(request: pytest.FixtureRequest) -> str:
    return str(request.param)


EVERY = [pytest.param(path.parent.name, path.stem, id=f"{path.parent.name}-{path.stem}") for path in sorted(FIXTURES.glob("*/*.json"))]


@pytest.mark.parametrize(("version", "name"), EVERY)
def test_every_pool_is_found_as_zpool_named_it(version: str, name: str) -> None:
    recorded, found = load(version, name)
    said = {each["properties"]["guid"]: each for each in recorded}
    pools = {pool.guid: pool for pool in assemble(found)}
    assert set(said) <= set(pools)
    for guid, each in said.items():
        assert pools[guid].name == each["name"]
        assert pools[guid].multihost == (each["properties"]["multihost"] == "on")
        assert set(pools[guid].hazards) <= set(HAZARDS)


# scenario: state, top-level vdevs, roles of the members in the order of the devices, hazards
EXPECTED = {
    "single": ("exported", 1, ["data"], ()),
    "stripe": ("exported", 2, ["data", "data"], ()),
    "pair": ("exported", 1, ["data", "data"], ()),
    "parity": ("exported", 1, ["data"] * 3, ()),
    "spread": ("exported", 1, ["data"] * 5, ()),
    "slog": ("exported", 2, ["data", "log", "log"], ()),
    "bias": ("exported", 3, ["data"] * 3, ()),  # labels do not say that a vdev is special
    "cached": ("exported", 1, ["data"], ()),
    "idle": ("exported", 1, ["data", "data"], ()),
    "replaced": ("exported", 1, ["data", "data", "spare"], ()),
    "detached": ("exported", 1, ["data"], ()),
    "hole": ("exported", 2, ["data", "data"], ()),
    "checkpointed": ("exported", 1, ["data"], ()),
    "left": ("exported", 1, ["data", "data"], ("MEMBER_STALE",)),
    "destroyed": ("destroyed", 1, ["data"], ("DESTROYED",)),
    "active": ("active", 1, ["data", "data"], ()),
    "nohostid": ("active", 1, ["data"], ()),
    "watched": ("active", 1, ["data"], ("MULTIHOST",)),
    "unwatched": ("exported", 1, ["data"], ("MULTIHOST",)),
    "front": ("exported", 1, ["data"], ("LABELS_PARTIAL",)),
    "back": ("exported", 1, ["data"], ("LABELS_PARTIAL",)),
    "halves": ("exported", 1, ["data"], ("LABELS_PARTIAL",)),
    "crashed": ("active", 1, ["data"], ("FOREIGN_HOST",)),
}


@pytest.mark.parametrize(
    ("version", "name"), [(each, name) for each in VERSIONS for name in sorted(EXPECTED) if (each, name) not in UNMADE]
)
def test_scenario(version: str, name: str) -> None:
    state, tops, roles, hazards = EXPECTED[name]
    pool = one(version, name)
    assert (pool.state, pool.top_level, pool.top_level_seen) == (state, tops, tops)
    assert [member.role for member in pool.members] == roles
    assert pool.hazards == hazards


def test_labels_that_are_left(version: str) -> None:
    counts = {name: [member.labels for member in one(version, name).members] for name in ("single", "front", "back", "halves")}
    assert counts == {"single": [4], "front": [2], "back": [2], "halves": [2]}


def test_hostid(version: str) -> None:
    assert one(version, "active").hostid == HOST
    assert one(version, "nohostid").hostid is None
    _, found = load(version, "active")
    assert [pool.hazards for pool in assemble(found, hostid=0)] == [("FOREIGN_HOST",)]
    assert [pool.hazards for pool in assemble(found)] == [()]


def test_comment_and_features(version: str) -> None:
    pool = one(version, "single")
    assert pool.comment == "holds nothing"
    assert "com.delphix:hole_birth" in pool.features_for_read
    assert not pool.has_log
    assert one(version, "slog").has_log


MISSING = [
    ("stripe", ["/dev/d1"], ("INCOMPLETE",)),
    ("pair", ["/dev/d0"], ("DEGRADED",)),
    ("parity", ["/dev/d2"], ("DEGRADED",)),
    ("parity", ["/dev/d0", "/dev/d2"], ("INCOMPLETE",)),
    ("spread", ["/dev/d4"], ("DEGRADED",)),
    ("spread", ["/dev/d3", "/dev/d4"], ("INCOMPLETE",)),
    ("slog", ["/dev/d1"], ("DEGRADED",)),
    ("slog", ["/dev/d1", "/dev/d2"], ("INCOMPLETE",)),
    ("bias", ["/dev/d1"], ("INCOMPLETE",)),
    ("replaced", ["/dev/d1"], ("DEGRADED",)),
    ("left", ["/dev/d1"], ("DEGRADED",)),
]


@pytest.mark.parametrize(
    ("version", "name", "without", "hazards"), [(each, *row) for each in VERSIONS for row in MISSING if (each, row[0]) not in UNMADE]
)
def test_devices_that_are_missing(version: str, name: str, without: list[str], hazards: tuple[str, ...]) -> None:
    whole, pool = one(version, name), one(version, name, without)
    assert pool.hazards == hazards
    gone = {member.guid for member in whole.members if member.path in without}
    if pool.top_level_seen == whole.top_level_seen:
        assert {leaf.guid for leaf in pool.missing} == gone


def test_spares_and_caches_name_no_pool(version: str) -> None:
    for name, role, path in (("idle", "spare", "/dev/d2"), ("cached", "cache", "/dev/d1")):
        _, found = load(version, name)
        assert [(aux.path, aux.role, aux.labels) for aux in auxiliaries(found)] == [(path, role, 4)]


def test_two_pools_of_one_name(version: str) -> None:
    recorded, found = load(version, "twins")
    pools = assemble(found, hostid=HOST)
    assert [(pool.name, pool.hazards) for pool in pools] == [("rpool", ("DUPLICATE_NAME",))] * 2
    assert len({pool.guid for pool in pools}) == 2
    assert {each["name"] for each in recorded} == {"rpool"}


def test_a_cloned_disk(version: str) -> None:
    _, found = load(version, "single")
    (pool,) = assemble({**found, "/dev/clone": found["/dev/d0"]}, hostid=HOST)
    assert pool.hazards == ("DUPLICATE_GUID",)
    assert [member.path for member in pool.members] == ["/dev/clone", "/dev/d0"]


def test_a_mapping_of_a_disk_is_no_clone(version: str) -> None:
    _, found = load(version, "single")
    (pool,) = assemble({**found, "/dev/dm-0": found["/dev/d0"]}, hostid=HOST, holders={"/dev/d0": ["/dev/dm-0"]})
    assert [member.path for member in pool.members] == ["/dev/dm-0"]
    assert pool.hazards == ()


def test_the_disk_around_a_partition_is_no_clone(version: str) -> None:
    """A disk shows its last partition's last labels, where their checksum is wrong."""
    _, found = load(version, "single")
    around = [Label(each.index, each.offset + 512, False, each.config, "its checksum is wrong") for each in found["/dev/d0"][2:]]
    (pool,) = assemble({**found, "/dev/disk": around}, hostid=HOST)
    assert [member.path for member in pool.members] == ["/dev/d0"]
    assert pool.hazards == ()


def test_a_device_in_use(version: str) -> None:
    pool = one(version, "single", holders={"/dev/d0": ["/dev/md0", "/mnt"]})
    assert pool.hazards == ("HELD_BY_OTHER",)
    assert pool.members[0].held_by == "/dev/md0, /mnt"


def test_a_removed_vdev_is_not_told_by_labels(version: str) -> None:
    """What is left of a data vdev that was removed needs no device, but only the pool's own objects say that it is so."""
    pool = one(version, "removed")
    assert (pool.top_level, pool.top_level_seen) == (2, 1)
    assert pool.hazards == ("REMOVED_VDEVS",)


def test_the_crashed_pool(version: str) -> None:
    recorded, found = load(version, "crashed")
    pool = one(version, "crashed")
    assert (pool.hostname, pool.hostid) == ("crashed-host", 0x0BADCAFE)
    assert pool.txg is not None
    assert max(label.uberblock.txg for label in found["/dev/part1"] if label.uberblock) == pool.txg
    assert recorded[0]["name"] == pool.name


HOSTILE_TREES: list[Optional[Any]] = [
    None, 7, "x", [], {}, {"id": "0", "guid": 1, "type": "disk"}, {"id": 0, "guid": 1, "type": "mirror", "children": 5},
    {"id": 2**63, "guid": 1, "type": "raidz", "nparity": "many", "children": [1, {"type": 4}, {"type": "disk", "guid": "x"}]},
]  # fmt: skip


@pytest.mark.parametrize("tree", HOSTILE_TREES)
@pytest.mark.parametrize("state", [0, 99, "x", None])
def test_odd_configurations(tree: Any, state: Any) -> None:
    config = {"pool_guid": 5, "guid": 6, "txg": 7, "state": state, "vdev_tree": tree, "name": 8, "features_for_read": 9, "hole_array": 1}
    (pool,) = assemble({"/dev/x": [Label(0, 0, True, config)]})
    assert (pool.guid, pool.name) == ("5", "")
