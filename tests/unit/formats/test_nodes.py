# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where nodes of recipes and trees end: never before the least, always at the most, else where the content says."""

from __future__ import annotations

import zlib

from unit.formats import samples

from asl.formats import recipe, tree

DIGESTS = [samples.digest(number) for number in range(20_000)]
NAMES = [b"%08d" % number for number in range(20_000)]


def test_a_recipe_node_ends_by_the_digest_of_its_last_entry() -> None:
    for digest in DIGESTS:
        entry = recipe.Entry(recipe.DATA, 1, digest)
        assert recipe.ends_node(entry, recipe.MIN_ENTRIES) == (int.from_bytes(digest[:2], "little") % 1024 == 0)
    assert not any(recipe.ends_node(recipe.Entry(recipe.DATA, 1, digest), recipe.MIN_ENTRIES - 1) for digest in DIGESTS)
    assert recipe.ends_node(recipe.Entry(recipe.HOLE, 1), recipe.MAX_ENTRIES)
    assert not recipe.ends_node(recipe.Entry(recipe.HOLE, 1), recipe.MAX_ENTRIES - 1)


def test_a_tree_node_ends_by_the_name_of_its_last_entry() -> None:
    for name in NAMES:
        assert tree.ends_node(name, tree.MIN_ENTRIES) == (zlib.crc32(name) % 1024 == 0)
    assert not any(tree.ends_node(name, tree.MIN_ENTRIES - 1) for name in NAMES)
    assert tree.ends_node(NAMES[1], tree.MAX_ENTRIES)


def test_nodes_are_about_as_long_as_they_should_be() -> None:
    """256 and then one in 1024: 1280 entries a node on average."""
    for ends in (
        [recipe.ends_node(recipe.Entry(recipe.DATA, 1, digest), recipe.MIN_ENTRIES) for digest in DIGESTS],
        [tree.ends_node(name, tree.MIN_ENTRIES) for name in NAMES],
    ):
        assert 5 <= sum(ends) <= 45
