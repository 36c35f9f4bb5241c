# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""asl-admin token: many tokens at once, each of its own."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from unit.admin.support import text, tool

from asl import tokens

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    path = tmp_path / "token.keys"
    path.write_text(tokens.new_key("k1") + "\n")
    path.chmod(0o600)
    return path


def test_many_tokens_are_issued_one_a_line(keys: Path, capsys: Capture) -> None:
    code, printed = text(capsys, "admin", "token", "issue", str(keys), "--domain", "site-b", "--count", "300")
    assert code == 0
    known = tokens.parse_keys(keys.read_text())
    claims = [tokens.verify(known, line, time.time()) for line in printed.splitlines()]
    assert len({each.id for each in claims}) == 300, "each can be revoked alone"
    assert {(each.domain, each.verbs) for each in claims} == {("site-b", ("add",))}
    code, document = tool(capsys, "admin", "token", "issue", str(keys), "--count", "2")
    assert (code, [tokens.read(each).id for each in document["tokens"]]) == (0, document["ids"])


@pytest.mark.parametrize("words", [["--count", "0"], ["--count", "-1"], ["--count", "2", "--output", "/nowhere/token"]])
def test_a_count_that_makes_no_sense_is_refused(keys: Path, capsys: Capture, words: list[str]) -> None:
    code, document = tool(capsys, "admin", "token", "issue", str(keys), *words)
    assert (code, document["reason"]) == (2, "USAGE") and document["hint"]
