# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change at any time.
"""The option O(media): how failing disks are read."""

from __future__ import annotations

import typing as t

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

# See the documentation fragment _media. What is unset is the engine's to decide.
_MEDIA_TYPES = {
    "path": ("map", "domain_map"), "str": ("retry", "max_unread"), "bool": ("skip_free", "scrape", "restart", "name_files"),
    "int": ("retries", "read_deadline", "max_temperature", "max_errors", "max_error_rate"),
}  # fmt: skip
MEDIA_SPEC: dict[str, t.Any] = {
    "media": {"type": "dict", "options": {name: {"type": kind} for kind, names in _MEDIA_TYPES.items() for name in names}}
}


def media(module: AnsibleModule) -> list[str]:
    """O(media) as the tools take it."""
    arguments: list[str] = []
    for name, value in sorted((module.params["media"] or {}).items()):
        if name == "scrape":
            arguments += ["--no-scrape"] if value is False else []
        elif isinstance(value, bool):
            arguments += ["--" + name.replace("_", "-")] if value else []
        elif value is not None:
            arguments += ["--" + name.replace("_", "-"), str(value)]
    return arguments
