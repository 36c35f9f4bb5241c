#!/usr/bin/python
# Copyright: (c) 2026, the asl.rescue contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: asl_overlay
short_description: Lay the ASL overlay on a live root, or take it away
version_added: 0.1.0
description:
  - Lays the tools, the engine, the configuration and the units of ASL on a host that was booted into a live Linux, and makes the
    directories that the overlay contract names.
  - The overlay travels in one bundle, and only when the host needs it. Every file is replaced atomically, the configuration is
    validated before anything is replaced, and an interrupted run is finished by the next one.
  - With O(state=absent) everything that was laid is removed again, with the state the tools made. Files that others put there stay.
author:
  - The asl.rescue contributors (!UNKNOWN)
extends_documentation_fragment:
  - asl.rescue._attributes
  - asl.rescue._carried
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details:
      - Shows configuration, units and tools, and parts of the engine that are replaced; not the files of an engine that is new.
  idempotent:
    support: full
options:
  state:
    description:
      - V(present) lays the overlay, V(absent) removes it.
    type: str
    choices: [present, absent]
    default: present
  conf:
    description:
      - The text of configuration files, by their names in C(/etc/asl), that is V(asl.conf), V(federation.conf) and V(logging.conf).
      - A file that is not named here is left as it is on the host; where there is none, the one in the overlay is laid.
      - Each text is read with the engine's own parser before anything on the host is replaced.
    type: dict
    default: {}
  services:
    description:
      - Whether the units are enabled, and C(asl-intake.service) started, where systemd runs the host.
      - Where there is no systemd, RV(notes) says so, and jobs run as detached processes.
    type: bool
    default: true
  allow_non_live_root:
    description:
      - The overlay is refused on a host whose C(/) lies on a disk, with the reason V(NOT_LIVE_ROOT), since that disk may be the very one
        that is to be rescued. Set this for a single host when you know that its root is not.
    type: bool
    default: false
  force:
    description:
      - Go on although an intake job is running with the tools that would be replaced or removed. The job can be resumed.
      - When V(false), such a run is refused with the reason V(INTAKE_RUNNING).
    type: bool
    default: false
  root:
    description:
      - The root to lay the overlay on, for instance the tree of a live image that is being built.
      - For another root than V(/), no unit is started and O(allow_non_live_root) does not matter.
    type: path
    default: /
notes:
  - On the host Python 3.9 or newer is needed, and nothing else.
seealso:
  - module: asl.rescue.asl_preflight
  - module: asl.rescue.asl_ingest
"""

EXAMPLES = r"""
---
- name: Lay the overlay with a local store
  asl.rescue.asl_overlay:
    conf:
      asl.conf: |
        mode = local
        local.mount = /mnt/asl/local
        domain.id = rescue-domain
  register: overlay

- name: Show what was done
  ansible.builtin.debug:
    var: overlay.actions

- name: Lay the overlay into the tree of a live image
  asl.rescue.asl_overlay:
    root: /srv/image/tree
    services: false

- name: Take the overlay away again
  asl.rescue.asl_overlay:
    state: absent
"""

RETURN = r"""
actions:
  description: What was done, or in check mode would be done, one sentence each, in order.
  returned: success
  type: list
  elements: str
  sample: [create directory /etc/asl, write /usr/local/bin/asl-intake, start asl-intake.service]
digest:
  description: The digest of the overlay that is laid, SHA-256 over its index.
  returned: success and O(state=present)
  type: str
  sample: 93368dba397ddf654bc3edd69ef9ca64dfacd6b5cb823868ccb599f318b86205
kept:
  description: Paths of the contract that were left since something lies in them that was not laid.
  returned: success and O(state=absent)
  type: list
  elements: str
  sample: [/mnt/asl/local]
notes:
  description: What the operator should know, for instance that there is no systemd.
  returned: success
  type: list
  elements: str
  sample: ["systemd does not run /: no unit was started, jobs run as detached processes"]
reason:
  description: A stable code for what went wrong, for instance V(NOT_LIVE_ROOT), V(INTAKE_RUNNING), V(CONFIG_INVALID), V(MOUNTED).
  returned: failure
  type: str
  sample: NOT_LIVE_ROOT
hint:
  description: What to do next.
  returned: failure
  type: str
  sample: boot a live system, or allow this host (allow_non_live_root) when its disk is not one that is to be rescued
rc:
  description: The exit status of the engine.
  returned: failure of the engine
  type: int
  sample: 3
cmd:
  description: The command that was run.
  returned: failure of the engine
  type: list
  elements: str
  sample: [/usr/bin/python3, -B, -m, asl.overlay, lay, --json]
stderr:
  description: What the command said.
  returned: failure of the engine
  type: str
  sample: "overlay: the overlay is laid on a live root only, and / is none: it lies on /dev/sda2 [NOT_LIVE_ROOT]"
details:
  description: What else there is to know, for instance the C(place) in a file, the C(device), or the C(stdout) that was no document.
  returned: failure of the tool, where there is more to tell
  type: dict
  sample: {place: "/etc/asl/asl.conf:3"}
"""

import os
import tempfile
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.asl.rescue.plugins.module_utils._tool import (
    INTERNAL_SPEC,
    NeedsBundle,
    ToolError,
    Tools,
    check_python,
    finish,
    laid_digest,
    unpacked,
)

ARGUMENT_SPEC: dict[str, t.Any] = {
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "conf": {"type": "dict", "default": {}},
    "services": {"type": "bool", "default": True},
    "allow_non_live_root": {"type": "bool", "default": False},
    "force": {"type": "bool", "default": False},
    "root": {"type": "path", "default": "/"},
    **{name: spec for name, spec in INTERNAL_SPEC.items() if name != "_root"},
}


def flags(module: AnsibleModule) -> list[str]:
    """The options as the engine takes them."""
    params = module.params
    return [
        "--root",
        params["root"],
        *(["--check"] if module.check_mode else []),
        *(["--allow-non-live-root"] if params["allow_non_live_root"] else []),
        *([] if params["services"] else ["--no-services"]),
        *(["--force"] if params["force"] else []),
    ]


def lay(module: AnsibleModule, configuration: list[str]) -> dict[str, t.Any]:
    """Lay the bundle that was sent; without one, find out whether anything is to be done at all."""
    diff = ["--diff"] if module._diff else []
    if module.params["_bundle"]:
        with unpacked(module) as folder:
            tools = Tools(module, os.path.join(folder, "root"), carried=True)
            return tools.overlay("lay", "--bundle", folder, *flags(module), *configuration, *diff)
    if laid_digest(module.params["root"]) != module.params["_digest"]:
        raise NeedsBundle
    tools = Tools(module, module.params["root"], carried=False)
    try:
        document = tools.overlay("lay", *flags(module), "--check", *configuration)
    except ToolError as exc:
        if exc.fields["reason"] in ("NOT_LIVE_ROOT", "CONFIG_INVALID"):
            raise
        raise NeedsBundle from exc
    if document["actions"]:
        raise NeedsBundle
    return document


def remove(module: AnsibleModule) -> dict[str, t.Any]:
    """Remove what is laid with its own engine; with the one that is sent, where its own is another or cannot answer any more."""
    if module.params["_bundle"]:
        with unpacked(module) as folder:
            return Tools(module, os.path.join(folder, "root"), carried=True).overlay("remove", "--bundle", folder, *flags(module))
    # The engine is the last that is removed: where it is gone, nothing is left.
    if not os.path.lexists(os.path.join(module.params["root"], "usr/local/lib/asl")):
        return {"changed": False, "actions": [], "kept": [], "notes": []}
    if laid_digest(module.params["root"]) != module.params["_digest"]:
        raise NeedsBundle
    try:
        return Tools(module, module.params["root"], carried=False).overlay("remove", *flags(module))
    except ToolError as exc:
        if exc.fields["reason"] in ("BAD_ANSWER", "NOT_LAID", "INDEX_INVALID", "CONTRACT_INVALID"):
            raise NeedsBundle from exc
        raise


def work(module: AnsibleModule) -> dict[str, t.Any]:
    """Bring the host to the state that is asked for."""
    check_python()
    if module.params["state"] == "absent":
        document = remove(module)
    else:
        with tempfile.TemporaryDirectory(prefix="asl-", dir=module.tmpdir) as folder:
            document = lay(module, write_configuration(module.params["conf"], folder))
    if not document.get("diff"):
        document.pop("diff", None)
    document.pop("check", None)
    return document


def write_configuration(conf: dict[str, str], folder: str) -> list[str]:
    """The texts of O(conf) as files, and the arguments that name them."""
    arguments = []
    for name, text in sorted(conf.items()):
        path = os.path.join(folder, os.path.basename(name))
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        arguments += ["--conf", f"{name}={path}"]
    return arguments


def main() -> t.NoReturn:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    finish(module, lambda: work(module))


if __name__ == "__main__":
    main()
