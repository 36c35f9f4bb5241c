#!/usr/bin/python
# Copyright: (c) 2026, the asl.rescue contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: asl_ingest
short_description: Read sources of a crashed host into an ASL store, as a detached job
version_added: 0.1.0
description:
  - Submits an intake job on the host, or joins the one with the same request that is queued, running or done, and returns how far it is.
  - The job runs detached on the host. A lost connection, a stopped playbook or a killed job loses nothing; the same task run again
    goes on, and sends nothing twice that is stored.
  - A finished result is handed out once. The next call after that starts a new run, which finds an unchanged source unchanged.
  - A crashed disk is only ever read.
author:
  - The asl.rescue contributors (!UNKNOWN)
extends_documentation_fragment:
  - asl.rescue._attributes
  - asl.rescue._carried
  - asl.rescue._engine
  - asl.rescue._media
attributes:
  check_mode:
    support: full
    details:
      - Says what would be read, from where and into which store; nothing is queued, mounted or written.
  diff_mode:
    support: none
  idempotent:
    support: full
    details:
      - An unchanged source gives C(changed=false) and the same RV(digest).
options:
  sources:
    description:
      - What to read, each as V(tree:/path), V(fs:/dev/sda2) (mounted safely by the tool), V(device:/dev/sda), V(zfs:pool/dataset@snapshot)
        (its send stream), V(fs:zfs:pool/dataset@snapshot) (its files), or V(stream:/path). A dataset without a snapshot needs a pool that
        is imported read-only.
    type: list
    elements: str
    required: true
  domain:
    description:
      - The domain the snapshot belongs to. When unset, C(domain.id) of C(asl.conf).
    type: str
  labels:
    description:
      - Words to find the snapshot by, key and value.
    type: dict
    default: {}
  sign:
    description:
      - An SSH key of the host that signs the receipt of the snapshot, a private one without a passphrase, such as
        V(/etc/ssh/ssh_host_ed25519_key). Only its path is passed on. Where it cannot sign, RV(receipts) says why, and nothing fails.
    type: path
  wait:
    description:
      - Whether to wait for the job to end, up to O(wait_timeout). When V(false), the module returns at once.
    type: bool
    default: true
  wait_timeout:
    description:
      - How long to wait, in seconds. A job that is not finished by then goes on, and RV(finished) is V(false); this is no failure.
    type: int
    default: 60
  collect:
    description:
      - Whether the result of a finished job is taken. When V(false) it is shown and kept for the next call.
    type: bool
    default: true
seealso:
  - module: asl.rescue.asl_verify
"""

EXAMPLES = r"""
---
- name: Read the crashed system and wait until it is safe
  asl.rescue.asl_ingest:
    sources: [fs:/dev/sda2]
    labels:
      ticket: INC-4711
    wait_timeout: 30
  register: job
  until: job is failed or job.finished or ansible_check_mode
  retries: 2880
  delay: 0

- name: Start an intake of a whole disk and look after it later
  asl.rescue.asl_ingest:
    sources:
      - device:/dev/sda
    store: /mnt/asl/local
    wait: false
    collect: false
  register: job

- name: Ask a failing disk once more, gently, for what snapshot 12 lacks
  asl.rescue.asl_ingest:
    sources: [device:/dev/sda]
    media: {retry: "12", retries: 3, max_temperature: 55}
"""

RETURN = r"""
job:
  description: The id of the job, a digest of its request.
  returned: success
  type: str
  sample: ad2431af7f3252bf
state:
  description: V(queued), V(running), V(finished) or, in check mode, V(would-run).
  returned: success
  type: str
  sample: running
finished:
  description: Whether the job has ended and its result is part of this answer.
  returned: always
  type: bool
  sample: false
progress:
  description: How far the job is, as the tool last wrote it down. V(null) when it has not begun.
  returned: success
  type: dict
  sample: {phase: reading, source: fs:/dev/sda2, bytes_done: 104857600, bytes_total: 1073741824, rate: 52428800, eta: 18}
actions:
  description: What is done, or in check mode would be done, one sentence for each source. Empty when the store has it already.
  returned: success
  type: list
  elements: str
  sample: ["read fs:/dev/sda2 into /mnt/asl/local (domain rescue-domain)"]
snapshot:
  description: The id of the snapshot in the store.
  returned: when finished
  type: str
  sample: "1"
digest:
  description: The digest of the snapshot's content. Equal content has an equal digest, whatever the host, the time or an interruption.
  returned: when finished
  type: str
  sample: 0d4a1185e1f2f6b0f3f94ab7a7b1bb26a0b1b6df0cfa9c6bf2d20ab23f5ad1a7
domain:
  description: The domain the snapshot belongs to.
  returned: when finished
  type: str
  sample: rescue-domain
sources:
  description: Each source with what was read of it.
  returned: when finished
  type: list
  elements: dict
  contains:
    source:
      description: The source as it was given.
      type: str
      sample: fs:/dev/sda2
    kind:
      description: The kind of source.
      type: str
      sample: fs
    files:
      description: How many files were read.
      type: int
      sample: 4711
    size:
      description: How large the source is, in bytes, holes included.
      type: int
      sample: 1073741824
    bytes_read:
      description: How many bytes were read. A file that has not changed since the last intake is not read again.
      type: int
      sample: 1073741824
    bytes_unread:
      description: How many bytes could not be read. They are recorded as unread, never as zeros.
      type: int
      sample: 0
    root:
      description: The reference of the artifact that holds the source.
      type: str
      sample: 00010d4a1185e1f2f6b0f3f94ab7a7b1bb26a0b1b6df0cfa9c6bf2d20ab23f5ad1a7
    view:
      description: What has to be known of the way it was seen, for instance that a journal was not replayed. V(null) for nothing.
      type: str
      sample: journal not replayed
    details:
      description: What the source is, such as its file system, its UUID and its device.
      type: dict
      sample: {filesystem: ext4, label: root, device: /dev/sda2}
    map:
      description: A disk, an image or a stream at a glance. V(null) for a tree. C(cells) has a letter for every C(cell) bytes of it, the
        worst that is there, V(d) data, V(z) zeros, V(n) not tried, V(u) unread. C(unread) lists ranges as offset and length in bytes,
        C(unread_omitted) counts the ones that are not listed.
      type: dict
      sample: {cell: 65536, cells: ddzzdudd, unread: [[331776, 512]], unread_omitted: 0}
    notes:
      description: What else was seen while it was read.
      type: list
      elements: str
      sample: []
labels:
  description: The labels of the snapshot.
  returned: when finished
  type: dict
  sample: {ticket: INC-4711}
files:
  description: How many files the snapshot holds, of all sources.
  returned: when finished
  type: int
  sample: 4711
files_unchanged:
  description: How many of them had not changed since the last intake and were not read again.
  returned: when finished
  type: int
  sample: 0
size:
  description: How large the sources are, in bytes, holes included.
  returned: when finished
  type: int
  sample: 1073741824
bytes_read:
  description: How many bytes were read.
  returned: when finished
  type: int
  sample: 1073741824
bytes_new:
  description: How many of them the store did not have.
  returned: when finished
  type: int
  sample: 536870912
bytes_duplicate:
  description: How many of them the store had already.
  returned: when finished
  type: int
  sample: 536870912
bytes_stored:
  description: How many bytes the store grew by, after packing.
  returned: when finished
  type: int
  sample: 412316860
bytes_unread:
  description: How many bytes could not be read.
  returned: when finished
  type: int
  sample: 0
losses:
  description: What could not be read, where, and why. The snapshot's receipt lists all of them, this the first.
  returned: when finished
  type: list
  elements: dict
  sample: [{what: /home/a/mail, where: fs:/dev/sda2, why: input/output error}]
losses_omitted:
  description: How many losses there are beyond the ones in RV(losses).
  returned: when finished
  type: int
  sample: 0
seconds:
  description: How long the job took.
  returned: when finished
  type: float
  sample: 63.4
store:
  description: The store that is, or would be, written to.
  returned: when known
  type: str
  sample: /mnt/asl/local
kernel:
  description: What cut and hashed the data, V(libasl), or the slow V(python) where there is no libasl.so for the machine.
  returned: when finished
  type: str
  sample: libasl
zfs_snapshot:
  description:
    - The ZFS snapshot of the dataset the store lies on, made and held when the job was sealed. V(null) where the store lies on no ZFS.
    - When C(held) is V(false), C(error) says why; what was sealed is sealed all the same.
  returned: when finished
  type: dict
  sample: {name: "rescuepool/asl@asl-5f3c9a1e-1", held: true, created: true, with: libzfs_core, error: null}
receipts:
  description:
    - What vouches for the snapshot, to be kept away from the store. C(by) is V(host) or V(gateway), C(text) says what was read, when, by
      which versions, from which device, what could not be read, and the digests. C(signature) is an SSH signature over it, in C(namespace);
      where it is V(null), C(why) says why. C(asl-admin prove) holds a store against it.
  returned: when finished
  type: list
  elements: dict
  sample:
    - {by: host, text: '{"digest":"0d4a…","domain":"rescue-domain"}', signature: null, namespace: receipt@asl.rescue, why: no key was named}
exit_code:
  description: How the job ended, V(0) done or V(1) done with losses.
  returned: when finished
  type: int
  sample: 0
reason:
  description: A stable code for what went wrong.
  returned: failure
  type: str
  sample: NOT_LAID
hint:
  description: What to do next.
  returned: failure
  type: str
  sample: lay it first with asl.rescue.asl_overlay
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
  sample: [/usr/bin/python3, -B, /usr/local/bin/asl-intake, --json, submit, "fs:/dev/sda2"]
stderr:
  description: What the tool said.
  returned: failure of the tool
  type: str
  sample: "asl-intake: /dev/sda2 is mounted read-write [SOURCE_IN_USE]"
details:
  description: What else there is to know, for instance the C(place) in a file, the C(device), or the C(stdout) that was no document.
  returned: failure of the tool, where there is more to tell
  type: dict
  sample: {place: "/etc/asl/asl.conf:3"}
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.asl.rescue.plugins.module_utils._request import REQUEST_SPEC, request
from ansible_collections.asl.rescue.plugins.module_utils._tool import ToolError, Tools, finish, tools, warn_of_losses

ARGUMENT_SPEC: dict[str, t.Any] = {
    "wait": {"type": "bool", "default": True},
    "wait_timeout": {"type": "int", "default": 60},
    "collect": {"type": "bool", "default": True},
    **REQUEST_SPEC,
}
DONE = (0, 1)


def work(module: AnsibleModule) -> dict[str, t.Any]:
    """Submit, wait as asked, and take the result when there is one."""
    params = module.params
    with tools(module, carried=module.check_mode) as tool:
        document = tool.run("asl-intake", "submit", *(["--check"] if module.check_mode else []), *request(module))
        if not module.check_mode:
            if params["wait"] and not document["finished"]:
                document = wait(tool, document["job"], params["wait_timeout"])
            # A failure is always taken: what this call reports is not to be reported again after its cause was mended.
            if document["finished"] and (params["collect"] or failed(document)):
                wait(tool, document["job"], 0, "--collect")
    return outcome(module, document)


def wait(tool: Tools, job: str, timeout: int, *collect: str) -> dict[str, t.Any]:
    """The job after at most so many seconds. A job that has failed is an answer too."""
    try:
        return tool.run("asl-intake", "wait", job, "--timeout", str(timeout), *collect)
    except ToolError as exc:
        if not exc.fields.get("finished"):
            raise
        return exc.fields


def failed(document: dict[str, t.Any]) -> bool:
    """True for a job that ended otherwise than done, or done with losses."""
    return bool(document["finished"]) and (document["result"] or {}).get("exit_code") not in DONE


def outcome(module: AnsibleModule, document: dict[str, t.Any]) -> dict[str, t.Any]:
    """The module's result from the tool's document. A job that failed raises ToolError."""
    result = document.pop("result", None) or {}
    found: dict[str, t.Any] = {**document, "changed": bool(document.get("changed"))}
    if not found["finished"]:
        return found
    if failed({**document, "result": result}):
        message = result.pop("error", None) or "the intake job ended without saying why"
        raise ToolError(f"{', '.join(module.params['sources'])}: {message}", **{**found, **result})
    warn_of_losses(module, result)
    return {**found, **result, "changed": bool(result.get("changed"))}


def main() -> t.NoReturn:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    finish(module, lambda: work(module), finished=False)


if __name__ == "__main__":
    main()
