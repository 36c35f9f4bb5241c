# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tree of vdevs that a label describes: one top-level vdev, what it is for, and whether what was seen of it is enough.

That a vdev is a log stands in its label. That it is special or for deduplication stands only inside the pool: such a vdev, without
which the pool is lost, shows as data.
"""

from __future__ import annotations

from collections.abc import Iterator, Set
from dataclasses import dataclass
from typing import Any, Optional

LEAVES = ("disk", "file")
_MIRRORS = ("mirror", "replacing", "spare")  # one child is enough
_PARITY = ("raidz", "draid")
_DEPTH = 24


@dataclass(frozen=True)
class Leaf:
    """A device of a top-level vdev as the label names it. ``path`` is where the last host had it."""

    guid: str
    path: Optional[str]
    role: str  # data | log | spare


@dataclass(frozen=True)
class TopLevel:
    """``id`` counts from 0. ``role`` is data or log; ``kind`` is disk, mirror, raidz, …"""

    id: int
    guid: str
    kind: str
    role: str
    tree: dict[str, Any]

    def leaves(self) -> list[Leaf]:
        """Its devices, from left to right."""
        return list(_leaves(self.tree, self.role, 0))

    def usable(self, seen: Set[str]) -> bool:
        """Whether the devices whose GUIDs were seen are enough to read all of it."""
        return _usable(self.tree, seen, 0)


def top_level(config: dict[str, Any]) -> Optional[TopLevel]:
    """The top-level vdev that a label is part of; None where the label has none (spares, caches, damage)."""
    tree = config.get("vdev_tree")
    if not isinstance(tree, dict):
        return None
    number, guid, kind = tree.get("id"), tree.get("guid"), tree.get("type")
    if not isinstance(number, int) or not isinstance(guid, int) or not isinstance(kind, str):
        return None
    return TopLevel(number, str(guid), kind, _role(tree), tree)


def _role(tree: dict[str, Any]) -> str:
    return "log" if tree.get("is_log") else "data"


def _children(tree: dict[str, Any], depth: int) -> list[dict[str, Any]]:
    found = tree.get("children")
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) and depth < _DEPTH else []


def _leaves(tree: dict[str, Any], role: str, depth: int) -> Iterator[Leaf]:
    if tree.get("is_spare"):
        role = "spare"
    guid, path = tree.get("guid"), tree.get("path")
    if tree.get("type") in LEAVES and isinstance(guid, int):
        yield Leaf(str(guid), path if isinstance(path, str) else None, role)
    for child in _children(tree, depth):
        yield from _leaves(child, role, depth + 1)


def _usable(tree: dict[str, Any], seen: Set[str], depth: int) -> bool:
    kind = tree.get("type")
    if kind in LEAVES:
        return str(tree.get("guid")) in seen
    children = _children(tree, depth)
    # The distributed spares of a draid hold nothing while they are not in use.
    held = [_usable(child, seen, depth + 1) for child in children if child.get("type") != "dspare"]
    if kind in _MIRRORS:
        return any(held)
    if kind in _PARITY:
        parity = tree.get("nparity")
        return bool(held) and held.count(False) <= (parity if isinstance(parity, int) else 1)
    return bool(held) and all(held)
