#!/usr/bin/python
# Copyright: (c) 2026, the asl.rescue contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: asl_verify
short_description: Read a snapshot back from its store and check every digest, or hold its source against it
version_added: 0.1.0
description:
  - Reads what a snapshot reaches, on the host or wherever its store is at hand, and holds every byte against its digest.
  - With O(source), reads the source again instead, and holds every byte, name and attribute of it against the snapshot. What the snapshot
    lacks, such as bad sectors, is not asked for again.
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
      - The id of the snapshot, as RV(asl.rescue.asl_ingest#module:snapshot) has it, its digest, V(latest), or C(KEY=VALUE) for the newest
        one with this label. When unset, every snapshot of the store.
    type: str
  sample:
    description:
      - Read only this share of the data, in per cent. V(100) reads every byte.
    type: float
    default: 100
  source:
    description:
      - Hold the source against the snapshot. V(all) reads every source of it, a number or the name of one reads that. Any other source,
        such as V(device:/dev/sdc), is where the snapshot's only one of its kind is now.
      - Without O(snapshot), the newest one is taken. O(sample) does not go with it.
    type: str
  config:
    description:
      - A file on the host that is read in the place of C(/etc/asl/asl.conf). A C(federation.conf) beside it goes before the other one,
        so it names the domain and its peers.
      - On a gateway of several domains the role P(asl.rescue.gateway#role) keeps one for each, V(/etc/asl-gateway/domains/DOMAIN/asl.conf).
    type: path
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

- name: Read back on a gateway what lies in one of its domains, and what that domain admits from its peers
  asl.rescue.asl_verify:
    store: /srv/asl/site-b
    config: /etc/asl-gateway/domains/site-b/asl.conf

- name: Make sure that the disk still is what the snapshot says, before it is given away
  asl.rescue.asl_verify:
    snapshot: "{{ job.snapshot }}"
    source: all
"""

RETURN = r"""
ok:
  description: Whether every byte that was read is what was stored, or with O(source), whether nothing differs. If not, the module fails.
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
      returned: when O(source) is not set
      type: list
      elements: str
      sample: ["1"]
    snapshot:
      description: The id of the snapshot.
      returned: when O(source) is set
      type: str
      sample: "1"
    digest:
      description: The digest of its content.
      returned: when O(source) is set
      type: str
      sample: 0d4a1185e1f2f6b0f3f94ab7a7b1bb26a0b1b6df0cfa9c6bf2d20ab23f5ad1a7
    sources:
      description: Each source as it was called then (C(source)) and as it was read now (C(read)), how many files and bytes of it are equal,
        how many bytes the snapshot lacks (C(bytes_unread)), and how many the source does not give any more (C(bytes_unreadable)).
      returned: when O(source) is set
      type: list
      elements: dict
      sample:
        - {source: "device:/dev/sda", read: "device:/dev/sdc", kind: device, files: 1, bytes: 1073741312, bytes_unread: 512,
           bytes_unreadable: 0, notes: []}
    complete:
      description: Whether everything could be compared.
      returned: when O(source) is set
      type: bool
      sample: false
    files:
      description: How many files they hold.
      returned: when O(source) is not set
      type: int
      sample: 4711
    artifacts:
      description: How many artifacts were read.
      returned: when O(source) is not set
      type: int
      sample: 3066
    artifacts_skipped:
      description: How many artifacts O(sample) left out.
      returned: when O(source) is not set
      type: int
      sample: 0
    bytes:
      description: How many bytes were read.
      returned: when O(source) is not set
      type: int
      sample: 54365836
    seconds:
      description: How long it took.
      type: float
      sample: 0.452
damaged:
  description: What is damaged, by snapshot, source and path, and in which way.
  returned: when O(source) is not set, unless the store cannot be read at all
  type: list
  elements: dict
  sample: []
damaged_omitted:
  description: How much more is damaged than RV(damaged) lists.
  returned: when O(source) is not set, unless the store cannot be read at all
  type: int
  sample: 0
differences:
  description: What is another thing in the source, by name. C(what) is V(changed), V(vanished) or V(new); C(fields) says what changed, and
    C(ranges) where, as offset and length in bytes.
  returned: when O(source) is set
  type: list
  elements: dict
  sample:
    - {source: "tree:/mnt/crashed", path: etc/hosts, what: changed, fields: [content, mtime], ranges: [[0, 221]], ranges_omitted: 0,
       why: it holds other bytes}
differences_omitted:
  description: How many differences there are beyond RV(differences).
  returned: when O(source) is set
  type: int
  sample: 0
not_compared:
  description: What could not be compared. C(what) is V(unread) for what the snapshot lacks, V(unreadable) for what the source does not give
    any more, V(damaged) for what the store cannot say.
  returned: when O(source) is set
  type: list
  elements: dict
  sample:
    - {source: "device:/dev/sda", path: "", what: unread, ranges: [[331776, 512]], ranges_omitted: 0,
       why: "it is not in the snapshot, and was not asked for again"}
not_compared_omitted:
  description: How many there are beyond RV(not_compared).
  returned: when O(source) is set
  type: int
  sample: 0
not_compared_damaged:
  description: How many of all these are V(damaged). They are the fault of the store, and no difference of the source.
  returned: when O(source) is set
  type: int
  sample: 0
reason:
  description: A stable code for what went wrong. V(SOURCE_DIFFERS) when the source is another one, V(DAMAGED) when the store is damaged.
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
details:
  description: What else there is to know, for instance the C(place) in a file, the C(device), or the C(stdout) that was no document.
  returned: failure of the tool, where there is more to tell
  type: dict
  sample: {place: "/etc/asl/asl.conf:3"}
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.asl.rescue.plugins.module_utils._tool import (
    ENGINE_SPEC,
    ToolError,
    counted,
    finish,
    first_of,
    settings,
    store,
    tools,
)

ARGUMENT_SPEC: dict[str, t.Any] = {
    "snapshot": {"type": "str"},
    "sample": {"type": "float", "default": 100},
    "source": {"type": "str"},
    "config": {"type": "path"},
    **ENGINE_SPEC,
}
LISTS = (
    "damaged", "damaged_omitted", "differences", "differences_omitted", "not_compared", "not_compared_omitted", "not_compared_damaged",
)  # fmt: skip
HINT_DAMAGED = "read the sources again, and look at the store with asl-debug check"


def work(module: AnsibleModule) -> dict[str, t.Any]:
    """Let the tool verify; damage, and a source that is another one, are failures that name the first of it."""
    snapshot, source, config = (module.params[name] for name in ("snapshot", "source", "config"))
    words = ["--sample", str(module.params["sample"])] if module.params["sample"] < 100 else []
    words += [snapshot] if snapshot else []
    # The last word: what follows it would be taken for its value.
    words += [] if source is None else ["--source"] if source == "all" else [f"--source={source}"]
    if source is not None and not snapshot:
        words.insert(0, "latest")
    with tools(module, carried=True) as tool:
        read = ["--config", config] if config else []
        document = tool.run("asl-admin", *read, "verify", *settings(module), *store(module), *words)
    lists = {key: document.pop(key) for key in LISTS if key in document}
    result: dict[str, t.Any] = {"changed": False, "ok": document.pop("ok"), "verification": document, **lists}
    if not result["ok"]:
        if source is None:
            raise damaged(result, f"snapshot {snapshot}" if snapshot else "the store")
        raise silent(result) if result["not_compared_damaged"] else differs(result)
    if lists.get("not_compared"):
        module.warn(f"{counted(lists, 'not_compared')} could not be compared, the first is {first_of(lists['not_compared'])}")
    return result


def damaged(result: dict[str, t.Any], what: str) -> ToolError:
    """The failure that names the first damage."""
    message = f"{what} is damaged in {counted(result, 'damaged')} places, the first is {first_of(result['damaged'])}"
    return ToolError(message, **{**result, "reason": "DAMAGED", "hint": HINT_DAMAGED})


def silent(result: dict[str, t.Any]) -> ToolError:
    """The failure of a store that cannot say what was there: its own damage, which is no difference. What does differ is said behind it."""
    store = result["verification"]["store"]
    found = [each for each in result["not_compared"] if each["what"] == "damaged"]
    message = f"the store {store} is damaged and cannot say what was there in {result['not_compared_damaged']} places"
    if found:  # it may lie beyond what is listed
        message += f", the first is {first_of(found)}"
    if result["differences"]:
        message += f"; besides, {differences(result)}"
    return ToolError(message, **{**result, "reason": "DAMAGED", "hint": HINT_DAMAGED})


def differs(result: dict[str, t.Any]) -> ToolError:
    """The failure that names the first difference."""
    hint = "take a new snapshot; find out who writes to it, if it is a disk that nobody may write to"
    return ToolError(differences(result), **{**result, "reason": "SOURCE_DIFFERS", "hint": hint})


def differences(result: dict[str, t.Any]) -> str:
    """How many there are, and the first."""
    return f"the source is not as it was in {counted(result, 'differences')} places, the first is {first_of(result['differences'])}"


def main() -> t.NoReturn:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    finish(module, lambda: work(module))


if __name__ == "__main__":
    main()
