# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""zfs: sources over recorded streams of OpenZFS 2.3.9. Reading real pools is tests/vm/test_zfs_sources.py."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from unit.sources.zfs_replay import Replay, install, recorded

from asl import cli
from asl.errors import Refused, Unavailable, Usage
from asl.sources import dataset
from asl.sources.open import open_source
from asl.survey import datasets
from asl.survey.pools import Pool
from asl.zfs import ask, core, stream

PLAIN = ["zfs", "send", "-L", "-e", "-c"]
GUID = "asl_src_1"


@pytest.fixture
def zfs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Replay:
    # Where the bindings are installed they would ask the kernel, which has no such pool.
    monkeypatch.setattr(core, "present", lambda: False)
    return install(tmp_path, monkeypatch)


@pytest.fixture
def store(tmp_path: Path) -> str:
    where = str(tmp_path / "store")
    assert cli.main("asl-admin", ["init", where]) == 0
    return where


def intake(store: str, *sources: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, Any]]:
    capsys.readouterr()
    status = cli.main("asl-intake", ["run", "--json", "--store", store, *sources])
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    return status, document


def test_the_first_and_the_last_record() -> None:
    data = recorded(*PLAIN, f"{GUID}/home@one")["stdout"]
    head = stream.begin(data)
    assert head is not None
    told = recorded("zfs", "get", "-Hp", "-o", "property,value,source", "all", f"{GUID}/home@one")["stdout"].decode()
    properties = dict(line.split("\t")[:2] for line in told.splitlines())
    assert (head.name, str(head.guid), str(head.created)) == (f"{GUID}/home@one", properties["guid"], properties["creation"])
    assert (head.from_guid, head.kind, head.features) == (0, "filesystem", ("embedded", "compressed"))
    assert stream.ends(data, head.guid)
    assert not stream.ends(data[:-1], head.guid)
    assert not stream.ends(data[:-312], head.guid)
    assert not stream.ends(data, head.guid ^ 1)
    assert stream.begin(data[:311]) is None
    assert stream.begin(b"\1" + data[1:]) is None


def test_heads_volumes_and_raw_streams_say_what_they_are() -> None:
    for argv, name, kind, features in (
        ([*PLAIN, f"{GUID}/home"], "home@--head--", "filesystem", ("embedded", "compressed")),
        ([*PLAIN, f"{GUID}/vol"], "vol@--head--", "volume", ("embedded", "compressed")),
        (["zfs", "send", "-w", f"{GUID}/secret@s"], "secret@s", "filesystem", ("compressed", "raw")),
    ):
        data = recorded(*argv)["stdout"]
        head = stream.begin(data)
        assert head is not None
        assert (head.name, head.kind, head.features) == (f"{GUID}/{name}", kind, features)
        assert stream.ends(data, head.guid)


def test_the_stream_is_taken_whole_and_given_back(zfs: Replay, store: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    status, done = intake(store, "zfs:asl_src_1/home@one", capsys=capsys)
    assert status == 0
    [source] = done["sources"]
    data = recorded(*PLAIN, f"{GUID}/home@one")["stdout"]
    assert (source["kind"], source["size"], source["bytes_unread"], source["view"]) == ("zfs", len(data), 0, None)
    assert source["details"]["flags"] == ["-L", "-e", "-c"]
    assert source["details"]["stream_guid"] == source["details"]["guid"]
    target = tmp_path / "back"
    assert cli.main("asl-admin", ["restore", "1", "--store", store, "--file", str(target)]) == 0
    assert target.read_bytes() == data
    capsys.readouterr()
    again, same = intake(store, "zfs:asl_src_1/home@one", capsys=capsys)
    assert (again, same["digest"], same["changed"], same["bytes_new"]) == (0, done["digest"], False, 0)
    assert [call for call in zfs.calls if call.startswith("zfs send -L")] == [" ".join([*PLAIN, f"{GUID}/home@one"])] * 2


def test_a_head_of_a_read_only_pool(zfs: Replay, store: str, capsys: pytest.CaptureFixture[str]) -> None:
    status, done = intake(store, "zfs:asl_src_1/home", "zfs:asl_src_1/vol", capsys=capsys)
    assert status == 0
    assert [each["view"] for each in done["sources"]] == ["intent log not replayed"] * 2
    assert "synchronous writes" in done["sources"][0]["notes"][0]
    assert done["sources"][1]["details"]["volsize"] == 8 << 20


def test_a_head_of_a_writable_pool_is_refused(zfs: Replay, store: str, capsys: pytest.CaptureFixture[str]) -> None:
    get = ["zpool", "get", "-Hp", "-o", "property,value,source", "all", GUID]
    zfs.change(get, stdout=recorded(*get)["stdout"].replace(b"readonly\ton", b"readonly\toff"))
    for spec in ("zfs:asl_src_1/home", "fs:zfs:asl_src_1/home"):
        status, told = intake(store, spec, capsys=capsys)
        assert (status, told["reason"]) == (3, "POOL_WRITABLE")
        assert f"{spec}@NAME" in told["hint"]
    status, done = intake(store, "zfs:asl_src_1/home@one", capsys=capsys)
    assert (status, done["sources"][0]["view"]) == (0, None)
    assert "imported writable" in done["sources"][0]["notes"][0]


def test_encrypted_datasets_are_taken_raw(zfs: Replay, store: str, capsys: pytest.CaptureFixture[str]) -> None:
    status, done = intake(store, "zfs:asl_src_1/secret@s", "zfs:asl_src_1/secret", capsys=capsys)
    assert status == 0
    one, head = done["sources"]
    assert (one["view"], one["details"]["flags"]) == ("raw: blocks stay encrypted", ["-w"])
    assert head["view"] == "raw: blocks stay encrypted; intent log not replayed"
    assert not [call for call in zfs.calls if call.startswith("zfs send -L")]
    status, told = intake(store, "fs:zfs:asl_src_1/secret", capsys=capsys)
    assert (status, told["reason"]) == (4, "ZFS_KEY_UNAVAILABLE")
    assert "zfs:asl_src_1/secret takes it as it is" in told["hint"]


def test_a_stream_that_breaks_is_a_loss(zfs: Replay, store: str, capsys: pytest.CaptureFixture[str]) -> None:
    argv = [*PLAIN, f"{GUID}/home@one"]
    data = recorded(*argv)["stdout"]
    zfs.change(argv, rc=1, stdout=data[:40000], stderr=b"warning: cannot send 'asl_src_1/home@one': Input/output error\n")
    status, done = intake(store, "zfs:asl_src_1/home@one", capsys=capsys)
    assert status == 1
    [loss] = done["losses"]
    assert loss == {
        "what": "unread", "where": "zfs:asl_src_1/home@one: everything behind byte 40000",
        "why": "warning: cannot send 'asl_src_1/home@one': Input/output error",
    }  # fmt: skip
    assert "fs:zfs:asl_src_1/home@one reads what can be read" in done["sources"][0]["notes"][0]


def test_a_stream_without_its_end_is_a_loss_whatever_the_status(zfs: Replay, store: str, capsys: pytest.CaptureFixture[str]) -> None:
    argv = [*PLAIN, f"{GUID}/home@one"]
    zfs.change(argv, stdout=recorded(*argv)["stdout"][:-312])
    status, done = intake(store, "zfs:asl_src_1/home@one", capsys=capsys)
    assert (status, done["losses"][0]["why"]) == (1, "the stream has no end")


def test_a_stream_that_does_not_begin(zfs: Replay, store: str, capsys: pytest.CaptureFixture[str]) -> None:
    zfs.change([*PLAIN, f"{GUID}/home@one"], rc=1, stderr=b"cannot send: permission denied\n")
    status, told = intake(store, "zfs:asl_src_1/home@one", capsys=capsys)
    assert (status, told["reason"]) == (4, "SOURCE_UNREADABLE")
    assert "permission denied" in told["error"]


def test_an_interrupted_intake_leaves_no_process(zfs: Replay) -> None:
    source = open_source("zfs:asl_src_1/home@one")
    with source:
        first = next(source.content().pieces())
        assert first.length == len(recorded(*PLAIN, f"{GUID}/home@one")["stdout"])
        process = source._stream._process  # type: ignore[attr-defined]
    assert process.poll() is not None


def test_estimates(zfs: Replay) -> None:
    with open_source("zfs:asl_src_1/home@one") as one:
        told = recorded("zfs", "send", "-nP", *PLAIN[2:], f"{GUID}/home@one")["stdout"].decode()
        assert one.estimate() == int(told.split()[-1]) > 0
    with open_source("zfs:asl_src_1/home") as head:
        assert head.estimate() == int(head.details()["referenced"])


def test_what_is_not_there(zfs: Replay) -> None:
    for spec in ("zfs:asl_src_1/none", "fs:zfs:asl_src_1/none"):
        with pytest.raises(Unavailable) as caught, open_source(spec):
            pass
        assert caught.value.reason == "SOURCE_NOT_FOUND"
        assert "dataset does not exist" in caught.value.message
    with pytest.raises(Usage) as volume, open_source("fs:zfs:asl_src_1/vol"):
        pass
    assert volume.value.reason == "NOT_A_FILESYSTEM"


@pytest.mark.parametrize("name", ["", "/home", "tank/home#mark", "tank//home", "tank/home@", "-tank/x", "tank/a\tb", "tank/ä"])
def test_names_that_no_dataset_has(name: str) -> None:
    for spec in (f"zfs:{name}", f"fs:zfs:{name}"):
        with pytest.raises(Usage) as caught:
            open_source(spec)
        assert caught.value.reason == "BAD_SOURCE"


def on_disks(monkeypatch: pytest.MonkeyPatch, *pools: tuple[str, str, str]) -> None:
    """Let the survey find these pools: name, GUID, device."""
    found = [{"name": name, "guid": guid, "members": [{"path": path}]} for name, guid, path in pools]
    monkeypatch.setattr("asl.survey.survey", lambda **_: {"disks": [], "pools": found})


def test_a_pool_is_found_by_the_name_its_machine_gave_it(zfs: Replay, monkeypatch: pytest.MonkeyPatch) -> None:
    [(name, guid)] = ask.pools().items()
    assert name == GUID
    on_disks(monkeypatch, ("tank", str(guid), "/dev/sdb1"))
    for called in ("tank", str(guid), GUID):
        assert dataset.find("x", f"{called}/home@one").name == f"{GUID}/home@one"
    on_disks(monkeypatch, ("other", "17", "/dev/sdb1"))
    with pytest.raises(Unavailable) as caught:
        dataset.find("zfs:other/x", "other/x")
    assert (caught.value.reason, caught.value.fields["members"]) == ("POOL_NOT_IMPORTED", ["device:/dev/sdb1"])


def test_two_pools_of_one_name_are_named_by_guid(zfs: Replay, monkeypatch: pytest.MonkeyPatch) -> None:
    zfs.change(["zpool", "list", "-Hp", "-o", "name,guid"], stdout=b"asl_src_1\t17\nasl_src_2\t18\n")
    on_disks(monkeypatch, ("rpool", "17", "/dev/sda1"), ("rpool", "18", "/dev/sdb1"))
    with pytest.raises(Refused) as caught:
        dataset.find("zfs:rpool/x", "rpool/x")
    assert caught.value.reason == "AMBIGUOUS_POOL"
    assert caught.value.hint == "name it by its GUID: zfs:17 or zfs:18"


def test_without_the_module_the_devices_are_offered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No tool of ZFS is asked: each of them would load the module."""
    tools = install(tmp_path, monkeypatch, loaded=False)
    on_disks(monkeypatch, ("tank", "17", "/dev/sdb1"), ("tank", "18", "/dev/sdc1"))
    for spec in ("zfs:tank/home@one", "fs:zfs:tank/home"):
        with pytest.raises(Unavailable) as caught, open_source(spec):
            pass
        assert caught.value.reason == "ZFS_UNAVAILABLE"
        assert "device:/dev/sdb1 device:/dev/sdc1" in (caught.value.hint or "")
    assert tools.calls == []


def test_the_survey_lists_what_could_be_taken(zfs: Replay) -> None:
    [(name, guid)] = ask.pools().items()
    pool = Pool(str(guid), "tank", "active", None, None, 1, 1, False, 1, 1)
    found = datasets.datasets(pool, datasets.names())
    assert found is not None
    assert (found["name"], found["read_only"], found["error"]) == (name, True, None)
    assert {each["name"][len(name) :]: each["sources"] for each in found["datasets"]} == {
        "": ["fs:zfs:tank", "zfs:tank"],
        "/home": ["fs:zfs:tank/home", "zfs:tank/home"],
        "/home@one": ["fs:zfs:tank/home@one", "zfs:tank/home@one"],
        "/legacy": ["fs:zfs:tank/legacy", "zfs:tank/legacy"],
        "/secret": ["zfs:tank/secret"],
        "/secret@s": ["zfs:tank/secret@s"],
        "/vol": ["zfs:tank/vol"],
    }
    assert datasets.datasets(pool, {}) is None
    twin = Pool(str(guid), "tank", "active", None, None, 1, 1, False, 1, 1, hazards=("DUPLICATE_NAME",))
    again = datasets.datasets(twin, datasets.names())
    assert again is not None
    assert again["datasets"][0]["sources"][1] == f"zfs:{guid}"


def test_the_bindings_are_a_program_of_their_own(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    argv = core.command("send", "a@b", "raw")
    assert os.path.isfile(argv[2])
    if not core.present():
        assert core.main(["send", "a@b"]) == core.UNUSABLE
        assert "libzfs_core cannot be used" in capfd.readouterr().err
