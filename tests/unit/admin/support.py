# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A store with two snapshots of a small tree, made by a real intake; and the tools, run in this process."""

from __future__ import annotations

import atexit
import functools
import json
import os
import random
import shutil
import tempfile
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import pytest

from asl.cli import main
from asl.intake.request import Request
from asl.intake.run import run
from asl.store import init_store


class Taken(NamedTuple):
    """The tree, the store, and the result documents of the two intakes."""

    tree: Path
    store: Path
    results: tuple[dict[str, Any], ...]


def taken(folder: Path) -> Taken:
    """A copy of the store, to be damaged at will; the tree is shared and must not be changed."""
    made = _template()
    shutil.copytree(made.store, folder / "store")
    return made._replace(store=folder / "store")


@functools.cache
def _template() -> Taken:
    folder = Path(tempfile.mkdtemp(prefix="asl-test-"))
    atexit.register(shutil.rmtree, folder)
    tree, store = folder / "tree", folder / "store"
    rng = random.Random(7)
    (tree / "deep/er").mkdir(parents=True)
    (tree / "deep/small").write_bytes(b"a few bytes\n")
    (tree / "deep/large").write_bytes(rng.randbytes(700_000))
    shutil.copyfile(tree / "deep/large", tree / "deep/er/twin")
    (tree / "link").symlink_to("deep/small")
    with (tree / "sparse").open("wb") as file:
        file.write(b"x" * 5000)
        file.truncate(10 << 20)
    os.link(tree / "deep/small", tree / "second-name")
    init_store(str(store))
    with mock.patch.dict(os.environ, {"ASL_STATE_DIR": str(folder / "state")}):
        first = run(Request((f"tree:{tree}",), str(store), "d", {"host": "one"}))
        (tree / "deep/er/later").write_bytes(rng.randbytes(90_000))
        second = run(Request((f"tree:{tree}",), str(store), "d"))
    return Taken(tree, store, (first, second))


def tool(capsys: pytest.CaptureFixture[str], name: str, *words: str) -> tuple[int, dict[str, Any]]:
    """The exit status and the JSON document of the tool NAME (admin, debug) with WORDS."""
    capsys.readouterr()
    code = main(f"asl-{name}", [*words, "--json"])
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    return code, document


def text(capsys: pytest.CaptureFixture[str], name: str, *words: str) -> tuple[int, str]:
    """The exit status of the tool and what it prints for people on stdout."""
    capsys.readouterr()
    code = main(f"asl-{name}", list(words))
    return code, capsys.readouterr().out


def damage(store: Path, block_id: bytes, at: int) -> None:
    """Flip one bit of byte AT of a block."""
    path = store / "blocks" / block_id.hex()[:2] / block_id.hex()
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.chmod(0o644)
    path.write_bytes(data)
