# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The decision table, row by row, and the blocking conditions. Pure: facts in, decision out."""

from __future__ import annotations

import string
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Optional

import pytest

from asl.config import Config
from asl.preflight import network
from asl.preflight.codes import CODES, REASONS, SEVERITIES, finding
from asl.preflight.decide import decide
from asl.preflight.environment import Environment, Scratch
from asl.preflight.facts import Facts
from asl.preflight.local import LocalStore
from asl.preflight.network import Endpoint
from asl.preflight.pools import PoolFact
from asl.preflight.touching import Array, Imported, Mapped, WritableMount
from asl.preflight.zfs import Capability

GUID, OTHER = "1234567890123456789", "987654321"
URL = "https://asl-backend"
HERE = Environment(True, "/ is overlay", "sysrescue", None, "sysrescue", "6.12.1", "x86_64", None)
YES = Endpoint(URL, True)
NO = Endpoint(URL, False, "ENDPOINT_TCP", "no connection")
UNSET = Endpoint(None, False, "ENDPOINT_NOT_SET", "remote.endpoint is not set")
LOADED = Capability("loaded", "2.3.9", "2.3.9", "/usr/sbin/zpool")
EMPTY = LocalStore("/mnt/asl/local", False, False, False, "overlay", "/")
READY = LocalStore("/mnt/asl/local", True, True, True, "zfs", "/mnt/asl/local")
POOL = PoolFact(GUID, "rescuepool")
TWIN = PoolFact(OTHER, "rescuepool")


def facts(**changes: Any) -> Facts:
    quiet = Facts(HERE, Scratch("/var/lib/asl", True, 1 << 30, "overlay"), EMPTY, LOADED, UNSET, interfaces=("eth0",), memory=4 << 30)
    return replace(quiet, **changes)


def config(mode: str, *, approved: bool = False, endpoint: bool = True) -> Config:
    return Config(mode=mode, local_approved=(GUID,) if approved else (), remote_endpoint=URL if endpoint else None)


def seen(**changes: Any) -> dict[str, Any]:
    return {"pools": (replace(POOL, **changes),)}


def zfs(status: str) -> dict[str, Any]:
    return {"zfs": Capability(status)}


YES_, NO_ = {"endpoint": YES}, {"endpoint": NO}
IMPORTED = {"imported": "rw", "mounted_at": "/mnt/asl/local"}

# rule, mode in asl.conf, GUID approved, facts, expected mode and reason
ROWS: list[tuple[str, str, bool, dict[str, Any], str, str]] = [
    ("1", "auto", False, {"store": READY}, "local", "LOCAL_READY"),
    ("1", "local", False, {"store": READY, **zfs("absent")}, "local", "LOCAL_READY"),
    ("1", "auto", True, {"store": READY, **YES_}, "local", "LOCAL_READY"),
    ("1", "auto", True, seen(**IMPORTED), "local", "LOCAL_READY"),
    ("1", "local", True, {**seen(**IMPORTED), **NO_}, "local", "LOCAL_READY"),
    ("7", "remote", True, {**seen(**IMPORTED), **YES_}, "remote", "REMOTE_CONFIGURED"),
    ("2", "local", True, seen(), "local", "LOCAL_ELIGIBLE"),
    ("2", "local", True, {**seen(), **zfs("loadable"), **YES_}, "local", "LOCAL_ELIGIBLE"),
    ("3", "local", False, {**seen(), **YES_}, "none", "APPROVAL_REQUIRED"),
    ("3", "local", False, {"pools": (POOL, TWIN)}, "none", "APPROVAL_REQUIRED"),
    ("3", "local", False, {**seen(), **zfs("loadable")}, "none", "APPROVAL_REQUIRED"),
    ("4", "local", True, {**YES_}, "none", "NO_BACKEND_POOL"),
    ("4", "local", True, {**YES_, **zfs("absent")}, "none", "NO_BACKEND_POOL"),
    ("4", "local", False, {"pools": (replace(POOL, name="rpool"),)}, "none", "NO_BACKEND_POOL"),
    ("5", "local", True, {**seen(), **zfs("absent")}, "none", "ZFS_UNUSABLE_ABSENT"),
    ("5", "local", False, {**seen(), **zfs("stub"), **YES_}, "none", "ZFS_UNUSABLE_STUB"),
    ("5", "local", True, {**seen(), **zfs("fuse")}, "none", "ZFS_UNUSABLE_FUSE"),
    ("5", "local", True, {**seen(), **zfs("mismatch")}, "none", "ZFS_UNUSABLE_MISMATCH"),
    ("5", "local", True, {**seen(), **zfs("tools_only")}, "none", "ZFS_UNUSABLE_TOOLS_ONLY"),
    ("6", "local", True, seen(top_level=2), "none", "BACKEND_INCOMPLETE"),
    ("6", "local", True, {**seen(timed_out=True), **zfs("absent")}, "none", "BACKEND_INCOMPLETE"),
    ("7", "remote", False, {**YES_}, "remote", "REMOTE_CONFIGURED"),
    ("7", "remote", False, {"store": READY, **YES_}, "remote", "REMOTE_CONFIGURED"),
    ("8", "remote", False, {**NO_}, "none", "ENDPOINT_UNREACHABLE"),
    ("8", "remote", True, {"store": READY, **seen(), **NO_}, "none", "ENDPOINT_UNREACHABLE"),
    ("9", "auto", True, {**seen(), **YES_}, "local", "LOCAL_ELIGIBLE"),
    ("9", "auto", True, {"pools": (TWIN, POOL), **NO_}, "local", "LOCAL_ELIGIBLE"),
    ("10", "auto", False, {**seen(), **YES_}, "remote", "LOCAL_NOT_APPROVED"),
    ("11", "auto", False, {**seen(), **NO_}, "none", "APPROVAL_REQUIRED"),
    ("12", "auto", True, {**seen(on_source=True), **YES_}, "remote", "BACKEND_ON_SOURCE"),
    ("12", "auto", True, {**seen(on_source=True), **NO_}, "none", "BACKEND_ON_SOURCE"),
    ("12", "auto", False, {**seen(on_source=True), **zfs("absent"), **NO_}, "none", "BACKEND_ON_SOURCE"),
    ("13", "auto", False, {"pools": (POOL, TWIN), **YES_}, "remote", "AMBIGUOUS_NAME"),
    ("13", "auto", False, {"pools": (POOL, TWIN), **NO_, **zfs("absent")}, "none", "AMBIGUOUS_NAME"),
    ("9", "auto", True, {"pools": (replace(POOL, imported="rw"),), **NO_}, "local", "LOCAL_ELIGIBLE"),
    ("14", "auto", True, {**seen(unsupported_write=("com.x:new",)), **YES_}, "remote", "BACKEND_FEATURES"),
    ("14", "auto", True, {**seen(unsupported_read=("com.x:new",)), **NO_}, "none", "BACKEND_FEATURES"),
    ("14", "auto", True, {**seen(multihost_active=True), **YES_}, "remote", "MMP_ACTIVE"),
    ("14", "auto", True, {**seen(mmp_refuses=True), **NO_}, "none", "MMP_RULE"),
    ("14", "auto", True, {**seen(degraded=True), **YES_}, "remote", "BACKEND_DEGRADED"),
    ("14", "auto", True, {**seen(top_level=3), **NO_}, "none", "BACKEND_INCOMPLETE"),
    ("14", "auto", True, {**seen(state="destroyed"), **NO_}, "none", "BACKEND_DESTROYED"),
    ("14", "auto", True, {**seen(duplicate=True), **YES_}, "remote", "DUPLICATE_GUID"),
    ("14", "auto", True, {**seen(mountpoint_taken=True), **NO_}, "none", "MOUNTPOINT_TAKEN"),
    ("14", "auto", True, {**seen(), **zfs("stub"), **YES_}, "remote", "ZFS_UNUSABLE_STUB"),
    ("14", "auto", True, {**seen(foreign=True), **YES_}, "remote", "BACKEND_FOREIGN"),
    ("14", "local", True, seen(foreign=True), "none", "BACKEND_FOREIGN"),
    ("14", "local", True, seen(degraded=True), "none", "BACKEND_DEGRADED"),
    ("14", "local", True, seen(on_source=True), "none", "BACKEND_ON_SOURCE"),
    ("14", "auto", False, {"store": replace(READY, initialised=False), **YES_}, "remote", "STORE_NOT_INITIALISED"),
    ("14", "local", False, {"store": replace(READY, writable=False)}, "none", "STORE_READ_ONLY"),
    ("14", "local", True, {"store": replace(EMPTY, error="no answer within 5 seconds"), **seen()}, "none", "STORE_NO_ANSWER"),
    ("15", "auto", False, {**YES_}, "remote", "REMOTE_ONLY"),
    ("15", "auto", True, {**YES_, **zfs("absent")}, "remote", "REMOTE_ONLY"),
    ("16", "auto", False, {**NO_}, "none", "NOTHING_AVAILABLE"),
    ("16", "auto", False, {}, "none", "NOTHING_AVAILABLE"),
    ("17", "auto", False, {"endpoint": Endpoint(URL, False, "ENDPOINT_TLS", "self-signed")}, "none", "ENDPOINT_TLS"),
    ("17", "auto", False, {"endpoint": Endpoint(URL, False, "CLOCK_SKEW", "2 days behind"), **seen()}, "none", "CLOCK_SKEW"),
    ("17", "auto", False, {"endpoint": Endpoint(URL, False, "ENDPOINT_CA", "no such file")}, "none", "ENDPOINT_CA"),
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[0]}-{row[1]}-{row[5]}")
def test_row(row: tuple[str, str, bool, dict[str, Any], str, str]) -> None:
    rule, mode, approved, changes, expected, reason = row
    decision = decide(facts(**changes), config(mode, approved=approved))
    assert (decision.mode, decision.reason, decision.rule) == (expected, reason, rule)


# Every row of the table in both of its columns: with the endpoint reached and not, where the row says a mode for each.
def test_rows_with_two_answers_are_tested_in_both() -> None:
    answers = {rule: {(row[4], row[3].get("endpoint", UNSET).reachable) for row in ROWS if row[0] == rule} for rule in ("12", "13", "14")}
    assert all(answers[rule] >= {("remote", True), ("none", False)} for rule in answers)


@pytest.mark.parametrize("cause", ["on_source", "duplicate", "degraded", "multihost_active", "mmp_refuses", "foreign", "mountpoint_taken"])
@pytest.mark.parametrize("mode", ["auto", "local"])
def test_nothing_makes_a_blocked_pool_eligible(mode: str, cause: str) -> None:
    """Whatever is wrong with the approved pool, no other circumstance leads to it, and no pool has to be imported."""
    for endpoint in (YES, NO, UNSET):
        decision = decide(facts(endpoint=endpoint, **seen(**{cause: True})), config(mode, approved=True))
        assert (decision.mode, decision.backend) == ("remote" if endpoint is YES and mode == "auto" else "none", None)


def test_the_pool_to_import_is_named() -> None:
    assert decide(facts(**seen()), config("local", approved=True)).backend == GUID
    assert decide(facts(**seen(**IMPORTED)), config("local", approved=True)).backend is None
    assert decide(facts(store=READY, **seen()), config("auto", approved=True)).backend is None
    assert decide(facts(endpoint=YES), config("auto", approved=True)).backend is None
    assert decide(facts(swaps=("/dev/sda3",), **seen()), config("local", approved=True)).backend is None


def test_a_pool_that_somebody_else_writes_is_told_and_blocks_only_where_it_must() -> None:
    stranger = PoolFact("7", "rpool", live_writer=True)
    decision = decide(facts(endpoint=YES, pools=(POOL, stranger)), config("auto", approved=True))
    assert (decision.mode, decision.reason) == ("local", "LOCAL_ELIGIBLE")
    assert [each["text"].split(" (")[0] for each in decision.findings if each["code"] == "POOL_WRITTEN"] == ["the pool rpool"]


def test_a_source_pool_that_we_imported_is_no_finding() -> None:
    ours = Imported("asl_src_7", "7", "ONLINE", None, (), taken=True)
    assert not {"POOL_IMPORTED", "SOURCE_IMPORTED_RW"} & set(codes(facts(imported=(ours,))))
    assert "SOURCE_IMPORTED_RW" in codes(facts(imported=(replace(ours, writable=True),)))


def test_every_row_is_tested() -> None:
    assert {row[0] for row in ROWS} == {str(number) for number in range(1, 18)}


BLOCKING: list[tuple[str, str, dict[str, Any]]] = [
    ("B1", "NOT_RESCUE_ENV", {"environment": replace(HERE, live=False, why="/ is ext4 on /dev/sda2")}),
    ("B2", "SOURCE_MOUNTED_RW", {"writable_mounts": (WritableMount("/mnt", "/dev/sda2", "ext4", ("sda",)),)}),
    ("B2", "SWAP_ON_DISK", {"swaps": ("/dev/sda3",)}),
    ("B2", "SOURCE_IMPORTED_RW", {"imported": (Imported("rpool", None, "ONLINE", True, ("/",)),)}),
    ("B3", "NO_SCRATCH", {"scratch": Scratch("/var/lib/asl", False, None, "overlay", "read-only")}),
    ("B3", "NO_SCRATCH", {"scratch": Scratch("/var/lib/asl", True, 1 << 20, "overlay")}),
    ("B4", "LIVE_WRITER", seen(live_writer=True)),
    ("B4", "LIVE_WRITER", {"pools": (POOL, PoolFact("7", "rpool", live_writer=True, shares_backend_disk=True))}),
]


@pytest.mark.parametrize("mode", ["auto", "local", "remote"])
@pytest.mark.parametrize(("rule", "reason", "changes"), BLOCKING)
def test_blocking_conditions_come_before_every_row(rule: str, reason: str, changes: dict[str, Any], mode: str) -> None:
    decision = decide(facts(**{"store": READY, "endpoint": YES, **changes}), config(mode, approved=True))
    assert (decision.mode, decision.reason, decision.rule) == ("none", reason, rule)
    assert [each["severity"] for each in decision.findings if each["code"] == reason] == ["error"]


def test_an_invalid_configuration_blocks() -> None:
    decision = decide(facts(), None, "/etc/asl/asl.conf:3: unknown key mdoe")
    assert (decision.mode, decision.reason, decision.rule) == ("none", "CONFIG_INVALID", "B5")
    assert decision.findings[0]["text"] == "/etc/asl/asl.conf:3: unknown key mdoe"


def test_the_first_blocking_condition_is_the_reason_and_all_are_told() -> None:
    everything: dict[str, Any] = {}
    for _, _, changes in BLOCKING:
        everything.update(changes)
    decision = decide(facts(**{**everything, **seen(live_writer=True)}), config("auto", approved=True))
    assert (decision.reason, decision.rule) == ("NOT_RESCUE_ENV", "B1")
    assert {reason for _, reason, _ in BLOCKING} <= {each["code"] for each in decision.findings}


def codes(decision_facts: Facts, given: Optional[Config] = None) -> list[str]:
    return [each["code"] for each in decide(decision_facts, given or config("auto")).findings]


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        ("CONTAINER", {"environment": replace(HERE, container="podman")}),
        ("RESUME_CONFIGURED", {"environment": replace(HERE, resume="/dev/sda3")}),
        ("CLOCK_IMPLAUSIBLE", {"clock_plausible": False}),
        ("LOW_MEMORY", {"memory": 100 << 20}),
        ("LOW_SCRATCH", {"scratch": Scratch("/var/lib/asl", True, 100 << 20, "overlay")}),
        ("POOL_IMPORTED", {"imported": (Imported("rpool", None, "ONLINE", None, ()),)}),
        ("MD_ACTIVE", {"arrays": (Array("md0", "active", ("sda1",), None),)}),
        ("MD_SYNC", {"arrays": (Array("md0", "active", ("sda1",), "resync"),)}),
        ("MD_READ_ONLY", {"arrays": (Array("md0", "auto-read-only", ("sda1",), None),)}),
        ("DM_WRITABLE", {"mapped": (Mapped("vg-root", "LVM", False, ("sda",)),)}),
        ("ZFS_UNITS", {"zfs_units": ("zfs-import-scan.service",)}),
        ("DISK_DAEMON", {"daemons": ("udisksd",)}),
        ("STORE_SHARES_DISK", {"store": replace(READY, disks=("sda",), shares_disk_with=("/dev/sda1",))}),
        ("NO_NETWORK", {"interfaces": ()}),
        ("CLOCK_DRIFT", {"endpoint": replace(YES, skew=-400)}),
        ("ENDPOINT_REACHABLE", {"endpoint": YES}),
        ("ENDPOINT_NOT_SET", {}),
    ],
)
def test_findings_that_do_not_block(code: str, changes: dict[str, Any]) -> None:
    decision = decide(facts(**changes), config("auto"))
    assert code in [each["code"] for each in decision.findings]
    assert not decision.rule.startswith("B")


def test_silence_where_there_is_nothing_to_say() -> None:
    assert codes(facts(store=READY, endpoint=YES, memory=4 << 30)) == ["STORE_READY", "ENDPOINT_REACHABLE"]


def test_an_approved_or_mounted_backend_is_no_foreign_pool() -> None:
    mine = Imported("rescuepool", GUID, "ONLINE", True, ("/mnt/asl/local",))
    assert codes(facts(imported=(mine,), store=READY))[0] == "STORE_READY"
    assert "SOURCE_IMPORTED_RW" not in codes(facts(imported=(replace(mine, mounted_at=()),)), config("auto", approved=True))


def test_a_read_only_or_checked_array_is_no_resync() -> None:
    assert "MD_SYNC" not in codes(facts(arrays=(Array("md0", "active", ("sda1",), "check"),)))


def test_approval_lists_every_candidate() -> None:
    decision = decide(facts(pools=(POOL, TWIN)), config("local"))
    assert [each["hint"] for each in decision.findings if each["code"] == "APPROVAL_REQUIRED"] == [
        f"approve it by GUID: local.approved = {GUID}",
        f"approve it by GUID: local.approved = {OTHER}",
    ]


def test_the_order_of_approval_chooses_between_two() -> None:
    given = config("auto")._replace(local_approved=(OTHER, GUID))
    assert decide(facts(pools=(replace(POOL, degraded=True), TWIN)), given).reason == "LOCAL_ELIGIBLE"


def test_worst_findings_come_first() -> None:
    decision = decide(facts(swaps=("/dev/sda3",), memory=1, interfaces=()), config("auto"))
    order = [SEVERITIES.index(each["severity"]) for each in decision.findings]
    assert order == sorted(order, reverse=True)


def fields(template: str) -> Iterator[str]:
    return (name for _, name, _, _ in string.Formatter().parse(template) if name)


@pytest.mark.parametrize("code", sorted(CODES))
def test_every_code_is_a_sentence_with_its_fields(code: str) -> None:
    entry = CODES[code]
    assert entry.severity in SEVERITIES
    given = dict.fromkeys((*fields(entry.text), *fields(entry.hint)), "X")
    told = finding(code, **given)
    assert set(told) == {"code", "severity", "text", "hint"}
    assert "{" not in told["text"] + told["hint"]
    assert entry.severity == "info" or entry.hint, "a warning without what to do next"


def test_every_reason_of_the_table_is_explained() -> None:
    assert {row[5] for row in ROWS} <= {*REASONS, *CODES}


def test_a_mount_stands_in_the_place_of_an_endpoint() -> None:
    """remote.mount counts as reached when a store that can be written is mounted there; each other state has a code of its own."""
    store = LocalStore("/mnt/asl/remote", True, True, True, "nfs4", "/mnt/asl/remote")
    states = {
        None: store, "REMOTE_NOT_MOUNTED": replace(store, mounted=False), "REMOTE_READ_ONLY": replace(store, writable=False),
        "REMOTE_NOT_INITIALISED": replace(store, initialised=False), "REMOTE_NO_ANSWER": replace(store, error="no answer in 5 seconds"),
    }  # fmt: skip
    asked = Config(mode="remote", remote_mount="/mnt/asl/remote")
    for reason, state in states.items():
        endpoint = network.of_mount(state)
        decision = decide(facts(endpoint=endpoint), asked)
        assert (decision.mode, endpoint.reason) == ("none" if reason else "remote", reason)
        assert (reason or "REMOTE_MOUNT_READY") in {each["code"] for each in decision.findings}
