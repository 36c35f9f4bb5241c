# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""report.json is what its published schema says, and bounded; the page carries the same and nothing that could act."""

from __future__ import annotations

import datetime
import importlib
import json
import random
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from unit.plugins import samples
from unit.plugins.support import CHECKOUT

AT = datetime.datetime(2026, 11, 25, 3, 12, tzinfo=datetime.timezone.utc)
SCHEMA = json.loads((CHECKOUT / "docs" / "report.schema.json").read_text())


def room(name: str) -> Any:
    return importlib.import_module(f"ansible_collections.asl.rescue.plugins.plugin_utils.{name}")


def document(hosts: list[dict[str, Any]]) -> dict[str, Any]:
    """What report.json would be, through its own writer."""
    found: dict[str, Any] = json.loads(room("_report").document(room("_report_document").fleet(hosts, AT)))
    return found


def report(**phases: Any) -> dict[str, Any]:
    left = {f"{name}_result": each for name, each in phases.items()}
    found: dict[str, Any] = room("_report").host_report("web07", room("_report").PHASES, left)
    return found


def strict(schema: Any) -> Any:
    """The schema without room for keys it does not name: what is written and not published is a fault here."""
    if isinstance(schema, list):
        return [strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: strict(value) for key, value in schema.items()}
    if "properties" in found and found.get("type") == "object" and "required" in found and "damaged" not in found["properties"]:
        found.setdefault("additionalProperties", False)
    return found


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("count", [0, 1, 40])
def test_a_fleet_is_as_the_schema_says_and_has_nothing_else(count: int) -> None:
    whole = document(samples.fleet(count))
    jsonschema.Draft202012Validator(strict(SCHEMA)).validate(whole)
    assert whole["totals"]["hosts"] == len(whole["hosts"]) == sum(whole["totals"]["states"].values())


@pytest.mark.parametrize(
    "phases",
    [
        {},
        {"overlay": samples.GONE},
        {"overlay": {"failed": True, "msg": "MODULE FAILURE"}},
        {"overlay": samples.OVERLAY, "intake": {"changed": True, "finished": False, "state": "would-run", "actions": ["read x"]}},
        {"verify": {"failed": True, "msg": "no store", "reason": "NO_STORE", "cmd": ["asl-admin", "verify"]}},
    ],
)
def test_a_host_of_which_little_is_known_is_as_the_schema_says(phases: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator(strict(SCHEMA)).validate(document([report(**phases)]))


def test_a_disk_with_a_million_bad_sectors_makes_no_large_report() -> None:
    intake = samples.taken(random.Random(1), 1, bad=5)
    intake["losses"] = [{"what": "unread", "where": f"/dev/sda: 512 bytes at {at}", "why": "Input/output error"} for at in range(10_000)]
    intake["losses_omitted"] = 990_000
    (host,) = document([report(intake=intake)])["hosts"]
    assert (len(host["losses"]), host["losses_omitted"]) == (200, 999_800)


def test_what_a_remote_endpoint_signed_and_the_commands_that_failed_are_in_it() -> None:
    intake = {**samples.taken(random.Random(1), 1), "receipts": [], "receipt": {"signature": "00ff"}}
    (good, bad) = document([report(intake=intake), report(overlay=samples.OVERLAY, preflight=samples.NO_MODE)])["hosts"]
    assert good["receipts"] == [{"signature": "00ff"}]
    assert bad["phases"][1]["commands"] == ["/usr/bin/python3 -B /usr/local/bin/asl-intake --json"]
    assert (bad["reason"], bad["decision"]["mode"]) == ("NO_STORE", "none")


def test_receipts_are_told_of_and_stand_in_files_of_their_own(tmp_path: Path) -> None:
    intake = samples.taken(random.Random(1), 0)
    host, receipt = report(intake=intake), intake["receipts"][0]
    gateway = {**receipt, "by": "gateway", "text": receipt["text"].replace("{", '{"long":"' + "x" * 9000 + '",', 1)}
    (told,) = document([host])["hosts"]
    (seen,) = told["receipts"]
    assert (seen["file"], seen["signed"], seen["text"], seen["signature"]) == (
        f"{host['host']}.receipt", True, receipt["text"], receipt["signature"],
    )  # fmt: skip
    assert (seen["says"]["snapshot"], seen["says"]["result"], seen["says"]["logseq"]) == ("1", "complete", 12)
    (told,) = document([report(intake={**intake, "receipts": [gateway, receipt]})])["hosts"]
    assert [each["text"] for each in told["receipts"]] == [None, receipt["text"]], "a long one stands in its file only"
    room("_report_receipts").write(tmp_path, "../evil\n", [gateway, receipt, {"text": None}, "nonsense"])
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        "_./evil_.receipt-gateway".replace("/", "_"): gateway["text"], "_._evil_.receipt-gateway.sig": gateway["signature"],
        "_._evil_.receipt": receipt["text"], "_._evil_.receipt.sig": receipt["signature"],
    }  # fmt: skip


def test_the_page_carries_the_same_document_and_nothing_in_it_can_act() -> None:
    evil = "</script><script>alert(1)</script><!--\u2028\udcff\x1b[31m"
    hosts = samples.fleet(3)
    hosts[0] = {**report(overlay={"failed": True, "msg": evil, "hint": evil}), "host": evil}
    page = room("_report_page").render(room("_report_document").fleet(hosts, AT))
    assert page.count("<script") == page.count("</script>") == 2
    (data,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert json.loads(data)["hosts"][0]["host"] == evil
    assert "\x1b" not in page
    assert not re.search(r"(?:src|href)=[\"']?(?:https?:)?//|@import|url\(", page)


def test_hosts_with_the_same_trouble_stand_together_and_losses_alone() -> None:
    groups = room("_report_page").needs(document(samples.fleet(40))["hosts"])
    assert [group["state"] for group in groups][:3] == ["failed", "unreachable", "running"]
    assert len(groups[0]["hosts"]) == 3
    assert all(len(group["hosts"]) == 1 for group in groups if group["state"] == "rescued_with_losses")
