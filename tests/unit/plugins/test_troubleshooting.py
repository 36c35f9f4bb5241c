# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/troubleshooting.md has an entry for every reason code of engine, plugins and gateway, and for none that does not exist."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from unit.plugins.support import CHECKOUT

from asl.pools.codes import REASONS as POOLS
from asl.preflight.codes import CODES, REASONS

PLACES = ("overlay/usr/local/lib/asl", "plugins", "gateway/asl_gateway")
CODE = re.compile(r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+|[A-Z]{4,}")
ENTRY = re.compile(r"^\| `([A-Z0-9_]+)` \| (\S.*?) \| (\S.*?) \|$", re.MULTILINE)


def given(node: ast.AST) -> Iterator[ast.expr]:
    """What NODE gives as a reason: reason=…, default_reason = …, {"reason": …}."""
    if isinstance(node, ast.keyword) and node.arg in ("reason", "code"):
        yield node.value
    elif isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value:
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        if any(isinstance(target, ast.Name) and target.id == "default_reason" for target in targets):
            yield node.value
    elif isinstance(node, ast.Dict):
        for key, value in zip(node.keys, node.values):
            if isinstance(key, ast.Constant) and key.value in ("reason", "code"):
                yield value


def used() -> dict[str, str]:
    """Every code, and a file that has it."""
    found = {**dict.fromkeys({*CODES, *REASONS}, "preflight/codes.py"), **dict.fromkeys(POOLS, "pools/codes.py")}
    for path in sorted((CHECKOUT / "playbooks").rglob("*.sh")):
        for code in re.findall(r"\[([A-Z_]+)\]", path.read_text(encoding="utf-8")):
            found.setdefault(code, str(path.relative_to(CHECKOUT)))
    for path in [path for place in PLACES for path in sorted((CHECKOUT / place).rglob("*.py"))]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            for each in [inner for value in given(node) for inner in ast.walk(value)]:
                if isinstance(each, ast.Constant) and isinstance(each.value, str) and CODE.fullmatch(each.value):
                    found.setdefault(each.value, str(path.relative_to(CHECKOUT)))
    return found


def text() -> str:
    return (CHECKOUT / "docs" / "troubleshooting.md").read_text()


def test_every_code_has_an_entry() -> None:
    entries = {code for code, _meaning, _remedy in ENTRY.findall(text())}
    missing = {code: place for code, place in used().items() if code not in entries}
    assert not missing, f"write what these mean and what to do into docs/troubleshooting.md: {missing}"


def raised(code: str) -> bool:
    """Whether CODE is a word in quotes anywhere in the software."""
    return any(
        re.search(rf"[\"']{code}[\"']", path.read_text(encoding="utf-8"))
        for place in PLACES
        for path in Path(CHECKOUT / place).rglob("*.py")
    )


def test_no_entry_speaks_of_a_code_that_is_gone() -> None:
    known = used()
    assert [code for code, _meaning, _remedy in ENTRY.findall(text()) if code not in known and not raised(code)] == []


def test_each_code_has_one_entry_with_a_sentence_and_a_step() -> None:
    entries = ENTRY.findall(text())
    codes = [code for code, _meaning, _remedy in entries]
    assert sorted(codes) == sorted(set(codes))
    assert [code for code, meaning, remedy in entries if not (meaning.endswith((".", ")")) and remedy.endswith((".", ")", "`")))] == []


@pytest.mark.parametrize("page", sorted(path.name for path in (CHECKOUT / "docs").glob("*.md")))
def test_links_between_pages_lead_somewhere(page: str) -> None:
    folder = CHECKOUT / "docs"
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#\s]*)#?([^)\s]*)\)", (folder / page).read_text()):
        path = folder / (target or page)
        assert path.exists(), f"{page}: {target}"
        if anchor and path.suffix == ".md":
            headings = [line.lstrip("# ").lower() for line in path.read_text().splitlines() if line.startswith("#")]
            assert anchor in {re.sub(r"[^\w -]", "", heading).replace(" ", "-") for heading in headings}, f"{page}: {target}#{anchor}"
