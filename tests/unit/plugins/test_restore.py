# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""asl_restore through its real main(), with the real tools and a real store: what it predicts is what it does, and only once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from unit.plugins.support import CHECKOUT, Call

Laid = dict[str, str]
Options = dict[str, Any]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a snapshot of a tree and an image beside it."""
    folder = tmp_path_factory.mktemp("restore")
    tree = folder / "tree"
    (tree / "home/ada").mkdir(parents=True)
    (tree / "home/ada/thesis").write_bytes(b"what was found\n" * 1000)
    (tree / "home/ada/notes").write_bytes(b"")
    (tree / "home/link").symlink_to("ada")
    (folder / "disk.img").write_bytes(os.urandom(300_000))
    environment = {**os.environ, "ASL_STATE_DIR": str(folder / "state"), "ASL_RUN_DIR": str(folder / "run")}
    tools = CHECKOUT / "overlay/usr/local/bin"
    for words in (
        ["asl-admin", "init", str(folder / "store")],
        ["asl-intake", "run", f"tree:{tree}", f"device:{folder}/disk.img", "--store", str(folder / "store")],
    ):
        argv = [sys.executable, "-B", str(tools / words[0]), *words[1:]]
        subprocess.run(argv, check=True, capture_output=True, env=environment)
    return folder / "store"


def asked(call: Call, laid: Laid, store: Path, *, check: bool = False, **options: Any) -> Options:
    done = call("asl_restore", check=check, diff=True, snapshot="1", store=str(store), **options, **laid)
    assert done.rc == 0, done.result
    return done.result


def quartet(call: Call, laid: Laid, store: Path, **options: Any) -> Options:
    """Check, run, run, check; what the first run returned."""
    predicted = asked(call, laid, store, check=True, **options)
    first = asked(call, laid, store, **options)
    for key in ("changed", "actions", "changes", "changes_omitted", "diff", "destination", "source", "snapshot"):
        assert predicted[key] == first[key], key
    assert set(predicted) - set(first) == {"plan"}
    for check in (False, True):
        again = asked(call, laid, store, check=check, **options)
        assert (again["changed"], again["actions"], again["changes"], again["diff"]) == (False, [], [], {"prepared": ""})
    return first


def test_a_tree_and_a_part_of_it(call: Call, laid: Laid, store: Path, tmp_path: Path) -> None:
    everything = quartet(call, laid, store, to=str(tmp_path / "all"), verify=True)
    assert (everything["changed"], everything["files"], everything["verified"], everything["losses"]) == (True, 3, True, [])
    assert everything["diff"]["prepared"].splitlines()[:2] == ["make .", "make home"]
    assert (tmp_path / "all/home/ada/thesis").read_bytes() == b"what was found\n" * 1000
    part = quartet(call, laid, store, to=str(tmp_path / "part"), path="/home/link")
    assert part["actions"] == [f"restore /home/link of {part['source']} from snapshot 1 to {tmp_path / 'part'}"]
    assert os.listdir(tmp_path / "part/home") == ["link"]


def test_in_check_mode_nothing_is_made(call: Call, laid: Laid, store: Path, tmp_path: Path) -> None:
    for options in ({"to": str(tmp_path / "tree")}, {"file": str(tmp_path / "file")}):
        predicted = asked(call, laid, store, check=True, **options)
        assert predicted["changed"] is True and predicted["plan"]
    assert not (tmp_path / "tree").exists() and not (tmp_path / "file").exists()


def test_only_what_differs_is_replaced_and_only_when_told(call: Call, laid: Laid, store: Path, tmp_path: Path) -> None:
    place = tmp_path / "all"
    asked(call, laid, store, to=str(place))
    (place / "home/ada/notes").write_bytes(b"mine")
    (place / "home/ada/thesis").chmod(0o600)
    for check in (True, False):
        refused = call("asl_restore", check=check, snapshot="1", store=str(store), to=str(place), **laid)
        assert (refused.rc, refused.result["reason"], refused.result["rc"]) == (1, "DESTINATION_NOT_EMPTY", 3)
        assert "--overwrite" in refused.result["hint"]
    assert (place / "home/ada/notes").read_bytes() == b"mine"
    done = quartet(call, laid, store, to=str(place), overwrite=True)
    assert done["changes"] == [{"path": "home/ada/notes", "what": "replace"}, {"path": "home/ada/thesis", "what": "attributes"}]


def test_a_disk_into_a_file(call: Call, laid: Laid, store: Path, tmp_path: Path) -> None:
    file = tmp_path / "disk.img"
    done = quartet(call, laid, store, file=str(file), verify=True)
    assert done["changes"] == [{"path": str(file), "what": "make"}] and done["bytes"] == 300_000
    assert file.read_bytes() == (store.parent / "disk.img").read_bytes()


@pytest.mark.skipif(os.geteuid() != 0, reason="loop devices need root")
def test_a_disk_onto_a_disk_that_is_named(call: Call, laid: Laid, store: Path, tmp_path: Path) -> None:
    image = tmp_path / "disk"
    image.write_bytes(os.urandom(1 << 20))
    device = subprocess.run(["losetup", "-f", "--show", str(image)], check=True, capture_output=True, text=True).stdout.strip()
    try:
        for options in ({}, {"overwrite": True}, {"overwrite": True, "serial": "WD-1"}):
            refused = call("asl_restore", check=True, snapshot="1", store=str(store), device=device, **options, **laid)
            assert refused.result["reason"] == ("SERIAL_NEEDED" if options else "EXISTS")
        quartet(call, laid, store, device=device, overwrite=True, serial=str(image), verify=True)
        assert image.read_bytes()[:300_000] == (store.parent / "disk.img").read_bytes()
    finally:
        subprocess.run(["losetup", "-d", device], check=True)


def test_losses_are_listed_and_are_no_failure(call: Call, laid: Laid, tmp_path: Path, store: Path) -> None:
    copy = tmp_path / "copy"
    subprocess.run(["cp", "-a", str(store), str(copy)], check=True)
    for block in (copy / "blocks").rglob("*"):
        data = block.read_bytes() if block.is_file() else b""
        at = data.find(b"what was found\n")
        if at >= 0:
            block.chmod(0o600)
            block.write_bytes(data[:at] + b"X" + data[at + 1 :])
    done = asked(call, laid, copy, to=str(tmp_path / "back"))
    assert [loss["what"] for loss in done["losses"]] == ["damaged"]
    assert done["losses"][0]["where"].startswith("home/ada/thesis: ")


@pytest.mark.parametrize(
    "options",
    [{}, {"to": "/a", "file": "/b"}, {"file": "/b", "path": "x"}, {"to": "/a", "serial": "x"}],
    ids=["nowhere", "two places", "a path of a disk", "a serial of a tree"],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_before_anything_runs(call: Call, laid: Laid, store: Path, options: Options) -> None:
    failed = call("asl_restore", snapshot="1", store=str(store), **options, **laid)
    assert failed.rc == 1 and "cmd" not in failed.result


def test_tools_are_carried_where_none_are_laid(call: Call, packed: tuple[str, str], root: str, store: Path, tmp_path: Path) -> None:
    bare = {"_root": root, "_digest": packed[1]}
    assert asked(call, bare, store, to=str(tmp_path / "back")) == {"changed": False, "needs_bundle": True}
    done = asked(call, {**bare, "_bundle": packed[0]}, store, to=str(tmp_path / "back"))
    assert done["changed"] and (tmp_path / "back/home/ada/thesis").exists()


def test_how_a_failing_disk_is_read_is_handed_on(call: Call, laid: Laid, store: Path) -> None:
    wishes = {"retries": 3, "scrape": False, "max_unread": "10M", "restart": True, "skip_free": False}
    request: Options = {"sources": [f"device:{store.parent}/disk.img"], "store": str(store)}
    (store.parent / "bad.map").write_text("nonsense\n")
    plain = call("asl_ingest", check=True, **request, **laid).result
    asked = call("asl_ingest", check=True, media=wishes, **request, **laid).result
    assert plain["job"] != asked["job"], "another request"
    failed = call("asl_ingest", media={"map": str(store.parent / "bad.map")}, wait_timeout=60, **request, **laid)
    assert failed.result["reason"] == "BAD_MAP"
    assert call("asl_ingest", check=True, media={"skip_free": True}, **request, **laid).result["reason"] == "BAD_MEDIA"
    assert call("asl_ingest", check=True, media={"max_unread": "much"}, **request, **laid).rc == 1
