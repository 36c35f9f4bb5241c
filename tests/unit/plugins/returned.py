# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What modules return, held against what their RETURN says: nothing undocumented, and in the end nothing that no test has seen."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

# Ansible's own, and what a module says to its action plugin.
COMMON = {"changed", "deprecations", "diff", "exception", "failed", "invocation", "msg", "needs_bundle", "warnings"}
# Keys that the tests of this process were answered with, by module.
seen: dict[str, set[str]] = {}


def documented(module: str) -> dict[str, Any]:
    """RETURN of a module."""
    found = importlib.import_module(f"ansible_collections.asl.rescue.plugins.modules.{module}").RETURN
    return dict(yaml.safe_load(found))


def paths(keys: Mapping[str, Any], above: str = "") -> Iterator[str]:
    """Every documented key, those inside of others as ``sources.root``."""
    for key, text in keys.items():
        yield above + key
        yield from paths(text.get("contains", {}), f"{above}{key}.")


def keys_of(keys: Mapping[str, Any], result: Mapping[str, Any], above: str = "") -> Iterator[str]:
    """Every key of a result, and as deep as RETURN goes into it."""
    for key, value in result.items():
        yield above + key
        inner = keys.get(key, {}).get("contains")
        for each in value if isinstance(value, list) else [value]:
            if inner and isinstance(each, Mapping):
                yield from keys_of(inner, each, f"{above}{key}.")


def note(module: str, result: Mapping[str, Any]) -> None:
    """Remember what a module returned; a key that it does not document fails the test."""
    text = documented(module)
    found = set(keys_of(text, result)) - COMMON
    seen.setdefault(module, set()).update(found)
    assert found <= set(paths(text)), f"{module} returns what it does not document: {sorted(found - set(paths(text)))}"
