# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ZFS snapshot behind a sealed one: what is asked of the tools, and that nothing it says unseals. Real pools: tests/vm."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from asl import cli, system
from asl.intake import safety
from asl.store import marker
from asl.zfs import ask, core, keep

# A zfs that keeps its snapshots and holds as files; its words are those of OpenZFS 2.3.9.
TOOL = """#!/bin/sh
cd "{place}"; echo "$*" >> calls
case "$1" in
list) for last; do :; done
    test -e "snap $(echo "$last" | tr / _)" || {{ echo "cannot open '$last': dataset does not exist" >&2; exit 1; }};;
snapshot) test ! -e broken || {{ echo "cannot create snapshot '$2': out of space" >&2; exit 1; }}; touch "snap $(echo "$2" | tr / _)";;
hold) test ! -e held || {{ echo "cannot hold snapshot '$3': tag already exists on this dataset" >&2; exit 1; }}; touch held;;
holds) test ! -e held || printf '%s\\tasl\\tWed Nov 25 10:24 2026\\n' "$3";;
esac
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "tools"
    folder.mkdir()
    (folder / "zfs").write_text(TOOL.format(place=folder))
    (folder / "zfs").chmod(0o755)
    monkeypatch.setattr(system, "SEARCH", f"{folder}:{system.SEARCH}")
    monkeypatch.setattr(ask, "mounted_on", lambda path: "rescuepool/asl")
    monkeypatch.setattr(core, "present", lambda: False)
    return folder


def test_made_once_and_held_once(place: Path) -> None:
    name = "rescuepool/asl@asl-01234567-3"
    first = keep.keep("/store", "0123456789abcdef0123456789abcdef", 3)
    assert first == {"name": name, "held": True, "created": True, "with": "zfs", "error": None}
    again = keep.keep("/store", "0123456789abcdef0123456789abcdef", 3)
    assert again == {"name": name, "held": True, "created": False, "with": "zfs", "error": None}
    calls = (place / "calls").read_text().splitlines()
    assert [call for call in calls if call.startswith("snapshot")] == [f"snapshot {name}"]
    assert f"hold asl {name}" in calls


def test_a_failure_is_told_and_raises_nothing(place: Path) -> None:
    (place / "broken").touch()
    told = keep.keep("/store", "0" * 32, 1)
    assert told is not None
    assert (told["held"], told["created"]) == (False, False)
    assert "out of space" in told["error"]
    (place / "zfs").unlink()
    missing = keep.keep("/store", "0" * 32, 1)
    assert missing is not None
    assert "there is no such tool" in missing["error"] or "zfs" in missing["error"]


def test_no_dataset_no_snapshot(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where these tests run nothing lies on ZFS."""
    assert keep.keep(str(tmp_path), "0" * 32, 1) is None


def run(store: Path, tree: Path, capsys: pytest.CaptureFixture[str], *more: str) -> tuple[int, str]:
    capsys.readouterr()
    status = cli.main("asl-intake", ["run", *more, "--store", str(store), f"tree:{tree}"])
    return status, capsys.readouterr().out


def test_every_seal_is_kept_and_none_is_undone(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tree, store = tmp_path / "tree", tmp_path / "store"
    tree.mkdir()
    (tree / "file").write_text("x")
    assert cli.main("asl-admin", ["init", str(store)]) == 0
    status, out = run(store, tree, capsys, "--json")
    first: dict[str, Any] = json.loads(out)
    store_id = marker.present(str(store)) or ""
    assert (status, first["zfs_snapshot"]["name"]) == (0, f"rescuepool/asl@asl-{store_id[:8]}-1")
    assert first["zfs_snapshot"]["held"]
    (place / "held").unlink()
    (tree / "more").write_text("y")
    (place / "broken").touch()
    status, out = run(store, tree, capsys)
    assert status == 0
    assert f"warning: the ZFS snapshot rescuepool/asl@asl-{store_id[:8]}-2 was not made and held" in out
    (place / "broken").unlink()
    status, out = run(store, tree, capsys, "--json")
    third = json.loads(out)
    assert (third["snapshot"], third["changed"]) == ("2", False)
    assert (third["zfs_snapshot"]["held"], third["zfs_snapshot"]["created"]) == (True, True)


def test_a_store_on_the_very_pool_is_refused(place: Path, tmp_path: Path) -> None:
    from asl.errors import Refused

    for spec in ("zfs:rescuepool/asl@x", "fs:zfs:rescuepool@x", "zfs:rescuepool/other"):
        with pytest.raises(Refused) as caught:
            safety.refuse_store_on_source(spec, str(tmp_path))
        assert caught.value.reason == "STORE_ON_SOURCE"
    safety.refuse_store_on_source("zfs:rescuepool2/asl@x", str(tmp_path))
