# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sphinx's settings for the site that ``make docs`` builds. Nothing is fetched, neither while it is built nor when it is read."""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes

project = title = html_title = html_short_title = "asl.rescue"
copyright = "the asl.rescue contributors"

extensions = ["myst_parser", "sphinx_antsibull_ext"]
source_suffix = {".rst": "restructuredtext", ".md": "markdown"}
# Headings are targets as on the pages of a forge: page.md#a-heading.
myst_heading_anchors = 4

highlight_language = "YAML+Jinja"
pygments_style = "ansible"
html_theme = "furo"
html_show_sphinx = False
html_copy_source = False
html_use_index = False

# What antsibull-docs refers to in Ansible's own documentation. Sphinx would ask the network for a list of it at every build.
ANSIBLE = "https://docs.ansible.com/projects/ansible/latest"
ELSEWHERE = {
    "action_plugins": "plugins/action.html",
    "ansible_collections.ansible.builtin.default_callback": "collections/ansible/builtin/default_callback.html",
    "ansible_configuration_settings": "reference_appendices/config.html",
    "callback_plugins": "plugins/callback.html",
    "common_return_values": "reference_appendices/common_return_values.html",
}


def elsewhere(_app: Any, _env: Any, reference: Any, text: Any) -> Any:
    """A link for a REFERENCE that no page of the site has; None, which is a warning, for one that Ansible does not have either."""
    target = reference["reftarget"]
    page = ELSEWHERE.get(target)
    if reference["reftype"] == "envvar" and target.startswith("ANSIBLE_"):
        page = f"reference_appendices/config.html#envvar-{target}"
    return nodes.reference("", "", text, refuri=f"{ANSIBLE}/{page}", internal=False) if page else None


def without_contents(_app: Any, _name: str, source: list[str]) -> None:
    """Take the list of contents out of a page that antsibull-docs made: the theme has its own, and says so in red in the place of it."""
    source[0] = re.sub(r"^\.\. contents::\n(?:[ ]+.*\n)*", "", source[0], flags=re.MULTILINE)


def setup(app: Any) -> None:
    """Called by Sphinx."""
    app.connect("missing-reference", elsewhere)
    app.connect("source-read", without_contents)
