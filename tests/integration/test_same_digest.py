# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One content, one digest: whatever the host, the number of jobs, the library, the state of the caches."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from integration.support import Machine

pytestmark = pytest.mark.root

# Another machine has other inode numbers, times of change, a name of its own, and the same path.
ELSEWHERE = 'hostname elsewhere && mount --bind "$1" "$2" && shift 2 && exec "$@"'


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory, hostile_tree: Path, system_tree: Path) -> Path:
    folder = tmp_path_factory.mktemp("same") / "tree"
    folder.mkdir()
    for part in (hostile_tree / "names", hostile_tree / "holes", hostile_tree / "shapes", hostile_tree / "links", system_tree / "etc"):
        subprocess.run(["cp", "-a", "--sparse=always", str(part), str(folder)], check=True)
    return folder


@pytest.fixture(scope="module")
def digest(tmp_path_factory: pytest.TempPathFactory, tree: Path) -> str:
    """The digest of TREE as one machine takes it, with one job."""
    machine = Machine(tmp_path_factory.mktemp("first"))
    store = machine.init(machine.folder / "store")
    return str(machine.intake(f"tree:{tree}", store, "--jobs", "1").document["digest"])


@pytest.mark.parametrize("words, env", [(["--jobs", "4"], {}), ([], {"ASL_NO_NATIVE": "1"}), (["--jobs", "4"], {"ASL_NO_NATIVE": "1"})])
def test_jobs_and_library_do_not_matter(machine: Machine, tree: Path, digest: str, words: list[str], env: dict[str, str]) -> None:
    store = machine.init(machine.folder / "store")
    assert machine.intake(f"tree:{tree}", store, *words, env=env).document["digest"] == digest


def test_another_host_gives_the_same(machine: Machine, tree: Path, digest: str, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    subprocess.run(["rsync", "-aHAXS", f"{tree}/", f"{copy}/"], check=True)
    store = machine.init(machine.folder / "store")
    under = ["unshare", "--mount", "--uts", "sh", "-ec", ELSEWHERE, "sh", str(copy), str(tree)]
    taken = machine.run("asl-intake", "run", f"tree:{tree}", "--store", str(store), under=under).document
    assert taken["digest"] == digest


def test_again_reads_nothing_new_and_gives_the_same(machine: Machine, tree: Path, digest: str) -> None:
    store = machine.init(machine.folder / "store")
    first = machine.intake(f"tree:{tree}", store).document
    again = machine.intake(f"tree:{tree}", store).document
    shutil.rmtree(machine.folder / "state" / "cache", ignore_errors=True)
    forgetful = machine.intake(f"tree:{tree}", store).document
    assert first["bytes_new"] > 0
    assert [row["bytes_new"] for row in (again, forgetful)] == [0, 0]
    assert [row["digest"] for row in (first, again, forgetful)] == [digest] * 3
    assert [row["snapshot"] for row in (again, forgetful)] == [first["snapshot"]] * 2


def test_other_content_gives_another(machine: Machine, tree: Path, digest: str, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    subprocess.run(["rsync", "-aHAXS", f"{tree}/", f"{copy}/"], check=True)
    (copy / "etc" / "hostname").write_text("another\n")
    store = machine.init(machine.folder / "store")
    under = ["unshare", "--mount", "--uts", "sh", "-ec", ELSEWHERE, "sh", str(copy), str(tree)]
    taken = machine.run("asl-intake", "run", f"tree:{tree}", "--store", str(store), under=under).document
    assert taken["digest"] != digest
