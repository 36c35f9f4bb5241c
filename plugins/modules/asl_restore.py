#!/usr/bin/python
# Copyright: (c) 2026, the asl.rescue contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: asl_restore
short_description: Write a snapshot, or a part of it, back to a directory, a file or a device
version_added: 0.1.0
description:
  - Writes what a snapshot holds to where it is wanted, on the host or wherever its store is at hand.
  - What is right already is left alone, so the same task run again changes nothing, and one that was stopped goes on with O(overwrite).
  - Damage in the store and ranges that were never read are listed and passed over; everything else is restored.
  - Nothing is ever written outside of the destination, whatever the snapshot says.
author:
  - The asl.rescue contributors (@asl-rescue)
extends_documentation_fragment:
  - asl.rescue._attributes
  - asl.rescue._carried
  - asl.rescue._engine
attributes:
  check_mode:
    support: full
    details:
      - Names each file, directory and attribute that would change, by looking at the destination as the restore does.
  diff_mode:
    support: full
    details:
      - Shows the names that change, not what is in them.
  idempotent:
    support: full
    details:
      - What the store has lost is written as zeros each time, and is a loss each time.
options:
  snapshot:
    description:
      - The snapshot, by its id, the beginning of its digest (8 characters or more), V(latest), or C(KEY=VALUE) for the newest one with this
        label, such as V(host=web07.example.com), which is how the playbook C(rescue) labels what it reads.
      - In a store that several hosts share V(latest) may be the snapshot of another host.
    type: str
    required: true
  source:
    description:
      - Which source of it, where the snapshot has several, by its number or its name.
    type: str
  path:
    description:
      - Only what is at this path of a tree. It keeps its path below O(to).
    type: str
  to:
    description:
      - Restore a tree below this directory, which is made when it is not there.
    type: path
  file:
    description:
      - Restore a disk or a stream into this file.
    type: path
  device:
    description:
      - Restore a disk onto this block device. One that is in use, or too small, is refused.
      - Ranges that were never read stay as they are there.
    type: path
  serial:
    description:
      - The serial number of O(device), which has to be named where the device holds other data.
    type: str
  overwrite:
    description:
      - Whether what is there and differs is replaced. Nothing beside it is removed.
      - When V(false), a destination that holds something else is refused.
    type: bool
    default: false
  verify:
    description:
      - Whether everything is read again from the destination when it is written.
    type: bool
    default: false
notes:
  - The tools are carried to hosts on which no overlay is laid, for the time of the call.
  - A connection that is lost ends the restore. The same task with O(overwrite=true) goes on.
seealso:
  - module: asl.rescue.asl_verify
"""

EXAMPLES = r"""
---
- name: Get a home directory back
  asl.rescue.asl_restore:
    snapshot: "12"
    path: /home/ada
    to: /srv/restored
    store: /mnt/asl/local

- name: Write a disk onto its replacement
  asl.rescue.asl_restore:
    snapshot: "12"
    source: device:/dev/sda
    device: /dev/disk/by-id/ata-WDC_WD40EFRX_WD-WCC4E1234567
    serial: WD-WCC4E1234567
    overwrite: true
    verify: true
"""

RETURN = r"""
snapshot:
  description: The id of the snapshot.
  returned: success
  type: str
  sample: "12"
source:
  description: The source as it was named when it was read.
  returned: success
  type: str
  sample: fs:/dev/sda2
view:
  description: What has to be known of the way it was seen, for instance that a journal was not replayed. V(null) for nothing.
  returned: success
  type: str
  sample: journal not replayed
destination:
  description: Where it goes.
  returned: success
  type: str
  sample: /srv/restored
actions:
  description: What is done, or in check mode would be done. Empty when all of it is there already.
  returned: success
  type: list
  elements: str
  sample: ["restore /home/ada of fs:/dev/sda2 from snapshot 12 to /srv/restored"]
changes:
  description: The first 1000 names that change, in check mode that would change, and how.
  returned: success
  type: list
  elements: dict
  contains:
    path:
      description: The name, relative to O(to); the whole path for O(file) and O(device).
      type: str
      sample: home/ada/thesis.txt
    what:
      description: V(make), V(replace), or V(attributes) where only owner, mode, time or extended attributes are set.
      type: str
      sample: make
changes_omitted:
  description: How many more names change.
  returned: success
  type: int
  sample: 0
plan:
  description:
    - How much there is, C(directories), C(files), C(bytes), C(damaged) for a tree; bytes of C(data), C(holes), C(unread), C(lost) for a
      disk.
  returned: in check mode
  type: dict
  sample: {directories: 12, files: 345, bytes: 10485760, damaged: 0}
files:
  description: How many files and other names were looked at or written. A disk or a stream counts as one.
  returned: not in check mode
  type: int
  sample: 345
bytes:
  description: How many bytes of content were written or, for a disk, held against what is there.
  returned: not in check mode
  type: int
  sample: 10485760
skipped:
  description: How many of RV(files) had the right content already.
  returned: not in check mode
  type: int
  sample: 0
verified:
  description: Whether everything was read again from the destination.
  returned: not in check mode
  type: bool
  sample: true
losses:
  description: What could not be restored, where, and why. They are warned of as well.
  returned: not in check mode
  type: list
  elements: dict
  sample: [{what: unread, where: "home/ada/mail: 4096 bytes at 8192", why: it could not be read when the snapshot was made}]
losses_omitted:
  description: How many losses there are beyond the ones in RV(losses).
  returned: not in check mode
  type: int
  sample: 0
reason:
  description: A stable code for what went wrong.
  returned: failure
  type: str
  sample: SERIAL_NEEDED
hint:
  description: What to do next.
  returned: failure
  type: str
  sample: --serial WD-WCC4E1234567, when you are sure that it is this disk
rc:
  description: The exit status of the tool.
  returned: failure of the tool
  type: int
  sample: 3
cmd:
  description: The command that was run.
  returned: failure of the tool
  type: list
  elements: str
  sample: [/usr/bin/python3, -B, /usr/local/bin/asl-admin, --json, restore, "12", --device, /dev/sdb]
stderr:
  description: What the tool said.
  returned: failure of the tool
  type: str
  sample: "asl-admin: /dev/sdb holds data, and it was not named [SERIAL_NEEDED]"
details:
  description: What else there is to know, for instance the C(place) in a file, the C(device), or the C(stdout) that was no document.
  returned: failure of the tool, where there is more to tell
  type: dict
  sample: {place: "/etc/asl/asl.conf:3"}
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.asl.rescue.plugins.module_utils._tool import ENGINE_SPEC, finish, settings, store, tools, warn_of_losses

ARGUMENT_SPEC: dict[str, t.Any] = {
    "snapshot": {"type": "str", "required": True},
    "source": {"type": "str"},
    "path": {"type": "str"},
    "to": {"type": "path"},
    "file": {"type": "path"},
    "device": {"type": "path"},
    "serial": {"type": "str"},
    "overwrite": {"type": "bool", "default": False},
    "verify": {"type": "bool", "default": False},
    **ENGINE_SPEC,
}
PLACES = ("to", "file", "device")


def arguments(module: AnsibleModule) -> list[str]:
    """What the tool is asked."""
    params = module.params
    found = [f"--{name}={params[name]}" for name in ("source", "path", *PLACES, "serial") if params[name] is not None]
    found += [f"--{name}" for name in ("overwrite", "verify") if params[name]]
    return [*found, *(["--dry-run"] if module.check_mode else []), "--", params["snapshot"]]


def work(module: AnsibleModule) -> dict[str, t.Any]:
    """Let the tool restore, or say what it would do; losses are warned of."""
    with tools(module, carried=True) as tool:
        result = tool.run("asl-admin", "restore", *settings(module), *store(module), *arguments(module))
    result.pop("dry_run", None)
    warn_of_losses(module, result)
    if module._diff:
        lines = [f"{each['what']} {each['path']}\n" for each in result["changes"]]
        lines += [f"and {result['changes_omitted']} more\n"] if result["changes_omitted"] else []
        result["diff"] = {"prepared": "".join(lines)}
    return result


def main() -> t.NoReturn:
    module = AnsibleModule(
        argument_spec=ARGUMENT_SPEC, supports_check_mode=True, mutually_exclusive=[PLACES], required_one_of=[PLACES],
        required_by={"serial": ["device"], "path": ["to"]},
    )  # fmt: skip
    finish(module, lambda: work(module))


if __name__ == "__main__":
    main()
