#!/usr/bin/python
# Copyright: (c) 2026, the asl.rescue contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: asl_preflight
short_description: Find out where an intake could go, without changing anything
version_added: 0.1.0
description:
  - Looks at the host as it is, that is its environment, who already touches its disks, its network and its stores, and says
    whether an intake goes to a local store, to the remote endpoint, or nowhere yet.
  - Only reads. No disk is opened for writing, nothing is mounted or imported, and no tool of ZFS is run.
  - Returns everything it saw, also when it fails.
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
      - Outside of check mode the decision is written to C(/run/asl/mode) and C(/run/asl/preflight.json), where the tools look for it.
        That is no change of the host.
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  fail_on:
    description:
      - What makes the module fail. V(error) and V(warning) mean a finding of that severity or a worse one, V(no_mode) means that
        there is no place for an intake. When empty, it never fails for what it found.
      - A configuration that cannot be read fails in any case.
    type: list
    elements: str
    choices: [error, warning, no_mode]
    default: []
  ignore:
    description:
      - Codes of findings that do not make the module fail, since the operator knows better, for instance V(NOT_RESCUE_ENV).
      - They are returned like all others, and they still count for RV(mode).
    type: list
    elements: str
    default: []
seealso:
  - module: asl.rescue.asl_overlay
  - module: asl.rescue.asl_ingest
"""

EXAMPLES = r"""
---
- name: Find out where the data could go
  asl.rescue.asl_preflight:
  register: preflight

- name: Stop where nothing can be taken in
  asl.rescue.asl_preflight:
    fail_on: [error, no_mode]
    settings:
      mode: local
      local.mount: /mnt/asl/local

- name: Show what was found
  ansible.builtin.debug:
    msg: "{{ preflight.findings | map(attribute='text') }}"
"""

RETURN = r"""
mode:
  description: Where an intake would go, V(local), V(remote) or V(none).
  returned: always, unless the tool itself failed
  type: str
  sample: local
reason:
  description: The stable code of what decided RV(mode); when the module fails, of what it failed for.
  returned: always
  type: str
  sample: LOCAL_READY
findings:
  description: Everything worth saying, the gravest first.
  returned: always, unless the tool itself failed
  type: list
  elements: dict
  contains:
    code:
      description: A stable code.
      type: str
      sample: STORE_READY
    severity:
      description: V(info), V(warning) or V(error).
      type: str
      sample: info
    text:
      description: What was found, in one sentence.
      type: str
      sample: /mnt/asl/local is an initialised store and can be written
    hint:
      description: What to do next, empty when there is nothing to do.
      type: str
      sample: ""
  sample: []
facts:
  description: What was seen, such as the environment, the store, mounts, swap, arrays, pools and the network. Equal hosts have equal facts.
  returned: always, unless the tool itself failed
  type: dict
  sample: {environment: {live: true, why: / is overlay}, swaps: [], writable_mounts: []}
measured:
  description: What was measured and differs from one call to the next, such as free memory and space in bytes.
  returned: always, unless the tool itself failed
  type: dict
  sample: {at: 1795425185, memory_available: 17857974272, store_free: 418680832}
backend:
  description: The GUID of the approved pool that has to be imported before there is a local store; empty when there is nothing to import.
  returned: always, unless the tool itself failed
  type: str
  sample: "6904329174031207921"
rule:
  description: The row of the documented decision table that decided.
  returned: always, unless the tool itself failed
  type: str
  sample: "1"
hint:
  description: What to do next.
  returned: failure
  type: str
  sample: unmount it, or mount it read-only with the option that keeps the journal from being replayed; then run preflight again
rc:
  description: The exit status of the tool.
  returned: failure of the tool
  type: int
  sample: 2
cmd:
  description: The command that was run.
  returned: failure of the tool
  type: list
  elements: str
  sample: [/usr/bin/python3, -B, /usr/local/bin/asl-intake, --json, preflight]
stderr:
  description: What the tool said.
  returned: failure of the tool
  type: str
  sample: "asl-intake: /etc/asl/asl.conf:3: unknown key [CONFIG_INVALID]"
details:
  description: What else there is to know, for instance the C(place) in a file, the C(device), or the C(stdout) that was no document.
  returned: failure of the tool, where there is more to tell
  type: dict
  sample: {place: "/etc/asl/asl.conf:3"}
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.asl.rescue.plugins.module_utils._tool import ENGINE_SPEC, ToolError, finish, settings, tools

ARGUMENT_SPEC: dict[str, t.Any] = {
    "fail_on": {"type": "list", "elements": "str", "choices": ["error", "warning", "no_mode"], "default": []},
    "ignore": {"type": "list", "elements": "str", "default": []},
    **ENGINE_SPEC,
}


def work(module: AnsibleModule) -> dict[str, t.Any]:
    """Let the tool look, and fail for what the operator named, with everything that was seen."""
    with tools(module, carried=True) as tool:
        keep = ["--check"] if module.check_mode or tool.carried else []
        document = tool.run("asl-intake", "preflight", *settings(module), *keep)
    result: dict[str, t.Any] = {
        "changed": False,
        **{key: document[key] for key in ("mode", "reason", "findings", "facts", "measured", "rule", "backend")},
    }
    fail_on = module.params["fail_on"]
    for severity, enough in (("error", {"error", "warning"}), ("warning", {"warning"})):
        found = [each for each in document["findings"] if each["severity"] == severity and each["code"] not in module.params["ignore"]]
        if found and enough.intersection(fail_on):
            raise ToolError(found[0]["text"], **{**result, "reason": found[0]["code"], "hint": found[0]["hint"]})
    if "no_mode" in fail_on and document["mode"] == "none":
        raise ToolError(no_mode(document), **{**result, "hint": hint_of(document)})
    return result


def no_mode(document: dict[str, t.Any]) -> str:
    """The sentence for a host without a place for an intake."""
    texts = [each["text"] for each in document["findings"] if each["code"] == document["reason"]]
    return f"there is no place for an intake: {texts[0] if texts else document['reason']}"


def hint_of(document: dict[str, t.Any]) -> str:
    """What the finding that decided says to do, else what the first finding with advice says."""
    hints = [each["hint"] for each in document["findings"] if each["code"] == document["reason"] and each["hint"]]
    return (hints + [each["hint"] for each in document["findings"] if each["hint"]] + ["see asl-intake preflight on the host"])[0]


def main() -> t.NoReturn:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    finish(module, lambda: work(module))


if __name__ == "__main__":
    main()
