# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""asl_pool_import through its real main(): what the tool is asked, and what becomes of its answers. tests/vm has it with real pools."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from unit.plugins.support import Call

Laid = dict[str, str]
GUID = "12138751487163087474"

# What `asl-admin pool import --json` answered in the live system.
ANSWER: dict[str, Any] = {
    "changed": True,
    "check": False,
    "name": "tank",
    "guid": GUID,
    "role": "source",
    "imported_as": "asl_src_a8758229e919ba72",
    "read_only": True,
    "altroot": f"/run/asl/src/{GUID}",
    "health": "ONLINE",
    "dataset": None,
    "mounted_at": None,
    "available": None,
    "actions": [f"import the pool tank ({GUID}) read-only as asl_src_a8758229e919ba72"],
    "commands": [["zpool", "import", "-N", "-o", "readonly=on"]],
    "notes": [],
    "members": ["/dev/vdb1"],
    "labels": {"before": {"/dev/vdb1": "b1"}, "after": {"/dev/vdb1": "b1"}},
    "versions": {"module": "2.3.9", "tools": "2.3.9"},
    "diff": {"before": {"imported": "no", "mounted_at": None}, "after": {"imported": "read-only", "mounted_at": None}},
}
# The same for `--role backend`.
BACKEND: dict[str, Any] = {
    **ANSWER,
    "role": "backend",
    "imported_as": "tank",
    "read_only": False,
    "altroot": f"/run/asl/pool/{GUID}",
    "dataset": "tank/asl",
    "mounted_at": "/mnt/asl/local",
    "available": 824633720832,
    "store_id": "0f2a3c2d9be64c0e8a5a1f7dd3d1b1a0",
    "labels": {"before": {}, "after": {}},
}


@pytest.fixture
def asked(laid: Laid) -> Path:
    """A tool in place of asl-admin that writes down how it was called and gives ANSWER; where no pool can be imported."""
    place = Path(laid["_root"], "asked.json")
    answer = Path(laid["_root"], "answer.json")
    answer.write_text(json.dumps(ANSWER))
    tool = f"import json, sys\njson.dump(sys.argv[1:], open({str(place)!r}, 'w'))\nprint(open({str(answer)!r}).read())\n"
    Path(laid["_root"], "usr/local/bin/asl-admin").write_text(tool)
    return place


WORDS: list[tuple[dict[str, Any], list[str]]] = [
    ({"guid": GUID}, ["import", "--role", "source", "--timeout", "900", GUID]),
    (
        {"guid": GUID, "approve": [GUID], "force_foreign": True, "allow_missing_log": True, "txg": 7, "load_module": True},
        ["import", "--role", "source", "--timeout", "900", "--approve", GUID, "--force-foreign", "--allow-missing-log", "--load-module",
         "--txg", "7", GUID],
    ),
    (
        {"guid": GUID, "role": "backend", "init": True, "devices": ["/dev/sdb", "/dev/sdc"], "timeout": 60},
        ["import", "--role", "backend", "--timeout", "60", "--init", "--device", "/dev/sdb", "--device", "/dev/sdc", GUID],
    ),
    ({"state": "exported"}, ["export", "--timeout", "900", "--all"]),
    ({"guid": GUID, "state": "exported", "approve": ["7"]}, ["export", "--timeout", "900", "--approve", "7", GUID]),
]  # fmt: skip


def test_options_become_words(call: Call, laid: Laid, asked: Path) -> None:
    for options, words in WORDS:
        assert call("asl_pool_import", **options, **laid).rc == 0
        assert json.loads(asked.read_text()) == ["--json", "pool", *words]
        call("asl_pool_import", check=True, settings={"local.pool": "x"}, **options, **laid)
        checked = [words[0], "--set", "local.pool=x", *words[1:]]
        at = checked.index("--timeout") + 2
        assert json.loads(asked.read_text()) == ["--json", "pool", *checked[:at], "--check", *checked[at:]]


def test_what_the_tool_answers_is_returned_and_the_diff_shows_what_is_imported(call: Call, laid: Laid, asked: Path) -> None:
    done = call("asl_pool_import", guid=GUID, **laid)
    assert done.result["changed"] is True
    assert "diff" not in done.result
    for key, value in done.result.items():
        assert value == ANSWER[key]
    diff = call("asl_pool_import", diff=True, guid=GUID, **laid).result["diff"]
    assert json.loads(diff["before"]) == ANSWER["diff"]["before"]
    assert json.loads(diff["after"]) == ANSWER["diff"]["after"]
    asked.with_name("answer.json").write_text(json.dumps(BACKEND))
    assert call("asl_pool_import", guid=GUID, role="backend", **laid).result["store_id"] == BACKEND["store_id"]


def test_what_the_real_tool_refuses_fails_with_its_reason(call: Call, laid: Laid) -> None:
    for options, reason, rc in (
        ({"guid": "tank"}, "NOT_A_GUID", 3),
        ({"guid": GUID, "approve": [GUID]}, "NO_SUCH_POOL", 4),
        ({"guid": GUID, "init": True}, "USAGE", 2),
        ({"guid": "tank", "state": "exported"}, "NOT_A_GUID", 3),
    ):
        failed = call("asl_pool_import", check=True, **options, **laid)
        assert (failed.rc, failed.result["reason"], failed.result["rc"]) == (1, reason, rc)
        assert failed.result["hint"] in failed.result["msg"]
    unnamed = call("asl_pool_import", **laid)
    assert (unnamed.rc, "guid" in unnamed.result["msg"]) == (1, True)


def test_letting_go_of_nothing_changes_nothing_also_where_nothing_is_laid(
    call: Call, laid: Laid, packed: tuple[str, str], tmp_path: Path
) -> None:
    done = call("asl_pool_import", state="exported", **laid)
    assert (done.rc, done.result) == (0, {"changed": False, "actions": [], "commands": [], "pools": []})
    bare = {"_root": str(tmp_path / "bare"), "_digest": packed[1]}
    assert call("asl_pool_import", state="exported", **bare).result == {"changed": False, "needs_bundle": True}
    assert call("asl_pool_import", guid=GUID, **bare).result["reason"] == "NOT_LAID"
    carried = call("asl_pool_import", state="exported", _bundle=packed[0], **bare)
    assert (carried.rc, carried.result["changed"]) == (0, False)
