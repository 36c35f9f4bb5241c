#!/usr/bin/python
# Copyright: (c) 2026, the asl.rescue contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: asl_pool_import
short_description: Import a ZFS pool of a crashed host read-only, or the pool that is to hold the store
version_added: 0.1.0
description:
  - Imports a pool in one of two roles. A V(source) is a pool of the crashed host; it is imported read-only, always, under a name of its
    own, nothing of it is mounted, and its devices are set read-only.
  - The V(backend) is the pool that is to hold the store; it is imported writable, and its dataset is mounted at C(local.mount).
  - A pool is named by its GUID, and has to be approved by it. The labels of all devices are read anew before every import, and what is
    unsafe is refused with a stable RV(reason) and the way out.
  - Never forces a pool out, never repairs one, and never imports one that another system is writing.
author:
  - The asl.rescue contributors (!UNKNOWN)
extends_documentation_fragment:
  - asl.rescue._attributes
  - asl.rescue._carried
  - asl.rescue._engine
attributes:
  check_mode:
    support: full
    details:
      - Everything up to the command is done, and the commands are returned. Whether a dataset or a store has to be made in a pool that is
        not imported yet can only be known afterwards; RV(actions) says so.
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  guid:
    description:
      - The pool, by its GUID as a string of decimal digits. Quote it, since numbers as large as that do not survive YAML and JSON.
      - Needed for O(state=imported). When unset with O(state=exported), every pool that was imported by this module is exported.
    type: str
  role:
    description:
      - What the pool is for.
    type: str
    choices: [source, backend]
    default: source
  state:
    description:
      - Whether the pool is to be there. V(exported) exports it without force, and puts back what was set for it.
    type: str
    choices: [imported, exported]
    default: imported
  approve:
    description:
      - The GUIDs the operator approves, as strings. A backend may also be approved by C(local.approved) in C(asl.conf) or O(settings).
    type: list
    elements: str
    default: []
  force_foreign:
    description:
      - Import the pool also when another host used it last and never exported it, as is the case after a crash. That host must be off.
    type: bool
    default: false
  allow_missing_log:
    description:
      - Import a source without its log device when that is gone. The last seconds of synchronous writes are missing then.
    type: bool
    default: false
  allow_degraded:
    description:
      - Import a backend also when it is degraded. What an intake has acknowledged could be lost with its next device.
    type: bool
    default: false
  txg:
    description:
      - Import a source as of this transaction group. It verifies the whole pool, which takes long for a large one.
    type: int
  devices:
    description:
      - Look for the pool on these devices or image files only, for instance when a cloned disk is attached as well.
    type: list
    elements: path
    default: []
  load_module:
    description:
      - Load the ZFS module when it is not loaded. Units that would import pools by themselves are masked before.
    type: bool
    default: false
  init:
    description:
      - Make the dataset and an empty store in a backend where there are none.
    type: bool
    default: false
  timeout:
    description:
      - How long each command may take, in seconds. One that gives no answer is reported with its process, and is not tried again.
    type: int
    default: 900
seealso:
  - module: asl.rescue.asl_preflight
  - module: asl.rescue.asl_ingest
"""

EXAMPLES = r"""
---
- name: Import the pool of the crashed host, to read it
  asl.rescue.asl_pool_import:
    guid: "12138751487163087474"
    approve: ["12138751487163087474"]
    force_foreign: true
  register: pool

- name: Import the pool for the store, and mount it
  asl.rescue.asl_pool_import:
    guid: "6904329174031207921"
    role: backend
    init: true
    settings:
      local.approved: ["6904329174031207921"]

- name: Let go of every pool that was imported
  asl.rescue.asl_pool_import:
    state: exported
"""

RETURN = r"""
guid:
  description: The GUID of the pool.
  returned: when O(state=imported), unless it failed
  type: str
  sample: "12138751487163087474"
name:
  description: The name of the pool, as its labels have it.
  returned: when O(state=imported), unless it failed
  type: str
  sample: tank
role:
  description: What it was imported as.
  returned: when O(state=imported), unless it failed
  type: str
  sample: source
imported_as:
  description: What ZFS calls the pool while it is imported.
  returned: when O(state=imported), unless it failed
  type: str
  sample: asl_src_a875e4b1a2b3c4f2
read_only:
  description: Whether it is imported read-only.
  returned: when O(state=imported), unless it failed
  type: bool
  sample: true
altroot:
  description: Below which directory its datasets would be mounted; empty in check mode, when it is not imported yet.
  returned: when O(state=imported), unless it failed
  type: str
  sample: /run/asl/src/12138751487163087474
health:
  description: What ZFS says of its health; empty in check mode, when it is not imported yet.
  returned: when O(state=imported), unless it failed
  type: str
  sample: ONLINE
dataset:
  description: The dataset of a backend that holds the store.
  returned: when O(state=imported), unless it failed
  type: str
  sample: rescuepool/asl
mounted_at:
  description: Where that is mounted.
  returned: when O(state=imported), unless it failed
  type: str
  sample: /mnt/asl/local
available:
  description: How many bytes can be written into it.
  returned: when O(state=imported), unless it failed
  type: int
  sample: 824633720832
store_id:
  description: The id of the store in it, empty where there is none.
  returned: when O(state=imported) and O(role=backend), unless it failed
  type: str
  sample: 0f2a3c2d9be64c0e8a5a1f7dd3d1b1a0
members:
  description: The devices of the pool.
  returned: when O(state=imported), unless it failed
  type: list
  elements: str
  sample: [/dev/sda1, /dev/sdb1]
labels:
  description: For a source that was imported just now, the SHA-256 over the four labels of each device, before and after.
  returned: when O(state=imported), unless it failed
  type: dict
  contains:
    before:
      description: By device, before the import.
      type: dict
      sample: {/dev/sda1: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08}
    after:
      description: By device, after it. When they differ the pool is exported at once and the module fails.
      type: dict
      sample: {/dev/sda1: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08}
versions:
  description: The versions of the ZFS module and of the tools, as far as they are known.
  returned: when O(state=imported), unless it failed
  type: dict
  sample: {module: 2.3.9, tools: 2.3.9}
notes:
  description: What is worth knowing of the pool, but no obstacle.
  returned: when O(state=imported), unless it failed
  type: list
  elements: str
  sample: ["tank: devices are missing, but what is there is enough"]
pools:
  description: The pools that were exported, each with C(guid), C(name), C(role), C(exported) and C(labels_unchanged).
  returned: when O(state=exported), unless it failed
  type: list
  elements: dict
  sample: [{guid: "12138751487163087474", name: tank, role: source, exported: true, labels_unchanged: true}]
actions:
  description: What was done, in check mode what would be done.
  returned: unless it failed
  type: list
  elements: str
  sample: [import the pool tank (12138751487163087474) read-only as asl_src_a875e4b1a2b3c4f2]
commands:
  description: The commands that were run for it, in check mode those that would be.
  returned: unless it failed
  type: list
  elements: list
  sample: [[zpool, export, asl_src_a875e4b1a2b3c4f2]]
reason:
  description: A stable code for what was refused or went wrong.
  returned: failure
  type: str
  sample: NOT_APPROVED
hint:
  description: The way out.
  returned: failure
  type: str
  sample: "approve it by its GUID: --approve 12138751487163087474"
rc:
  description: The exit status of the tool, V(3) for what a rule of safety forbids.
  returned: failure of the tool
  type: int
  sample: 3
cmd:
  description: The command that was run.
  returned: failure of the tool
  type: list
  elements: str
  sample: [/usr/bin/python3, -B, /usr/local/bin/asl-admin, --json, pool, import, "12138751487163087474"]
stderr:
  description: What the tool said.
  returned: failure of the tool
  type: str
  sample: "asl-admin: the pool tank (12138751487163087474) is not approved for an import as source [NOT_APPROVED]"
details:
  description: What else there is to know, for instance the C(place) in a file, the C(device), or the C(stdout) that was no document.
  returned: failure of the tool, where there is more to tell
  type: dict
  sample: {place: "/etc/asl/asl.conf:3"}
"""

import json
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.asl.rescue.plugins.module_utils._tool import ENGINE_SPEC, finish, settings, tools

ARGUMENT_SPEC: dict[str, t.Any] = {
    "guid": {"type": "str"},
    "role": {"type": "str", "choices": ["source", "backend"], "default": "source"},
    "state": {"type": "str", "choices": ["imported", "exported"], "default": "imported"},
    "approve": {"type": "list", "elements": "str", "default": []},
    "force_foreign": {"type": "bool", "default": False},
    "allow_missing_log": {"type": "bool", "default": False},
    "allow_degraded": {"type": "bool", "default": False},
    "txg": {"type": "int"},
    "devices": {"type": "list", "elements": "path", "default": []},
    "load_module": {"type": "bool", "default": False},
    "init": {"type": "bool", "default": False},
    "timeout": {"type": "int", "default": 900},
    **ENGINE_SPEC,
}
GATES = ("force_foreign", "allow_missing_log", "allow_degraded", "load_module", "init")


def arguments(params: dict[str, t.Any], check: bool) -> list[str]:
    """The options as the tool takes them."""
    found = ["--timeout", str(params["timeout"]), *(["--check"] if check else [])]
    for guid in params["approve"]:
        found += ["--approve", guid]
    if params["state"] == "exported":
        return ["export", *found, *([params["guid"]] if params["guid"] else ["--all"])]
    found += [f"--{name.replace('_', '-')}" for name in GATES if params[name]]
    found += [word for path in params["devices"] for word in ("--device", path)]
    found += ["--txg", str(params["txg"])] if params["txg"] is not None else []
    return ["import", "--role", params["role"], *found, params["guid"]]


def work(module: AnsibleModule) -> dict[str, t.Any]:
    """Let the tool do it. The states before and after are shown as a diff."""
    # Where nothing is laid, nothing was imported: letting go finds nothing to do, with tools that are carried.
    with tools(module, carried=module.check_mode or module.params["state"] == "exported") as tool:
        words = arguments(module.params, module.check_mode)
        document = tool.run("asl-admin", "pool", words[0], *settings(module), *words[1:])
    states = document.pop("diff", None)
    document.pop("check", None)
    if module._diff and states:
        document["diff"] = {each: json.dumps(state, indent=1, sort_keys=True) + "\n" for each, state in states.items()}
    return document


def main() -> t.NoReturn:
    module = AnsibleModule(
        argument_spec=ARGUMENT_SPEC,
        supports_check_mode=True,
        required_if=[("state", "imported", ["guid"])],
    )
    finish(module, lambda: work(module))


if __name__ == "__main__":
    main()
