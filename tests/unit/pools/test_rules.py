# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every refusal, on labels that OpenZFS 2.3.9 wrote: nothing is imported, nothing is run but questions."""

from __future__ import annotations

import itertools
import os
import string
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Optional

import archive
import pytest
from unit.pools.support import FIXTURES, Rescue, images

from asl.config import Config
from asl.errors import AslError, Refused, Usage
from asl.pools import Request, export_pools, import_pool, list_pools
from asl.pools.codes import REASONS, told
from asl.pools.rules import claim_refuses
from asl.pools.situation import stuck

HOSTID = 0x00BAB10C  # with which the fixtures were made


def guid_of(name: str) -> str:
    facts, _ = archive.read(FIXTURES / f"{name}.json")
    return str(facts["pools"][0]["properties"]["guid"])


def refused(rescue: Rescue, name: str, *, without: tuple[int, ...] = (), config: Optional[Config] = None, **options: Any) -> AslError:
    """What is said against importing the pool of a scenario; approved unless ``approved`` is given."""
    guid = options.pop("guid", None) or guid_of(name)
    request = Request(guid, approved=options.pop("approved", (guid,)), devices=tuple(images(name, rescue.root / "disks", without=without)))
    with pytest.raises(AslError) as caught:
        import_pool(replace(request, **options), config or Config(), root=str(rescue.root), wait=lambda seconds: None)
    assert rescue.calls == [], "nothing but questions"
    assert caught.value.hint, "a way out"
    return caught.value


def of_root(name: str, text: Optional[str]) -> Callable[[Rescue], None]:
    return lambda rescue: (rescue.root / name).unlink() if text is None else rescue.write(name, text) and None  # type: ignore[func-returns-value]


SCENES: dict[str, tuple[str, dict[str, Any], Optional[Callable[[Rescue], None]]]] = {
    "NOT_APPROVED": ("single", {"approved": ()}, None),
    "NOT_A_GUID": ("single", {"guid": "single"}, None),
    "FOREIGN_HOST": ("active", {}, lambda rescue: rescue.hostid(7)),
    "POOL_INCOMPLETE": ("parity", {"without": (1, 2)}, None),
    "TOP_LEVEL_MISSING": ("stripe", {"without": (1,)}, None),
    "POOL_DESTROYED": ("destroyed", {}, None),
    "HOSTID_NOT_SET": ("watched", {}, None),
    "MMP_RULE": ("watched", {"force_foreign": True}, lambda rescue: rescue.hostid(7)),
    "FEATURES_UNSUPPORTED": ("single", {}, of_root("sys/module/zfs/features.pool/org.old:thing/guid", "org.old:thing\n")),
    "NOT_RESCUE_ENV": ("single", {}, of_root("proc/self/mountinfo", "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n")),
    "ZPOOL_HANGS": ("single", {}, of_root("proc/4711/stat", "4711 (zpool) D 1 4711 4711 0 -1 4194304\n")),
    "MEMORY_TOO_LOW": ("single", {}, of_root("proc/meminfo", "MemAvailable:    100000 kB\n")),
    "ZFS_UNUSABLE_STUB": ("single", {}, of_root("usr/sbin/zpool", "#!/bin/sh\nread answer; apt-get install zfsutils-linux\n")),
    "ZFS_UNUSABLE_MISMATCH": ("single", {}, of_root("sys/module/zfs/version", "2.2.4-1\n")),
    "ZFS_UNUSABLE_ABSENT": ("single", {}, of_root("usr/sbin/zpool", None)),
}  # fmt: skip


@pytest.mark.parametrize("code", SCENES)
def test_a_source_is_refused(code: str, rescue: Rescue) -> None:
    name, options, change = SCENES[code]
    rescue.hostid(HOSTID if code not in ("HOSTID_NOT_SET",) else 0)
    if change is not None:
        change(rescue)
    error = refused(rescue, name, **options)
    assert (error.reason, error.exit_code) == (code, 3)
    assert isinstance(error, Refused)


def test_a_module_is_loaded_only_when_allowed(rescue: Rescue) -> None:
    (rescue.root / "sys/module/zfs/version").unlink()
    for folder in ("parameters", ""):
        for path in (rescue.root / "sys/module/zfs" / folder).iterdir():
            if path.is_file():
                path.unlink()
        (rescue.root / "sys/module/zfs" / folder).rmdir()
    rescue.write("lib/modules/6.12.0/modules.dep", "updates/dkms/zfs.ko.xz: updates/dkms/spl.ko.xz\n")
    assert refused(rescue, "single").reason == "MODULE_NOT_LOADED"


def test_zfs_fuse_is_no_zfs(rescue: Rescue) -> None:
    rescue.write("usr/sbin/zfs-fuse", "\x7fELF").chmod(0o755)
    assert refused(rescue, "single").reason == "ZFS_UNUSABLE_FUSE"


def test_tools_without_a_module(rescue: Rescue) -> None:
    for path in sorted((rescue.root / "sys/module/zfs").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    (rescue.root / "sys/module/zfs").rmdir()
    assert refused(rescue, "single").reason == "ZFS_UNUSABLE_TOOLS_ONLY"


def test_a_pool_that_is_not_there(rescue: Rescue) -> None:
    error = refused(rescue, "single", guid="42", approved=("42",))
    assert (error.reason, error.exit_code) == ("NO_SUCH_POOL", 4)


def test_a_log_device_that_is_gone_has_to_be_done_without_on_purpose(rescue: Rescue) -> None:
    """Labels do not tell that it was a log; ZFS knows, and refuses when it was none."""
    rescue.hostid(HOSTID)
    disks = tuple(images("slog", rescue.root / "disks", without=(1, 2)))
    assert refused(rescue, "slog", without=(1, 2)).reason == "TOP_LEVEL_MISSING"
    request = Request(guid_of("slog"), approved=(guid_of("slog"),), devices=disks, allow_missing_log=True, check=True)
    found = import_pool(request, Config(), root=str(rescue.root))
    assert "-m" in found["commands"][-1]
    assert any("synchronous writes" in note for note in found["notes"])


def test_a_clone_of_a_disk_is_refused_until_one_is_named(rescue: Rescue) -> None:
    rescue.hostid(HOSTID)
    guid = guid_of("single")
    one, two = (images("single", rescue.root / folder)[0] for folder in ("a", "b"))
    both = Request(guid, approved=(guid,), devices=(one, two), check=True)
    with pytest.raises(Refused) as caught:
        import_pool(both, Config(), root=str(rescue.root))
    assert caught.value.reason == "DUPLICATE_GUID"
    chosen = import_pool(replace(both, devices=(two,)), Config(), root=str(rescue.root))
    assert chosen["members"] == [two]


def test_two_pools_of_one_name_are_told_apart_by_guid(rescue: Rescue) -> None:
    disks = tuple(images("twins", rescue.root / "disks"))
    listed = list_pools(Config(), devices=disks, root=str(rescue.root))["pools"]
    assert [each["name"] for each in listed] == ["rpool", "rpool"]
    commands = []
    for each in listed:
        assert "DUPLICATE_NAME" in each["hazards"]
        request = Request(each["guid"], approved=(each["guid"],), devices=disks, check=True)
        commands.append(import_pool(request, Config(), root=str(rescue.root))["commands"][-1])
    assert [command[-2] for command in commands] == [each["guid"] for each in listed]
    assert commands[0][-1] != commands[1][-1], "names of their own"


def test_what_is_imported_in_the_other_mode_is_left_alone(rescue: Rescue) -> None:
    guid = guid_of("single")
    pool = {"guid": guid, "readonly": "off", "altroot": "-", "health": "ONLINE"}
    rescue.tell({"pools": {"single": pool}})
    rescue.write("proc/spl/kstat/zfs/single/guid", guid)
    assert refused(rescue, "single").reason == "WRONG_MODE"
    with pytest.raises(Refused) as caught:
        export_pools(guid, Config(), root=str(rescue.root))
    assert caught.value.reason == "NOT_OURS"
    assert rescue.calls == []


def test_a_name_that_is_taken(rescue: Rescue) -> None:
    name = f"asl_src_{int(guid_of('single')):x}"
    rescue.tell({"pools": {name: {"guid": "7", "readonly": "on", "altroot": "-", "health": "ONLINE"}}})
    rescue.write(f"proc/spl/kstat/zfs/{name}/guid", "7")
    assert refused(rescue, "single").reason == "NAME_TAKEN"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"init": True}, "init does not go with"),
        ({"role": "backend", "txg": 7}, "txg does not go with"),
        ({"role": "backend", "allow_missing_log": True}, "allow_missing_log does not go with"),
        ({"role": "both"}, "not as both"),
        ({"timeout": 0}, "more than 0 seconds"),
        ({"txg": 0}, "no transaction group 0"),
    ],
)
def test_options_that_do_not_go_together(options: dict[str, Any], words: str, rescue: Rescue) -> None:
    with pytest.raises(Usage, match=words):
        import_pool(Request("7", **options), Config(), root=str(rescue.root))


BACKEND: dict[str, tuple[str, dict[str, Any], int]] = {
    "NOT_APPROVED": ("single", {"approved": ()}, HOSTID),
    "BACKEND_FOREIGN": ("active", {}, 7),
    "BACKEND_INCOMPLETE": ("stripe", {"without": (1,)}, HOSTID),
    "BACKEND_DEGRADED": ("pair", {"without": (1,)}, HOSTID),
    "BACKEND_DESTROYED": ("destroyed", {}, HOSTID),
    "MMP_RULE": ("watched", {}, 0),
}


@pytest.mark.parametrize("code", BACKEND)
def test_a_backend_is_refused_for_what_preflight_has_against_it(code: str, rescue: Rescue, tmp_path: Path) -> None:
    name, options, hostid = BACKEND[code]
    rescue.hostid(hostid)
    config = Config(local_mount=str(tmp_path / "mnt"))
    assert refused(rescue, name, role="backend", config=config, **options).reason == code


def test_a_backend_is_not_mounted_over_files(rescue: Rescue, tmp_path: Path) -> None:
    rescue.hostid(HOSTID)
    (tmp_path / "mnt").mkdir()
    (tmp_path / "mnt/precious").write_text("x")
    error = refused(rescue, "single", role="backend", config=Config(local_mount=str(tmp_path / "mnt")))
    assert error.reason == "MOUNTPOINT_NOT_EMPTY"


@pytest.mark.parametrize(
    ("state", "theirs", "ours", "version", "refuses"),
    [
        # docs/zfs.md: the matrix that was seen with 2.1.11 and 2.3.9
        ("active", 1, 2, "2.1.11", False), ("active", 1, 1, "2.1.11", False), ("exported", 1, 2, "2.1.11", False),
        ("active", 1, 2, "2.3.5", False), ("active", 1, 2, "2.3.6", True), ("active", 1, 2, "2.3.9", True),
        ("active", 1, 1, "2.3.9", True), ("exported", 1, 2, "2.3.9", True), ("exported", 1, 1, "2.3.9", False),
        ("active", 1, 2, "2.4.0", False), ("active", 1, 2, "2.4.1", True), ("active", 1, 2, "2.4.4", True),
        ("active", 1, 2, "3.0.0", True), ("active", 1, 2, None, True),
    ],
)  # fmt: skip
def test_the_claim_of_multihost(state: str, theirs: int, ours: int, version: Optional[str], refuses: bool) -> None:
    pool = {"multihost": True, "state": state, "hostid": theirs}
    assert claim_refuses(pool, ours, version) is refuses
    assert not claim_refuses({**pool, "multihost": False}, ours, version)


def test_the_ways_out_of_the_claim(rescue: Rescue) -> None:
    """Another txg leaves the claim out; an exported pool may have our hostid set to its own. Nobody says that another host has it."""
    rescue.hostid(7)
    disks = tuple(images("unwatched", rescue.root / "disks"))
    guid = guid_of("unwatched")
    error = refused(rescue, "unwatched")
    assert error.reason == "MMP_RULE"
    assert "set this machine's hostid to 00bab10c" in str(error.hint)
    assert "does not say that another host has it" in str(error.hint)
    request = Request(guid, approved=(guid,), devices=disks, check=True)
    with_txg = import_pool(replace(request, txg=9), Config(), root=str(rescue.root))
    assert with_txg["commands"][-1][9:11] == ["-T", "9"]
    rescue.hostid(HOSTID)
    assert import_pool(request, Config(), root=str(rescue.root))["changed"] is True


def test_a_list_says_what_stands_against_each_role(rescue: Rescue) -> None:
    rescue.hostid(7)
    disks = (*images("active", rescue.root / "disks"), *images("single", rescue.root / "disks"))
    found = {each["name"]: each for each in list_pools(Config(), devices=disks, root=str(rescue.root))["pools"]}
    assert found["active"]["as_source"]["reason"] == "FOREIGN_HOST"
    assert found["active"]["as_backend"]["reason"] == "BACKEND_FOREIGN"
    assert (found["single"]["as_source"], found["single"]["imported"]) == (None, None)


def fields(template: str) -> list[str]:
    return [name for _, name, _, _ in string.Formatter().parse(template) if name]


@pytest.mark.parametrize("code", sorted(REASONS))
def test_every_reason_is_a_sentence_with_a_way_out(code: str) -> None:
    reason = REASONS[code]
    text, hint = told(code, **dict.fromkeys([*fields(reason.text), *fields(reason.hint)], "X"))
    assert text
    assert hint
    assert "{" not in text + hint
    assert not text.endswith(".")


def test_every_reason_is_in_the_documentation() -> None:
    page = (Path(__file__).resolve().parents[3] / "docs" / "zfs.md").read_text()
    assert [code for code in REASONS if f"`{code}`" not in page] == []


def test_a_tool_that_waits_for_a_disk_is_not_stuck(rescue: Rescue) -> None:
    """Both are in uninterruptible sleep when they are looked at; one of them runs in between."""
    rescue.write("proc/4711/stat", "4711 (zpool) D 1 4711 4711 0 -1 4194304\n")
    status = rescue.write("proc/4711/status", "")
    over = threading.Event()

    def run() -> None:
        for count in itertools.count():
            Path(f"{status}.new").write_text(f"Name:\tzpool\nvoluntary_ctxt_switches:\t{count}\n")
            os.replace(f"{status}.new", status)
            if over.wait(0.01):
                return

    running = threading.Thread(target=run)
    running.start()
    try:
        assert stuck(str(rescue.root)) is None
    finally:
        over.set()
        running.join()
    assert stuck(str(rescue.root)) == ("zpool", 4711)
