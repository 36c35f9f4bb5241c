# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reports: the state of a host from what its phases left, and files that are whole and safe to read."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import pytest

Result = dict[str, Any]
UTILS = "ansible_collections.asl.rescue.plugins.plugin_utils"
OK: Result = {"changed": False, "failed": False, "actions": []}
TAKEN: Result = {
    **OK, "finished": True, "state": "finished", "snapshot": "7", "store": "/s", "digest": "d", "size": 2048, "bytes_unread": 0,
    "bytes_new": 1, "bytes_duplicate": 2, "sources": [{"source": "fs:/dev/sda2", "files": 3, "size": 2048, "bytes_unread": 0}],
}  # fmt: skip
LOST: Result = {**TAKEN, "bytes_unread": 512, "losses": [{"what": "unreadable", "where": "a\x1b[31mb", "why": "I/O error"}]}
FAILED: Result = {"failed": True, "msg": "no place [NO]. Next: mount one", "hint": "mount one", "reason": "NO"}
POOL: Result = {"actions": ["import"], "name": "tank", "role": "source", "altroot": "/run/asl/src/7", "changed": True}
POOLS: Result = {"changed": True, "msg": "All items completed", "results": [{**POOL, "role": "backend"}, POOL]}
BAD_POOLS: Result = {"failed": True, "msg": "One or more items failed", "results": [POOL, {**FAILED, "item": "7"}]}
WOULD_IMPORT: Result = {**POOLS, "results": [{**POOL, "altroot": None}]}
GONE: Result = {"unreachable": True, "msg": "Task failed: Failed to connect", "changed": False}


def report() -> Any:
    return importlib.import_module(f"{UTILS}._report")


def of(**phases: Result) -> Result:
    found: Result = report().host_report("web07", report().PHASES, {f"{phase}_result": result for phase, result in phases.items()})
    return found


@pytest.mark.parametrize(
    ("phases", "state", "phase", "said"),
    [
        ({}, "unreachable", None, "could not be reached"),
        ({"overlay": GONE}, "unreachable", "overlay", "could not be reached in phase overlay: Failed to connect"),
        ({"overlay": FAILED}, "failed", "overlay", "failed in phase overlay: no place [NO]"),
        ({"overlay": OK, "preflight": FAILED}, "failed", "preflight", "failed in phase preflight: no place [NO]"),
        ({"overlay": OK, "preflight": OK}, "incomplete", None, "not finished"),
        ({"overlay": OK, "pool": BAD_POOLS}, "failed", "pool", "failed in phase pool: no place [NO]"),
        ({"overlay": OK, "pool": WOULD_IMPORT}, "predicted", "pool", "nothing was done"),
        ({"overlay": OK, "pool": POOLS}, "incomplete", None, "not finished"),
        ({"overlay": OK, "pool": POOLS, "intake": TAKEN}, "rescued", None, "rescued: snapshot 7 in /s"),
        ({"overlay": OK, "pool": {"skipped": True, "results": []}, "intake": TAKEN}, "rescued", None, "rescued: snapshot 7 in /s"),
        ({"overlay": OK, "intake": {**OK, "state": "running", "finished": False}}, "running", "intake", "still running"),
        ({"overlay": OK, "intake": {**FAILED, "state": "running"}}, "running", "intake", "still running"),
        ({"overlay": OK, "intake": GONE}, "unreachable", "intake", "could not be reached in phase intake"),
        ({"overlay": OK, "intake": {**OK, "state": "would-run", "finished": False}}, "predicted", "intake", "nothing was done"),
        ({"overlay": OK, "intake": TAKEN, "verify": FAILED}, "failed", "verify", "failed in phase verify"),
        ({"overlay": OK, "intake": TAKEN, "verify": OK}, "rescued", None, "rescued: snapshot 7 in /s, 2.0 KiB, every byte"),
        ({"overlay": OK, "intake": LOST, "verify": OK}, "rescued_with_losses", None, "512 B of it could not be read"),
    ],
)
def test_the_state_of_a_host(phases: dict[str, Result], state: str, phase: str, said: str) -> None:
    found = of(**phases)
    assert (found["state"], found["phase"]) == (state, phase)
    assert said in found["sentence"]
    assert found["rescued"] == state.startswith("rescued")
    assert found["ok"] == (found["rescued"] or state == "predicted")
    assert found["next"]


def read(**more: Any) -> Result:
    return {**OK, "ok": True, "verification": {"snapshots": ["7"], "artifacts": 3, "artifacts_skipped": 0, **more}}


@pytest.mark.parametrize(
    ("verify", "how", "said"),
    [
        ({}, "nothing", "; not read back from the store"),
        ({"verify": OK}, "nothing", "; not read back from the store"),
        ({"verify": {"skipped": True}}, "nothing", "; not read back from the store"),
        ({"verify": read(snapshots=["6"])}, "nothing", "; not read back from the store"),
        ({"verify": {**OK, "ok": True, "verification": {"snapshot": "7", "sources": []}}}, "nothing", "; not read back from the store"),
        ({"verify": read(artifacts_skipped=8)}, "sample", "; only a sample of it was read back from the store"),
        ({"verify": read()}, "all", ", every byte"),
    ],
)
def test_what_was_not_read_back_is_never_said_to_be_verified(verify: dict[str, Result], how: str, said: str) -> None:
    found = of(overlay=OK, intake=TAKEN, **verify)
    assert (found["read_back"], found["state"]) == (how, "rescued")
    assert found["sentence"].endswith(said)
    document, page = (importlib.import_module(f"{UTILS}.{name}") for name in ("_report_document", "_report_page"))
    known = page.known(document.host(found))
    assert ("verified" in known) is (how == "all") and known.endswith(said.strip("; ") if how != "all" else "verified")


def test_a_signature_of_an_earlier_run_is_not_left_beside_a_new_receipt(tmp_path: Path) -> None:
    receipts = importlib.import_module(f"{UTILS}._report_receipts")
    signed, unsigned = {"by": "host", "text": "first", "signature": "S"}, {"by": "host", "text": "second", "signature": None}
    receipts.write(tmp_path, "web07", [signed])
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"web07.receipt": "first", "web07.receipt.sig": "S"}
    receipts.write(tmp_path, "web07", [])
    assert len(list(tmp_path.iterdir())) == 2, "a host that was not reached this time keeps what it has"
    receipts.write(tmp_path, "web07", [unsigned])
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"web07.receipt": "second"}


def test_the_next_step_is_the_tools_own_where_it_has_one() -> None:
    assert of(overlay=OK, preflight=FAILED)["next"] == "mount one"


def test_files_are_whole_and_nothing_in_them_moves_the_terminal(tmp_path: Path) -> None:
    hosts = [of(overlay=OK, intake=LOST, verify=OK), {**of(overlay=GONE), "host": "../up/[2001:db8::1]"}]
    report().write(tmp_path / "new" / "reports", hosts)
    names = sorted(path.name for path in (tmp_path / "new" / "reports").iterdir())
    odd = "_._up__2001_db8__1_"
    assert names == sorted([f"{odd}.json", f"{odd}.txt", "web07.json", "web07.txt", "summary.json", "summary.txt"])
    whole = json.loads((tmp_path / "new/reports/web07.json").read_text())
    assert whole["phases"]["intake"]["losses"] == LOST["losses"]
    assert whole["phases"]["intake"]["outcome"] == "ok"
    text = (tmp_path / "new/reports/web07.txt").read_text()
    assert "lost: unreadable a\\x1b[31mb (I/O error)" in text
    summary = (tmp_path / "new/reports/summary.txt").read_text()
    assert summary.endswith(f"1 of 2 hosts rescued; reports are in {tmp_path / 'new/reports'}, begin with report.html\n")
    assert all(char.isprintable() or char == "\n" for char in text + summary)


def test_the_pools_of_a_host_stand_in_its_report() -> None:
    whole = of(overlay=OK, pool=POOLS, intake=TAKEN)
    assert [pool["role"] for pool in whole["phases"]["pool"]["pools"]] == ["backend", "source"]
    assert "pool       changed (tank as backend, tank as source)" in report().text(whole)
    assert of(pool=BAD_POOLS)["next"] == "mount one"
