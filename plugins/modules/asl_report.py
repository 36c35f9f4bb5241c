#!/usr/bin/python
# Copyright: (c) 2026, the asl.rescue contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: asl_report
short_description: Write what became of each host to the control node
version_added: 0.1.0
description:
  - Writes one JSON document and one short text for every host of the play, reached or not, and a summary of all of them.
  - Writes C(report.html), one page that needs no network, with a table of the fleet, and for each host the decision, the sources with
    maps of what was read, losses, figures, verification and what to do next; and C(report.json), the same for machines.
    The form of it is published as C(docs/report.schema.json).
  - Writes the receipts of each snapshot to files of their own, C(HOST.receipt) and C(HOST.receipt-gateway), and where they are signed
    the signature beside them, with C(.sig) behind the name. C(asl-admin prove) and C(ssh-keygen -Y verify) take them as they are.
  - Speaks to no host. It takes what the roles of the collection registered, C(overlay_result), C(preflight_result),
    C(intake_result) and C(verify_result), from the variables of each host.
  - Run it once for a play, with C(run_once).
author:
  - The asl.rescue contributors (!UNKNOWN)
extends_documentation_fragment:
  - asl.rescue._attributes
  - ansible.builtin.action_common_attributes.flow
attributes:
  action:
    support: full
  bypass_host_loop:
    support: none
  check_mode:
    support: full
    details:
      - In check mode nothing is written.
  diff_mode:
    support: none
  idempotent:
    support: full
    details:
      - A report is written every time, and never counts as a change.
options:
  dir:
    description:
      - The folder on the control node that the reports go to. It is made when it is not there.
    type: path
    required: true
  hosts:
    description:
      - The hosts to report on. When unset, all hosts that the play was meant for.
    type: list
    elements: str
  phases:
    description:
      - The phases of the run, in order.
    type: list
    elements: str
    default: [overlay, remote, preflight, pool, intake, verify]
"""

EXAMPLES = r"""
---
- name: Write the reports
  asl.rescue.asl_report:
    dir: reports
  run_once: true
  register: report

- name: Fail for a host that is not safe yet
  ansible.builtin.fail:
    msg: "{{ report.hosts[inventory_hostname].sentence }}"
  when: not report.hosts[inventory_hostname].ok
"""

RETURN = r"""
dir:
  description: The absolute path of the folder with the reports.
  returned: success
  type: str
  sample: /root/reports
page:
  description: The absolute path of the page.
  returned: success
  type: str
  sample: /root/reports/report.html
hosts:
  description: Each host with its C(state), whether it is C(rescued), whether it is C(ok), that is rescued, or in check mode
    without anything in the way, a C(sentence) and what to do C(next).
  returned: success
  type: dict
  sample:
    web07:
      state: rescued
      rescued: true
      ok: true
      sentence: "rescued: snapshot 1 in /mnt/asl/local, 1.0 GiB, every byte"
      next: asl-admin restore gives the data back
rescued:
  description: The hosts that are safe.
  returned: success
  type: list
  elements: str
  sample: [web07]
not_rescued:
  description: The hosts that are not safe yet.
  returned: success
  type: list
  elements: str
  sample: [db01]
summary:
  description: The lines of the summary.
  returned: success
  type: list
  elements: str
  sample: ["web07  rescued: snapshot 1 in /mnt/asl/local, 1.0 GiB, every byte"]
"""

# The work is done by the action plugin of the same name, on the control node.
