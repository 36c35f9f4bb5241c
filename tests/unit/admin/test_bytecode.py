# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Byte code that is kept in /run/asl: used where it is that of the source, never stale, never somebody else's, never in the way."""

from __future__ import annotations

import marshal
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.util import MAGIC_NUMBER, source_hash
from pathlib import Path
from typing import Any

import pytest

OVERLAY = Path(__file__).parents[3] / "overlay"
TOOLS = "usr/local/lib/asl/cli/tools.py"
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """/run/asl, as the laid overlay has it."""
    (tmp_path / "run").mkdir(mode=0o755)
    return tmp_path / "run"


@pytest.fixture
def laid(tmp_path: Path) -> Path:
    """An overlay whose files can be changed."""
    shutil.copytree(OVERLAY, tmp_path / "laid", ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    return tmp_path / "laid"


def version(overlay: Path = OVERLAY, **more: Any) -> str:
    argv = [sys.executable, str(overlay / "usr/local/bin/asl-admin"), "--version"]
    return subprocess.run(argv, capture_output=True, text=True, check=True, **more).stdout.split()[1]


def kept(run: Path, module: str = "asl.cli.tools") -> Path:
    (found,) = (run / "bytecode").glob(f"{module}.{sys.implementation.cache_tag}*")
    return found


def plant(place: Path, overlay: Path = OVERLAY) -> None:
    """Code that gives itself away, kept as that of the true source."""
    source = (overlay / TOOLS).read_bytes()
    code = compile(source + b"\nVERSION = 'planted'\n", "tools.py", "exec")
    place.write_bytes(MAGIC_NUMBER + b"\3\0\0\0" + source_hash(source) + marshal.dumps(code))


def test_what_was_compiled_once_is_not_compiled_again(run: Path) -> None:
    first = version()
    plant(kept(run))
    assert (version(), first != "planted") == ("planted", True)


def test_a_change_counts_whatever_its_size_and_times_are(run: Path, laid: Path) -> None:
    path = laid / TOOLS
    before = version(laid)
    after = before[:-1] + str((int(before[-1]) + 1) % 10)
    seen = path.stat()
    path.write_bytes(path.read_bytes().replace(before.encode(), after.encode()))
    os.utime(path, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    assert path.stat().st_size == seen.st_size
    assert [version(laid), version(laid)] == [after, after]
    assert (run / "bytecode").is_dir()


def test_nothing_is_kept_beside_the_engine(run: Path, laid: Path) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    version(laid, env=environment)
    assert kept(run).is_file()
    assert not [path for path in laid.rglob("*") if path.name == "__pycache__" or path.suffix == ".pyc"]


def test_a_copy_elsewhere_uses_the_same_and_says_where_it_is(run: Path, laid: Path) -> None:
    version()
    there = kept(run, "asl.cli").stat()
    argv = [sys.executable, str(laid / "usr/local/bin/asl-admin"), "no-such-command"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env={**os.environ, "ASL_TRACE": "1"})
    assert f'File "{laid}/usr/local/lib/asl/cli/__init__.py", line ' in done.stderr
    assert str(OVERLAY) not in done.stderr
    assert kept(run, "asl.cli").stat().st_ino == there.st_ino


def _link(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


UNSAFE = {
    "the folder can be written to by a group": lambda run: (run / "bytecode").chmod(0o770),
    "the folder can be written to by all": lambda run: (run / "bytecode").chmod(0o1777),
    "the folder is a link": lambda run: _link(run / "bytecode"),
    "the folder above can be written to by all": lambda run: run.chmod(0o1777),
    "the folder above is a link": _link,
    "the file can be written to by all": lambda run: kept(run).chmod(0o666),
    "the file is a link": lambda run: _link(kept(run)),
}
FOREIGN = {
    "the folder is somebody else's": lambda run: os.chown(run / "bytecode", 12345, 0),
    "the folder above is somebody else's": lambda run: os.chown(run, 12345, 0),
    "the file is somebody else's": lambda run: os.chown(kept(run), 12345, 0),
}


CASES = [*UNSAFE.values(), *(pytest.param(each, marks=root_only) for each in FOREIGN.values())]


@pytest.mark.parametrize("spoil", CASES, ids=[*UNSAFE, *FOREIGN])
def test_what_others_could_have_put_there_is_not_run(spoil: Callable[[Path], object], run: Path) -> None:
    version()
    plant(kept(run))
    spoil(run)
    assert version() != "planted"


@pytest.mark.parametrize("size", [0, 15, 16, 400])
def test_a_spoilt_file_is_compiled_anew(run: Path, size: int) -> None:
    wanted = version()
    os.truncate(kept(run), size)
    assert version() == wanted
    assert kept(run).stat().st_size > size


def test_a_fifo_in_the_place_of_a_file_stops_nobody(run: Path) -> None:
    wanted = version()
    place = kept(run)
    place.unlink()
    os.mkfifo(place)
    assert version(timeout=60) == wanted


def test_no_room_is_no_reason_to_fail(run: Path) -> None:
    """A limit on the size of files stands for a full tmpfs: the write ends short, and nothing unfinished is left."""
    assert version(preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))) != ""
    assert all(path.stat().st_size <= 2000 and path.name.endswith("-0") for path in (run / "bytecode").iterdir())
    assert version() != ""
    assert kept(run).stat().st_size > 2000


def test_where_there_is_no_folder_none_is_made(tmp_path: Path) -> None:
    assert version() != ""
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("where", ["/sys/kernel", "/dev/null", "/dev/null/below"])
def test_a_folder_that_cannot_be_made_is_done_without(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASL_RUN_DIR", where)
    assert version() not in ("", "planted")
