# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change at any time.
"""The options that name an intake: what is read, for which domain, with which labels, and who signs its receipt."""

from __future__ import annotations

import typing as t

from ansible_collections.asl.rescue.plugins.module_utils._media import MEDIA_SPEC, media
from ansible_collections.asl.rescue.plugins.module_utils._tool import ENGINE_SPEC, plain, settings, store

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

REQUEST_SPEC: dict[str, t.Any] = {
    "sources": {"type": "list", "elements": "str", "required": True},
    "domain": {"type": "str"},
    "labels": {"type": "dict", "default": {}},
    "sign": {"type": "path"},
    **MEDIA_SPEC,
    **ENGINE_SPEC,
}


def request(module: AnsibleModule) -> list[str]:
    """They as C(asl-intake submit) takes them, the sources last."""
    params = module.params
    arguments = [*settings(module), *store(module), *media(module)]
    for name in ("domain", "sign"):
        arguments += [f"--{name}", params[name]] if params[name] else []
    for key, value in sorted(params["labels"].items()):
        arguments += ["--label", f"{key}={plain(value)}"]
    return [*arguments, "--", *params["sources"]]
