# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection under its own name, modules through their real main(), and a root on which the overlay is laid."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args  # type: ignore[import-untyped]
from unit.plugins import returned
from unit.plugins.support import CHECKOUT, Call, Outcome, outcome

sys.path.insert(0, str(CHECKOUT / "playbooks" / "collections"))


HERE = Path(__file__).parent


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What every key of RETURN is held against, all tests of this folder, comes first. With a part of them it can say nothing and is left
    out, which pytest counts as deselected."""
    last = [item for item in items if item.path == HERE / "test_returned.py"]
    others = [item for item in items if item not in last]
    own = [item for item in others if item.path.parent == HERE]
    files = {path for path in HERE.glob("test_*.py") if path.name != "test_returned.py"}
    part = files != {item.path for item in own} or any("::" in word for word in config.args) or config.getoption("keyword")
    if last and part:
        config.hook.pytest_deselected(items=last)
        items[:] = others
    elif last:
        after = others.index(own[-1]) + 1
        items[:] = [*others[:after], *last, *others[after:]]


@pytest.fixture
def call(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Call:
    """``call(module, check=…, diff=…, **options)``: the module's own main(), in this process."""

    def run(module: str, *, check: bool = False, diff: bool = False, **options: Any) -> Outcome:
        found = importlib.import_module(f"ansible_collections.asl.rescue.plugins.modules.{module}")
        internal = {"_ansible_check_mode": check, "_ansible_diff": diff, "_ansible_remote_tmp": str(tmp_path)}
        capsys.readouterr()
        with patch_module_args({**options, **internal}), pytest.raises(SystemExit) as ended:
            found.main()
        ending = outcome(ended.value.code, capsys.readouterr().out)
        returned.note(module, ending.result)
        return ending

    return run


@pytest.fixture(scope="session")
def packed(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """The bundle that the action plugins would send, and its digest."""
    carry = importlib.import_module("ansible_collections.asl.rescue.plugins.plugin_utils._carry")
    found = carry.local_bundle()
    place = tmp_path_factory.mktemp("packed") / "bundle.tar.gz"
    room = importlib.import_module("asl.overlay.bundle")
    with place.open("wb") as file:
        room.write(found, file)
    return str(place), found.contents.digest


@pytest.fixture
def root(tmp_path: Path) -> str:
    """An empty root."""
    top = tmp_path / "root"
    for name in ("etc/systemd/system", "mnt", "run", "usr/local/bin", "usr/local/lib", "var/lib"):
        (top / name).mkdir(parents=True)
    return str(top)


@pytest.fixture
def laid(call: Call, packed: tuple[str, str], root: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A root with the overlay on it and state of its own, as the options that lead a module there."""
    done = call("asl_overlay", root=root, _bundle=packed[0], _digest=packed[1])
    assert done.rc == 0, done.result
    monkeypatch.setenv("ASL_STATE_DIR", f"{root}/var/lib/asl")
    monkeypatch.setenv("ASL_RUN_DIR", f"{root}/run/asl")
    return {"_root": root, "_digest": packed[1]}
