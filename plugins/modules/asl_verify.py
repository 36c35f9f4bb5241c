#!/usr/bin/python
# Copyright: (c) 2026, the asl.rescue contributors
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
  - The asl.rescue contributors (@asl-rescue)
extends_documentation_fragment:
  - asl.rescue._attributes
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
    type: int
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
  description: Whether every byte that was read is what was stored. A fault fails the module.
  returned: always, unless the store cannot be read at all
  type: bool
  sample: true
verification:
  description: What the tool says of the verification, such as how many snapshots, artifacts and bytes were read.
  returned: success
  type: dict
  sample: {ok: true, snapshots: 1, artifacts: 512, bytes: 1073741824}
faults:
  description: What is wrong, each naming its object.
  returned: always, unless the store cannot be read at all
  type: list
  elements: dict
  sample: []
reason:
  description: A stable code for what went wrong.
  returned: failure
  type: str
  sample: DAMAGED
hint:
  description: What to do next.
  returned: failure
  type: str
  sample: "look at the store with asl-debug check, and read the sources again"
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

ARGUMENT_SPEC: dict[str, t.Any] = {"snapshot": {"type": "str"}, "sample": {"type": "int", "default": 100}, **ENGINE_SPEC}


def work(module: AnsibleModule) -> dict[str, t.Any]:
    """Let the tool verify; faults are a failure that names the first of them."""
    snapshot = [module.params["snapshot"]] if module.params["snapshot"] else []
    with tools(module, carried=True) as tool:
        document = tool.run("asl-admin", "verify", *settings(module), *store(module), "--sample", str(module.params["sample"]), *snapshot)
    faults = document.get("faults") or []
    if not document.get("ok"):
        what = f"snapshot {snapshot[0]}" if snapshot else "the store"
        first = str(faults[0].get("text") or faults[0]) if faults else "the tool does not say where"
        raise ToolError(
            f"{what} is damaged: {len(faults)} faults, the first is {first}",
            reason="DAMAGED",
            hint="look at the store with asl-debug check, and read the sources again",
            ok=False,
            faults=faults,
        )
    return {"changed": False, "ok": True, "faults": [], "verification": document}


def main() -> t.NoReturn:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    finish(module, lambda: work(module))


if __name__ == "__main__":
    main()
