#!/usr/bin/python
# Copyright: (c) 2026, the asl.rescue contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: asl_verify
short_description: Read a snapshot back from its store and check every digest
version_added: 0.1.0
description:
  - Reads what a snapshot reaches, on the host or wherever its store is at hand, and holds every byte against its digest.
  - Nothing is changed, neither on the host nor in the store.
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
      - It changes nothing in any mode.
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  snapshot:
    description:
      - The id of the snapshot, as RV(asl.rescue.asl_ingest#module:snapshot) has it. When unset, every snapshot of the store.
    type: str
  sample:
    description:
      - Read only this share of the data, in per cent. V(100) reads every byte.
    type: float
    default: 100
seealso:
  - module: asl.rescue.asl_ingest
"""

EXAMPLES = r"""
---
- name: Verify the snapshot that was just sealed
  asl.rescue.asl_verify:
    snapshot: "{{ job.snapshot }}"
    store: /mnt/asl/local
  register: verified

- name: Read one per cent of everything in the store
  asl.rescue.asl_verify:
    sample: 1
"""

RETURN = r"""
ok:
  description: Whether every byte that was read is what was stored. If not, the module fails.
  returned: always, unless the store cannot be read at all
  type: bool
  sample: true
verification:
  description: How much was read.
  returned: always, unless the store cannot be read at all
  type: dict
  contains:
    store:
      description: The store that was read.
      type: str
      sample: /mnt/asl/local
    snapshots:
      description: The ids of the snapshots that were read.
      type: list
      elements: str
      sample: ["1"]
    files:
      description: How many files they hold.
      type: int
      sample: 4711
    artifacts:
      description: How many artifacts were read.
      type: int
      sample: 3066
    artifacts_skipped:
      description: How many artifacts O(sample) left out.
      type: int
      sample: 0
    bytes:
      description: How many bytes were read.
      type: int
      sample: 54365836
    seconds:
      description: How long it took.
      type: float
      sample: 0.452
damaged:
  description: What is damaged, by snapshot, source and path, and in which way.
  returned: always, unless the store cannot be read at all
  type: list
  elements: dict
  sample: []
damaged_omitted:
  description: How much more is damaged than RV(damaged) lists.
  returned: always, unless the store cannot be read at all
  type: int
  sample: 0
reason:
  description: A stable code for what went wrong.
  returned: failure
  type: str
  sample: DAMAGED
hint:
  description: What to do next.
  returned: failure
  type: str
  sample: read the sources again, and look at the store with asl-debug check
rc:
  description: The exit status of the tool.
  returned: failure of the tool
  type: int
  sample: 4
cmd:
  description: The command that was run.
  returned: failure of the tool
  type: list
  elements: str
  sample: [/usr/bin/python3, -B, /usr/local/bin/asl-admin, --json, verify]
stderr:
  description: What the tool said.
  returned: failure of the tool
  type: str
  sample: "asl-admin: /mnt/asl/local holds no store [NOT_A_STORE]"
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.asl.rescue.plugins.module_utils._tool import ENGINE_SPEC, ToolError, finish, settings, store, tools

ARGUMENT_SPEC: dict[str, t.Any] = {"snapshot": {"type": "str"}, "sample": {"type": "float", "default": 100}, **ENGINE_SPEC}


def work(module: AnsibleModule) -> dict[str, t.Any]:
    """Let the tool verify; damage is a failure that names the first of it."""
    snapshot = [module.params["snapshot"]] if module.params["snapshot"] else []
    sample = ["--sample", str(module.params["sample"])] if module.params["sample"] < 100 else []
    with tools(module, carried=True) as tool:
        document = tool.run("asl-admin", "verify", *settings(module), *store(module), *sample, *snapshot)
    damaged = {key: document.pop(key) for key in ("damaged", "damaged_omitted")}
    result: dict[str, t.Any] = {"changed": False, "ok": document.pop("ok"), "verification": document, **damaged}
    if not result["ok"]:
        what = f"snapshot {snapshot[0]}" if snapshot else "the store"
        first = ": ".join(
            str(damaged["damaged"][0].get(key)) for key in ("source", "path", "what", "why") if damaged["damaged"][0].get(key)
        )
        raise ToolError(
            f"{what} is damaged in {len(damaged['damaged']) + damaged['damaged_omitted']} places, the first is {first}",
            **{**result, "reason": "DAMAGED", "hint": "read the sources again, and look at the store with asl-debug check"},
        )
    return result


def main() -> t.NoReturn:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    finish(module, lambda: work(module))


if __name__ == "__main__":
    main()
