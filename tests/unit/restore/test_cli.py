# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""asl-admin ls, cat and restore on a real store."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from asl.cli import main

CONFIG = "domain.id = test\n"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with one snapshot of a tree and an image."""
    folder = tmp_path_factory.mktemp("cli")
    tree = folder / "tree"
    (tree / "home" / "ada").mkdir(parents=True)
    (tree / "home/ada/thesis.txt").write_bytes(b"what was found\n" * 1000)
    os.link(tree / "home/ada/thesis.txt", tree / "home/ada/zcopy")
    (tree / "home/link").symlink_to("ada")
    Path(os.fsdecode(os.fsencode(tree) + b"/\xff\n")).write_bytes(b"odd")
    (folder / "disk.img").write_bytes(os.urandom(300_000))
    (folder / "asl.conf").write_text(CONFIG)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ASL_STATE_DIR", str(folder / "state"))
        patch.setenv("ASL_RUN_DIR", str(folder / "run"))
        assert main("asl-admin", ["init", str(folder / "store"), "--quiet"]) == 0
        words = ["run", f"tree:{tree}", f"device:{folder}/disk.img", "--store", f"{folder}/store", "--config", f"{folder}/asl.conf"]
        assert main("asl-intake", [*words, "--quiet"]) == 0
    return folder / "store"


def admin(store: Path, *words: str) -> int:
    return main("asl-admin", [*words, "--store", str(store), "--config", str(store.parent / "asl.conf")])


def document(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_ls_lists_for_people_and_for_machines(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert admin(store, "ls", "latest") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "home/" and len(lines) == 2 and lines[1].endswith("\\x0a")
    assert admin(store, "ls", "latest", "home", "--recursive", "--long") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[6] for line in lines] == ["home/ada", "home/ada/thesis.txt", "home/ada/zcopy", "home/link"]
    assert lines[2].endswith("home/ada/zcopy = home/ada/thesis.txt") and lines[3].endswith("home/link -> ada")
    assert admin(store, "ls", "latest", "--json") == 0
    entries = document(capsys)["entries"]
    assert os.fsencode(entries[1]["name"]) == b"\xff\n" and entries[1]["size"] == 3
    assert admin(store, "ls", "1", "/home/ada/thesis.txt", "--json") == 0
    assert document(capsys)["entries"][0]["type"] == "file"


def test_ls_says_what_is_not_there(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert admin(store, "ls", "latest", "nowhere", "--json") == 4
    assert document(capsys)["reason"] == "NOT_FOUND"
    assert admin(store, "ls", "latest", "--source", "2", "--json") == 2
    assert document(capsys)["reason"] == "SOURCE_KIND"
    assert admin(store, "ls", "latest", "--source", "9", "--json") == 2
    assert document(capsys)["reason"] == "NO_SOURCE"


def test_cat_writes_files_links_and_disks(store: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    capfdbinary.readouterr()
    for name in ("thesis.txt", "zcopy"):
        assert admin(store, "cat", "latest", f"home/ada/{name}") == 0
        assert capfdbinary.readouterr().out == b"what was found\n" * 1000
    assert admin(store, "cat", "latest", "--source", "2") == 0
    assert capfdbinary.readouterr().out == (store.parent / "disk.img").read_bytes()
    assert admin(store, "cat", "latest", "home") == 2
    assert admin(store, "cat", "latest", "home/link") == 2
    assert b"it points to 'ada'" in capfdbinary.readouterr().err


def test_restore_of_tree_part_and_disk(store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert admin(store, "restore", "latest", "--to", str(tmp_path / "all"), "--json") == 0
    told = document(capsys)
    assert (told["files"], told["losses"], told["snapshot"]) == (4, [], "1")
    assert (tmp_path / "all/home/ada/zcopy").read_bytes() == b"what was found\n" * 1000
    assert admin(store, "restore", "latest", "--to", str(tmp_path / "all"), "--json") == 0
    again = document(capsys)
    assert (again["changed"], again["changes"], again["actions"], again["skipped"]) == (False, [], [], 4)
    (tmp_path / "all/home/ada/thesis.txt").write_bytes(b"what was lost again")
    assert admin(store, "restore", "latest", "--to", str(tmp_path / "all"), "--json") == 3
    assert document(capsys)["reason"] == "DESTINATION_NOT_EMPTY"
    assert admin(store, "restore", "latest", "--to", str(tmp_path / "part"), "--path", "/home/link") == 0
    assert (tmp_path / "part/home/link").readlink() == Path("ada")
    spec = f"device:{store.parent / 'disk.img'}"
    assert admin(store, "restore", "latest", "--file", str(tmp_path / "disk"), "--source", spec) == 0
    assert (tmp_path / "disk").read_bytes() == (store.parent / "disk.img").read_bytes()


def test_restore_wants_one_clear_destination(store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert admin(store, "restore", "latest") == 2
    assert admin(store, "restore", "latest", "--to", str(tmp_path / "a"), "--file", str(tmp_path / "b")) == 2
    assert admin(store, "restore", "latest", "--file", str(tmp_path / "b"), "--path", "home") == 2
    assert admin(store, "restore", "latest", "--to", str(tmp_path / "a"), "--source", "2") == 2
    assert list(tmp_path.iterdir()) == [] and capsys.readouterr().err


def test_restore_lists_what_a_damaged_store_has_lost(store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import shutil

    copy = tmp_path / "store"
    shutil.copytree(store, copy)
    blocks = [path for path in (copy / "blocks").rglob("*") if path.is_file()]
    for path in blocks:
        data = path.read_bytes()
        at = data.find(b"what was found\n")
        if at >= 0:
            path.chmod(0o600)
            path.write_bytes(data[:at] + b"WHAT" + data[at + 4 :])
    capsys.readouterr()
    words = ["restore", "latest", "--to", f"{tmp_path}/back", "--store", str(copy), "--json", "--config", f"{store.parent}/asl.conf"]
    assert main("asl-admin", words) == 1
    told = document(capsys)
    assert [loss["what"] for loss in told["losses"]] == ["damaged"] and told["files"] == 4
    assert (tmp_path / "back/home/ada/thesis.txt").stat().st_size == 15_000


@pytest.mark.parametrize("where", ["--to", "--file"])
def test_a_restore_that_is_stopped_says_how_to_go_on_and_does(store: Path, tmp_path: Path, where: str) -> None:
    """Ctrl-C comes when the first piece is there."""
    library, spec = Path(__file__).parents[3] / "overlay/usr/local/lib", f"device:{store.parent / 'disk.img'}"
    program = f"""
import os, signal, sys
sys.path.insert(0, {str(library)!r})
from asl.cli import main
from asl.restore.result import RestoreResult
RestoreResult.step = lambda self: os.kill(os.getpid(), signal.SIGINT)
sys.exit(main("asl-admin", sys.argv[1:]))
"""
    words = ["restore", "latest", where, str(tmp_path / "back"), "--store", str(store), "--config", str(store.parent / "asl.conf")]
    words += ["--source", spec] if where == "--file" else []
    done = subprocess.run([sys.executable, "-B", "-c", program, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 130 and done.stdout == ""
    assert "Traceback" not in done.stderr and "stopped before the end" in done.stderr and "with --overwrite: it goes on" in done.stderr
    assert (tmp_path / "back").exists()
    if where == "--to":  # the image has only one piece
        assert main("asl-admin", words) == 3, "what is there is still nobody's to replace without a word"
    assert main("asl-admin", [*words, "--overwrite", "--verify"]) == 0
    assert main("asl-admin", words) == 0, "now all of it is there"
