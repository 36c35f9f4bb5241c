# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change at any time.
"""Receipts in the reports of a fleet: each in a file of its own, byte for byte as it was signed, and a few words of it in report.json.

Nothing is judged here: C(asl-admin prove) does, with the files that are written.
"""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

from ansible_collections.asl.rescue.plugins.plugin_utils._report import file_name, replace

# Longer texts (the receipt of an intake with many losses) stand in their files only.
SHOWN = 8192
# What of an attestation is told, and what of the receipt in it.
SAYS = ("snapshot", "digest", "store_id", "domain", "logseq", "link", "sealed")
OF_INTAKE = ("result", "host", "engine", "began", "ended")

Receipt = t.Mapping[str, t.Any]


def given(intake: t.Mapping[str, t.Any]) -> list[t.Any]:
    """The receipts in the result of an intake."""
    return [each for each in [intake.get("receipt"), *(intake.get("receipts") or [])] if each]


def place(host: str, receipt: Receipt) -> str:
    """The name of its file, beside the reports."""
    return f"{file_name(host)}.receipt{'' if receipt.get('by') in (None, 'host') else '-' + file_name(str(receipt['by']))}"


def write(folder: Path, host: str, receipts: t.Sequence[t.Any]) -> None:
    """Write each receipt of HOST into FOLDER, and beside it its signature. Raises OSError.

    A signature of an earlier run goes first: whatever happens in between, none stands beside a text that it does not sign."""
    for each in receipts:
        if isinstance(each, dict) and isinstance(each.get("text"), str):
            name = place(host, each)
            (folder / f"{name}.sig").unlink(missing_ok=True)
            replace(folder / name, each["text"])
            if isinstance(each.get("signature"), str):
                replace(folder / f"{name}.sig", each["signature"])


def described(host: str, receipts: t.Sequence[t.Any]) -> list[t.Any]:
    """The receipts as report.json has them: as they came, and C(file), C(signed) and what it C(says); a long C(text) is left out."""
    return [describe(host, each) if isinstance(each, dict) and isinstance(each.get("text"), str) else each for each in receipts]


def describe(host: str, receipt: Receipt) -> dict[str, t.Any]:
    """One of them."""
    text = receipt["text"]
    shown = text if len(text) <= SHOWN else None
    return {**receipt, "text": shown, "file": place(host, receipt), "signed": bool(receipt.get("signature")), "says": says(text)}


def says(text: str) -> dict[str, t.Any]:
    """What a person looks for in an attestation."""
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    if not isinstance(value, dict):
        return {}
    intake = value["intake"] if isinstance(value.get("intake"), dict) else {}
    return {**{key: value[key] for key in SAYS if key in value}, **{key: intake[key] for key in OF_INTAKE if key in intake}}
