# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole imports and exports: what is run, what is held against what was wanted, what is put back. tests/vm does it with real ZFS."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from unit.pools.support import Rescue, flip, images
from unit.pools.test_rules import HOSTID, guid_of

from asl import imported, system
from asl.config import Config
from asl.errors import AslError, Damaged
from asl.pools import Request, export_pools, import_pool
from asl.survey.labels import offsets
from asl.survey.liveness import APART, moving


class Scene:
    """A pool of a scenario as a source, and its backend's settings."""

    def __init__(self, rescue: Rescue, name: str) -> None:
        self.rescue = rescue
        rescue.hostid(HOSTID)
        self.guid = guid_of(name)
        self.disks = images(name, rescue.root / "disks")
        self.request = Request(self.guid, approved=(self.guid,), devices=tuple(self.disks))
        self.alias = f"asl_src_{int(self.guid):x}"
        self.altroot = imported.altroot(self.guid)

    def run(self, **options: Any) -> dict[str, Any]:
        return import_pool(replace(self.request, **options), Config(), root=str(self.rescue.root), wait=lambda seconds: None)

    def fails(self, **options: Any) -> AslError:
        with pytest.raises(AslError) as caught:
            self.run(**options)
        return caught.value

    def export(self, **options: Any) -> dict[str, Any]:
        return export_pools(self.guid, Config(), root=str(self.rescue.root), **options)


@pytest.fixture
def scene(rescue: Rescue) -> Scene:
    return Scene(rescue, "pair")


def test_check_run_run_check_and_out_again(scene: Scene) -> None:
    predicted = scene.run(check=True)
    assert (predicted["changed"], predicted["check"], scene.rescue.calls) == (True, True, [])
    assert not os.path.exists(os.environ["ASL_RUN_DIR"]), "a check run writes nothing"
    first = scene.run()
    assert first["actions"] == predicted["actions"] == [f"import the pool pair ({scene.guid}) read-only as {scene.alias}"]
    members = [word for disk in scene.disks for word in ("-d", disk)]
    assert first["commands"] == predicted["commands"] == scene.rescue.calls == [
        ["zpool", "import", "-N", "-o", "readonly=on", "-o", "cachefile=none", "-R", scene.altroot, *members, "-t", scene.guid, scene.alias]
    ]  # fmt: skip
    assert (first["changed"], first["read_only"], first["altroot"], first["health"]) == (True, True, scene.altroot, "ONLINE")
    assert first["labels"]["before"] == first["labels"]["after"]
    assert set(first["labels"]["before"]) == set(scene.disks)
    assert first["diff"] == predicted["diff"]
    assert (scene.rescue.root / "sys/module/zfs/parameters/zvol_inhibit_dev").read_text() == "1"
    second = scene.run()
    assert (second["changed"], second["actions"], second["imported_as"]) == (False, [], scene.alias)
    assert scene.run(check=True)["changed"] is False
    assert [each.name for each in imported.find("pair")] == ["pair"]
    out = scene.export(check=True)
    done = scene.export()
    assert out["actions"] == done["actions"] == [f"export the pool pair ({scene.guid})"]
    assert done["pools"][0]["labels_unchanged"] is True
    assert scene.rescue.calls[-1] == ["zpool", "export", scene.alias]
    assert (scene.rescue.root / "sys/module/zfs/parameters/zvol_inhibit_dev").read_text() == "0"
    assert imported.records() == []
    assert scene.export()["changed"] is False


def test_the_hash_is_that_of_the_four_labels(scene: Scene) -> None:
    path = Path(scene.disks[0])
    data = path.read_bytes()
    ends = data[: 512 << 10] + data[-(512 << 10) :]
    assert scene.run()["labels"]["before"][str(path)] == hashlib.sha256(ends).hexdigest()


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        ({"properties": {"readonly": "off"}}, "AFTER_CHECK"),
        ({"properties": {"altroot": "-"}}, "AFTER_CHECK"),
        ({"nothing": True}, "IMPORT_FAILED"),
    ],
)
def test_what_came_in_otherwise_than_wanted_goes_out_at_once(spoil: dict[str, Any], reason: str, scene: Scene) -> None:
    scene.rescue.tell({"spoil": spoil})
    error = scene.fails()
    assert (error.reason, error.exit_code) == (reason, 4)
    assert scene.rescue.now["pools"] == {}
    assert imported.records() == []
    assert (scene.rescue.root / "sys/module/zfs/parameters/zvol_inhibit_dev").read_text() == "0"


def test_a_source_whose_labels_change_goes_out_at_once(scene: Scene) -> None:
    scene.rescue.tell({"spoil": {"flip": scene.disks[0]}})
    error = scene.fails()
    assert (error.reason, error.exit_code) == ("LABELS_CHANGED", 5)
    assert scene.disks[0] in error.message
    assert scene.rescue.now["pools"] == {}


def test_labels_that_changed_while_it_was_imported_are_told_at_the_end(scene: Scene) -> None:
    scene.run()
    flip(scene.disks[1])
    with pytest.raises(Damaged) as caught:
        scene.export()
    assert caught.value.reason == "LABELS_CHANGED"
    assert scene.rescue.now["pools"] == {}, "exported all the same"


# What zpool 2.3.9 printed in the live system for these causes.
SAID = {
    "FOREIGN_HOST": "cannot import 'tank': pool was previously in use from another system.\n"
    "Last accessed by crashed (hostid=badcafe) at Wed Nov 25 10:14:28 2026\n"
    "The pool can be imported, use 'zpool import -f' to import the pool.",
    "MMP_ACTIVE": "cannot import 'watched' as 'asl_w': the multihost claim could not be written to a device\n"
    "the pool configuration expects to be present.\n"
    "If the device is permanently gone, recover with 'zhack mmp reclaim'.",
    "NAME_TAKEN": "cannot import 'other' as 'asl_1': pool already exists",
    "IMPORT_FAILED": "cannot import '123456': no such pool available",
}


@pytest.mark.parametrize("code", SAID)
def test_what_zpool_says_becomes_a_reason(code: str, scene: Scene) -> None:
    scene.rescue.tell({"fail": {"zpool import": [SAID[code], 1]}})
    error = scene.fails()
    assert error.reason == code
    assert imported.records() == []
    assert not os.path.exists(imported.record_path(scene.guid) + "-devices.json"), "devices are put back"


def test_no_answer_is_reported_with_its_process_and_not_tried_again(scene: Scene) -> None:
    os.mkfifo(scene.rescue.root / "never")
    scene.rescue.tell({"spoil": {"hang": True}})
    error = scene.fails(timeout=5)  # long enough for it to be started on a busy machine
    assert error.reason == "IMPORT_TIMEOUT"
    assert len([call for call in scene.rescue.calls if call[1] == "import"]) == 1


def test_one_import_at_a_time(scene: Scene) -> None:
    from asl.pools.devices import guard_of

    held = guard_of(scene.guid)
    assert scene.fails().reason == "SOURCE_BUSY"
    held.abandon()
    assert scene.run()["changed"] is True


def test_an_import_that_was_killed_before_it_was_written_down_is_taken_up(scene: Scene) -> None:
    scene.run()
    imported.forget(scene.guid)
    again = scene.run()
    assert again["actions"] == [f"write down that the pool pair ({scene.guid}) is imported"]
    assert imported.read(scene.guid) is not None
    assert scene.run()["changed"] is False


def test_a_pool_that_went_by_itself_leaves_only_what_has_to_be_put_back(scene: Scene) -> None:
    scene.run()
    scene.rescue.tell({})
    (scene.rescue.root / f"proc/spl/kstat/zfs/{scene.alias}/guid").unlink()
    (scene.rescue.root / f"proc/spl/kstat/zfs/{scene.alias}").rmdir()
    done = export_pools(None, Config(), root=str(scene.rescue.root))
    assert done["actions"] == [f"put back what was set for the pool pair ({scene.guid}), which is gone"]
    assert (imported.records(), scene.rescue.calls) == ([], [])


def test_units_are_masked_before_anything_is_imported(scene: Scene) -> None:
    (scene.rescue.root / "run/systemd/system").mkdir(parents=True)
    scene.rescue.write("etc/systemd/system/zfs-import.target.wants/zfs-import-scan.service", "")
    scene.run()
    assert [call[0] for call in scene.rescue.calls] == ["systemctl", "zpool"]
    assert scene.rescue.calls[0][1:3] == ["mask", "--runtime"]
    assert "zfs-import-scan.service" in scene.rescue.calls[0]


def test_units_that_cannot_be_masked_refuse_the_import(scene: Scene) -> None:
    (scene.rescue.root / "run/systemd/system").mkdir(parents=True)
    scene.rescue.write("etc/systemd/system/zfs.target.wants/zfs-mount.service", "")
    scene.rescue.tell({"fail": {"systemctl mask": ["Failed to mask unit: Access denied", 1]}})
    error = scene.fails()
    assert error.reason == "UNITS_NOT_MASKED"
    assert "Access denied" in error.message
    assert [call[0] for call in scene.rescue.calls] == ["systemctl"]


def test_a_live_writer_is_refused(rescue: Rescue) -> None:
    """Between the two readings the pool writes; the wait is where it does."""
    scene = Scene(rescue, "active")
    waited: list[float] = []

    def write(seconds: float) -> None:
        waited.append(seconds)
        # That the best uberblock is another one shows the writer; here it is an older one, since the rings of the labels are half gone.
        with open(scene.disks[0], "r+b") as file:
            for label in offsets(os.path.getsize(scene.disks[0])):
                file.seek(label + (128 << 10))
                file.write(bytes(128 << 10))

    with pytest.raises(AslError) as caught:
        import_pool(scene.request, Config(), root=str(rescue.root), wait=write)
    assert (caught.value.reason, caught.value.exit_code, waited) == ("LIVE_WRITER", 3, [APART])
    assert rescue.calls == []


def test_only_a_pool_that_says_it_is_in_use_is_waited_for(scene: Scene) -> None:
    def never(seconds: float) -> None:
        raise AssertionError("waited")

    exported = {"guid": "7", "state": "exported", "members": [{"path": scene.disks[0]}]}
    assert moving([exported], wait=never) == set()
    assert moving([{**exported, "state": "active", "members": [{"path": "/nowhere"}]}], wait=never) == set()
    assert moving([{**exported, "state": "active"}], wait=lambda seconds: None) == set()


class Backend(Scene):
    """A pool for the store; its dataset is what the recorded machine says is mounted."""

    def __init__(self, rescue: Rescue, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(rescue, "single")
        self.target = str(folder / "mnt")
        self.config = Config(local_mount=self.target, local_approved=(self.guid,))
        rescue.tell({"names": {self.guid: "single"}})
        real = system.mounts

        def mounts(root: str = "/", *, process: str = "self") -> list[system.Mount]:
            done = [call for call in rescue.now["calls"] if call[0] in ("mount", "umount")]
            here = [system.Mount(99, 1, "0:99", "/", self.target, ("rw",), "zfs", "single/asl", ("rw",))]
            return [*real(root, process=process), *(here if done and done[-1][0] == "mount" else [])]

        monkeypatch.setattr(system, "mounts", mounts)

    def run(self, **options: Any) -> dict[str, Any]:
        request = replace(self.request, role="backend", approved=(), **options)
        return import_pool(request, self.config, root=str(self.rescue.root), wait=lambda seconds: None)


@pytest.fixture
def backend(rescue: Rescue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Backend:
    return Backend(rescue, tmp_path, monkeypatch)


def test_a_backend_comes_in_writable_and_is_mounted(backend: Backend) -> None:
    backend.rescue.tell({"names": {backend.guid: "single"}, "datasets": {"single/asl": backend.target}})
    predicted = backend.run(check=True)
    first = backend.run()
    assert first["actions"] == predicted["actions"] == [
        f"import the pool single ({backend.guid}) writable", f"mount single/asl at {backend.target}"
    ]  # fmt: skip
    assert backend.rescue.calls == first["commands"] == predicted["commands"] == [
        ["zpool", "import", "-N", "-o", "cachefile=none", "-R", "/mnt/asl", "-d", backend.disks[0], backend.guid],
        ["mount", "-t", "zfs", "-o", "zfsutil,nodev,nosuid,noexec", "single/asl", backend.target],
    ]  # fmt: skip
    assert (first["mounted_at"], first["available"], first["read_only"]) == (backend.target, 2147483648, False)
    assert backend.run()["changed"] is False
    out = export_pools(None, backend.config, root=str(backend.rescue.root))
    assert backend.rescue.calls[-2:] == out["commands"] == [["umount", backend.target], ["zpool", "export", "single"]]


def test_a_backend_that_zfs_calls_degraded_goes_out_again(backend: Backend) -> None:
    backend.rescue.tell({"names": {backend.guid: "single"}, "spoil": {"properties": {"health": "DEGRADED"}}})
    error = backend.fails()
    assert (error.reason, error.exit_code) == ("BACKEND_DEGRADED", 3)
    assert backend.rescue.now["pools"] == {}


def test_a_degraded_backend_gets_the_same_answer_each_time_until_it_is_allowed(backend: Backend) -> None:
    plan = {"names": {backend.guid: "single"}, "datasets": {"single/asl": backend.target}}
    busy = {"fail": {"zpool export": ["cannot export 'single': pool is busy", 1]}}
    backend.rescue.tell({**plan, **busy, "spoil": {"properties": {"health": "DEGRADED"}}})
    error = backend.fails()
    assert (error.reason, error.exit_code) == ("EXPORT_FAILED", 4) and "pool is busy" in error.message and "DEGRADED" in error.message
    assert backend.rescue.now["pools"], "it stays imported"
    for _ in range(2):
        error = backend.fails()
        assert (error.reason, error.exit_code) == ("BACKEND_DEGRADED", 3)
    assert backend.fails(check=True).reason == "BACKEND_DEGRADED"
    assert not [call for call in backend.rescue.calls if call[0] == "mount"]
    done = backend.run(allow_degraded=True)
    assert done["mounted_at"] == backend.target and any("DEGRADED" in note for note in done["notes"])
    backend.rescue.tell({**backend.rescue.now, "pools": {"single": {**backend.rescue.now["pools"]["single"], "health": "SUSPENDED"}}})
    assert backend.fails(allow_degraded=True).reason == "BACKEND_DEGRADED", "more than one device is lost"


def test_a_backend_that_is_allowed_to_be_degraded_comes_in(backend: Backend) -> None:
    plan = {"names": {backend.guid: "single"}, "datasets": {"single/asl": backend.target}}
    backend.rescue.tell({**plan, "spoil": {"properties": {"health": "DEGRADED"}}})
    assert backend.run(allow_degraded=True)["health"] == "DEGRADED"


def test_an_export_that_fails_is_told_whatever_it_was_for(backend: Backend) -> None:
    backend.rescue.tell({"names": {backend.guid: "single"}, "fail": {"zpool export": ["cannot export 'single': pool is busy", 1]}})
    error = backend.fails()
    assert error.reason == "EXPORT_FAILED" and "no dataset single/asl" in error.message and "pool is busy" in error.message


def test_a_dataset_is_made_on_request_only(backend: Backend) -> None:
    error = backend.fails()
    assert (error.reason, error.exit_code) == ("NO_DATASET", 4)
    assert backend.rescue.now["pools"] == {}, "exported again"
    backend.run(init=True)
    (made,) = [call for call in backend.rescue.calls if call[:2] == ["zfs", "create"]]
    assert made[-1] == "single/asl"
    assert {"recordsize=1M", "compression=lz4", "atime=off", "xattr=sa", "canmount=noauto"} <= set(made)


def test_a_dataset_with_a_legacy_mountpoint_is_mounted_the_other_way(backend: Backend) -> None:
    backend.rescue.tell({"names": {backend.guid: "single"}, "datasets": {"single/asl": "legacy"}})
    backend.run()
    assert backend.rescue.calls[-1] == ["mount", "-t", "zfs", "-o", "nodev,nosuid,noexec", "single/asl", backend.target]


def test_a_backend_that_is_imported_is_only_mounted(backend: Backend) -> None:
    backend.rescue.tell({"names": {backend.guid: "single"}, "datasets": {"single/asl": backend.target},
                         "fail": {"mount -t": ["filesystem 'single/asl' cannot be mounted: Input/output error", 1]}})  # fmt: skip
    error = backend.fails()
    assert error.reason == "MOUNT_FAILED"
    backend.rescue.tell({**backend.rescue.now, "calls": [], "fail": {}})
    done = backend.run()
    assert done["actions"][-1] == f"mount single/asl at {backend.target}"
    assert [call[0] for call in backend.rescue.calls] == ["mount"]


def test_a_busy_pool_is_not_forced_out(scene: Scene) -> None:
    scene.run()
    scene.rescue.tell({**scene.rescue.now, "fail": {"zpool export": ["cannot unmount '/m': pool or dataset is busy", 1]}})
    with pytest.raises(AslError) as caught:
        scene.export()
    assert (caught.value.reason, caught.value.exit_code) == ("POOL_BUSY", 4)
    assert imported.read(scene.guid) is not None, "what is to be put back is still known"
    assert all("-f" not in call for call in scene.rescue.calls)


def test_a_record_that_is_none_is_passed_over(scene: Scene) -> None:
    scene.run()
    folder = Path(imported.record_path("1")).parent
    (folder / "17.json").write_text("{")
    (folder / "18.json").write_text(json.dumps({"guid": "18"}))
    assert [each.guid for each in imported.records()] == [scene.guid]
