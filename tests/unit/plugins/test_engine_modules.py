# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""asl_preflight, asl_ingest and asl_verify through their real main(), with the real tools on a root of their own."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from unit.admin.support import damage
from unit.plugins.support import CHECKOUT, Call

from asl.formats import block
from asl.store import open_store
from asl.store.contents import resolve

Laid = dict[str, str]


@pytest.fixture
def store(tmp_path: Path) -> str:
    """An empty store."""
    place = tmp_path / "store"
    admin = CHECKOUT / "overlay/usr/local/bin/asl-admin"
    subprocess.run([sys.executable, "-B", str(admin), "init", str(place)], check=True, capture_output=True)
    return str(place)


@pytest.fixture
def source(tmp_path: Path) -> str:
    """A small tree."""
    place = tmp_path / "source"
    (place / "folder").mkdir(parents=True)
    (place / "file").write_bytes(b"content " * 1000)
    (place / "folder" / "link").symlink_to("../file")
    return f"tree:{place}"


def took(call: Call, laid: Laid, **options: Any) -> dict[str, Any]:
    done = call("asl_ingest", wait_timeout=60, **options, **laid)
    assert done.rc == 0, done.result
    assert done.result["finished"] is True
    return done.result


def test_ingest_check_run_run_check(call: Call, laid: Laid, store: str, source: str) -> None:
    request: dict[str, Any] = {"sources": [source], "store": store, "labels": {"ticket": 4711, "urgent": True}}
    predicted = call("asl_ingest", check=True, **request, **laid).result
    assert (predicted["state"], predicted["changed"], predicted["finished"]) == ("would-run", True, False)
    assert predicted["actions"] == [f"read {source} into {store} (domain rescue-domain)"]
    assert not Path(laid["_root"], "var/lib/asl/runtime/queue").exists()
    first = took(call, laid, **request)
    assert (first["changed"], first["actions"], first["exit_code"]) == (True, predicted["actions"], 0)
    assert (first["files"], first["bytes_unread"], first["losses"]) == (first["sources"][0]["files"], 0, [])
    assert first["labels"] == {"ticket": "4711", "urgent": "true"}
    second = took(call, laid, **request)
    assert (second["changed"], second["actions"]) == (False, [])
    assert (second["snapshot"], second["digest"], second["job"]) == (first["snapshot"], first["digest"], first["job"])
    again = call("asl_ingest", check=True, **request, **laid).result
    assert (again["changed"], again["actions"]) == (False, [])


def test_a_job_is_joined_and_its_result_is_handed_out_once(call: Call, laid: Laid, store: str, source: str) -> None:
    request: dict[str, Any] = {"sources": [source], "store": store}
    started = call("asl_ingest", wait=False, collect=False, **request, **laid).result
    assert started["state"] in ("queued", "running", "finished")
    kept = took(call, laid, collect=False, **request)
    taken = took(call, laid, **request)
    assert started["job"] == kept["job"] == taken["job"]
    assert kept["snapshot"] == taken["snapshot"]
    assert taken["changed"] is True, "the same result, not a second run"
    assert took(call, laid, **request)["changed"] is False, "a second run"


def test_a_job_that_fails_says_why_and_is_tried_anew(call: Call, laid: Laid, store: str, source: str) -> None:
    place = Path(source.removeprefix("tree:"))
    place.rename(place.with_name("away"))
    failed = call("asl_ingest", sources=[source], store=store, collect=False, wait_timeout=60, **laid)
    assert failed.rc == 1
    assert str(place) in failed.result["msg"]
    assert failed.result["reason"]
    place.with_name("away").rename(place)
    assert took(call, laid, sources=[source], store=store)["changed"] is True


def test_losses_are_no_failure_and_are_warned_of(call: Call, laid: Laid, store: str, tmp_path: Path) -> None:
    image = tmp_path / "image"
    image.write_bytes(b"x" * 4096)
    done = call("asl_ingest", sources=[f"device:{image}"], store=store, wait_timeout=60, **laid)
    assert (done.rc, done.result["exit_code"], done.result["losses"]) == (0, 0, [])
    assert not done.result.get("warnings")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"sources": ["nonsense:/x"]}, "BAD_SOURCE"),
        ({"sources": ["tree:/etc"], "domain": "no domain"}, None),
        ({"sources": ["tree:/etc"], "settings": {"chunk.average": "7"}}, "CONFIG_INVALID"),
        ({"sources": ["tree:/etc"], "settings": {"unknown.key": "7"}}, "CONFIG_INVALID"),
    ],
)
def test_what_the_tool_refuses_fails_with_its_reason(call: Call, laid: Laid, store: str, options: dict[str, Any], reason: str) -> None:
    failed = call("asl_ingest", check=True, store=store, **options, **laid)
    assert (failed.rc, failed.result["finished"]) == (1, False)
    assert failed.result["reason"] == reason or (reason is None and failed.result["reason"])
    assert failed.result["rc"] == 2
    assert failed.result["stderr"]
    assert "Traceback" not in str(failed.result)


def test_without_tools_only_what_changes_nothing_is_carried(
    call: Call, packed: tuple[str, str], root: str, source: str, store: str
) -> None:
    bare = {"_root": root, "_digest": packed[1]}
    refused = call("asl_ingest", sources=[source], store=store, **bare)
    assert (refused.rc, refused.result["reason"]) == (1, "NOT_LAID")
    for module, options in (("asl_ingest", {"sources": [source]}), ("asl_preflight", {}), ("asl_verify", {})):
        asked = call(module, check=True, store=store, **options, **bare)
        assert (asked.rc, asked.result) == (0, {"changed": False, "needs_bundle": True}), module
    carried = call("asl_ingest", check=True, sources=[source], store=store, _bundle=packed[0], **bare)
    assert carried.result["actions"] == [f"read {source} into {store} (domain rescue-domain)"]
    assert not Path(root, "usr/local/bin/asl-intake").exists()


def test_in_check_mode_an_overlay_of_another_version_does_not_predict(call: Call, laid: Laid, store: str) -> None:
    other = {**laid, "_digest": "0" * 64}
    assert call("asl_preflight", check=True, store=store, **other).result["needs_bundle"] is True
    assert "mode" in call("asl_preflight", store=store, **other).result


def test_preflight_returns_all_it_saw_also_when_it_fails(call: Call, laid: Laid, tmp_path: Path) -> None:
    settings = {"mode": "local", "local.mount": str(tmp_path / "nothing")}
    seen = call("asl_preflight", check=True, settings=settings, **laid)
    assert (seen.rc, seen.result["changed"], seen.result["mode"]) == (0, False, "none")
    assert {"mode", "reason", "findings", "facts", "measured", "rule"} <= set(seen.result)
    assert not Path(laid["_root"], "run/asl/mode").exists()
    failed = call("asl_preflight", settings=settings, fail_on=["no_mode"], **laid)
    assert (failed.rc, failed.result["mode"], failed.result["reason"]) == (1, "none", seen.result["reason"])
    assert failed.result["msg"].startswith("there is no place for an intake: ")
    assert failed.result["findings"] == seen.result["findings"]
    assert failed.result["facts"] == seen.result["facts"]
    assert Path(laid["_root"], "run/asl/mode").read_text().strip() == "none"


def test_preflight_fails_for_a_severity_and_a_worse_one(call: Call, laid: Laid, tmp_path: Path) -> None:
    settings = {"mode": "local", "local.mount": str(tmp_path / "nothing")}
    findings = call("asl_preflight", check=True, settings=settings, **laid).result["findings"]
    gravest = [each for severity in ("error", "warning") for each in findings if each["severity"] == severity]
    assert gravest, "a store that is not there is worth a warning"
    failed = call("asl_preflight", check=True, settings=settings, fail_on=["warning"], **laid)
    assert (failed.rc, failed.result["reason"], failed.result["hint"]) == (1, gravest[0]["code"], gravest[0]["hint"])
    known = [each["code"] for each in gravest]
    ignored = call("asl_preflight", check=True, settings=settings, fail_on=["warning"], ignore=known, **laid)
    assert (ignored.rc, ignored.result["findings"]) == (0, findings)
    errors = [each for each in gravest if each["severity"] == "error"]
    assert call("asl_preflight", check=True, settings=settings, fail_on=["error"], **laid).rc == (1 if errors else 0)


def test_preflight_fails_for_a_configuration_that_cannot_be_read(call: Call, laid: Laid) -> None:
    failed = call("asl_preflight", check=True, settings={"mode": "sideways"}, **laid)
    assert (failed.rc, failed.result["rc"], failed.result["mode"]) == (1, 2, "none")
    assert "sideways" in failed.result["msg"]
    assert "CONFIG_INVALID" in {each["code"] for each in failed.result["findings"]}


def test_verify_reads_back_what_was_taken(call: Call, laid: Laid, store: str, source: str) -> None:
    taken = took(call, laid, sources=[source], store=store)
    good = call("asl_verify", snapshot=taken["snapshot"], store=store, **laid)
    assert (good.rc, good.result["ok"], good.result["changed"], good.result["damaged"]) == (0, True, False, [])
    assert good.result["verification"]["snapshots"] == [taken["snapshot"]]
    sampled = call("asl_verify", sample=0.5, store=store, check=True, **laid)
    assert sampled.result["verification"]["artifacts_skipped"] > 0


def test_verify_reads_the_configuration_that_it_is_given(call: Call, laid: Laid, store: str, source: str, tmp_path: Path) -> None:
    """Two domains in one place, each with a federation.conf of its own: the one that is named holds."""
    taken = took(call, laid, sources=[source], store=store)
    shutil.copytree(store, tmp_path / "site-b")
    for block_file in [path for path in (Path(store) / "blocks").rglob("*") if path.is_file()]:
        block_file.unlink()
    for name, admit in (("with", "artifacts"), ("without", "none")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "asl.conf").write_text("domain.id = rescue-domain\n")
        (tmp_path / name / "federation.conf").write_text(f"peer.b.domain = site-b\npeer.b.admit = {admit}\n")
    words: dict[str, Any] = {"snapshot": taken["snapshot"], "store": store}
    good = call("asl_verify", config=str(tmp_path / "with" / "asl.conf"), **words, **laid)
    assert (good.rc, good.result.get("ok")) == (0, True), good.result
    assert call("asl_verify", config=str(tmp_path / "without" / "asl.conf"), **words, **laid).result["reason"] == "DAMAGED"
    assert call("asl_verify", config=str(tmp_path / "asl.conf"), **words, **laid).result["reason"] == "CONFIG_INVALID"


def test_the_receipt_of_an_intake_is_signed_and_proves_it(call: Call, laid: Laid, store: str, source: str, tmp_path: Path) -> None:
    key, kept = tmp_path / "key", tmp_path / "kept.receipt"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    request: dict[str, Any] = {"sources": [source], "store": store}
    first, second = took(call, laid, **request), took(call, laid, sign=str(key), **request)
    assert (second["changed"], second["snapshot"]) == (False, first["snapshot"]), "signed later, it is the same"
    (unsigned,), (signed,) = first["receipts"], second["receipts"]
    assert (unsigned["signature"], unsigned["why"], unsigned["text"]) == (None, "no key was named", signed["text"])
    kept.write_text(signed["text"])
    kept.with_name("kept.receipt.sig").write_text(signed["signature"])
    (tmp_path / "signers").write_text(f"web07 {key.with_suffix('.pub').read_text()}")
    words = ["prove", first["snapshot"], "--receipt", str(kept), "--allowed-signers", str(tmp_path / "signers"), "--store", store]
    tool = Path(laid["_root"], "usr/local/bin/asl-admin")
    done = subprocess.run([sys.executable, "-B", str(tool), *words], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.splitlines()[-1].rpartition(", ")[2]) == (0, "signed by web07"), done.stdout + done.stderr


def test_verify_holds_the_source_against_the_snapshot(call: Call, laid: Laid, store: str, source: str) -> None:
    taken = took(call, laid, sources=[source], store=store)
    for words in ({}, {"snapshot": taken["snapshot"]}):
        good = call("asl_verify", source="all", store=store, **words, **laid)
        assert (good.rc, good.result["ok"], good.result["changed"], good.result["differences"]) == (0, True, False, [])
        assert (good.result["verification"]["complete"], good.result["verification"]["sources"][0]["files"]) == (True, taken["files"])
    Path(source.removeprefix("tree:"), "file").write_bytes(b"another " * 1000)
    bad = call("asl_verify", source=source, store=store, check=True, **laid)
    assert (bad.rc, bad.result["reason"], bad.result["ok"], bad.result["changed"]) == (1, "SOURCE_DIFFERS", False, False)
    assert bad.result["differences"][0]["path"] == "file" and f"{source}: file: changed" in bad.result["msg"]
    assert call("asl_verify", source="7", store=store, **laid).result["reason"] == "NO_SOURCE"


def test_damage_fails_and_names_the_file(call: Call, laid: Laid, store: str, source: str) -> None:
    taken = took(call, laid, sources=[source], store=store)
    for path in Path(store, "blocks").rglob("*"):
        if path.is_file():
            path.chmod(0o600)
            data = bytearray(path.read_bytes())
            data[len(data) // 2] ^= 1
            path.write_bytes(data)
    bad = call("asl_verify", snapshot=taken["snapshot"], store=store, **laid)
    assert (bad.rc, bad.result["reason"], bad.result["ok"]) == (1, "DAMAGED", False)
    assert bad.result["damaged"]
    assert f"snapshot {taken['snapshot']} is damaged" in bad.result["msg"]


def test_a_damaged_store_is_never_a_source_that_differs(call: Call, laid: Laid, store: str, source: str) -> None:
    taken = took(call, laid, sources=[source], store=store)
    opened = open_store(store)
    place = opened.locate(resolve(opened, opened.find_snapshot("latest").manifest.sources[0].root, b"folder").digest)[0]
    damage(Path(store), place.block, block.HEADER.size + place.offset + place.length // 2)
    for changed in (False, True):
        if changed:
            Path(source.removeprefix("tree:"), "file").write_bytes(b"another " * 1000)
        bad = call("asl_verify", snapshot=taken["snapshot"], source="all", store=store, **laid)
        assert (bad.rc, bad.result["reason"], bad.result["ok"], bad.result["not_compared_damaged"]) == (1, "DAMAGED", False, 1)
        assert bad.result["msg"].startswith(f"the store {store} is damaged and cannot say what was there in 1 places")
        assert f"{source}: folder: damaged" in bad.result["msg"] and "asl-debug check" in bad.result["hint"]
        assert ("the source is not as it was in 1 places" in bad.result["msg"]) is changed, "what does differ is not kept back"


def test_a_store_that_is_none_is_named(call: Call, laid: Laid, tmp_path: Path) -> None:
    failed = call("asl_verify", store=str(tmp_path / "none"), **laid)
    assert failed.rc == 1
    assert str(tmp_path / "none") in failed.result["msg"]
    assert failed.result["reason"] not in ("BAD_ANSWER", "FAILED")


def test_an_answer_that_is_no_json_is_quoted(call: Call, laid: Laid) -> None:
    for tool in ("asl-intake", "asl-admin"):
        Path(laid["_root"], "usr/local/bin", tool).write_text("import sys\nprint('half an answ')\nsys.exit('and a word of why')\n")
    asked: dict[str, dict[str, Any]] = {
        "asl_ingest": {"sources": ["tree:/etc"]}, "asl_pool_import": {"guid": "7"}, "asl_preflight": {}, "asl_verify": {},
        "asl_restore": {"snapshot": "1", "to": "/nowhere"},
    }  # fmt: skip
    for module, options in asked.items():
        failed = call(module, **options, **laid)
        assert (failed.rc, failed.result["reason"], failed.result["rc"]) == (1, "BAD_ANSWER", 1)
        assert "and a word of why" in failed.result["msg"]
        assert failed.result["details"] == {"stdout": "half an answ\n"}
    shutil.rmtree(laid["_root"])
