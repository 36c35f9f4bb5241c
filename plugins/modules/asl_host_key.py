#!/usr/bin/python
# Copyright: (c) 2026, the asl.rescue contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: asl_host_key
short_description: Learn the host key of a machine that was booted into a rescue system
version_added: 0.1.0
description:
  - A rescue system makes new host keys at every boot, so the one that is known no longer fits. This asks the machine which keys it offers,
    and learns one when its fingerprint is the one that was read from the console.
  - Works on the control node and does not log in. Your own C(known_hosts) is left alone.
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
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  address:
    description:
      - The address that the machine answers at.
    type: str
    required: true
  port:
    description:
      - The port of its SSH server.
    type: int
    default: 22
  known_hosts:
    description:
      - The file that keys go to.
    type: path
    default: ~/.ssh/known_hosts.rescue
  fingerprint:
    description:
      - The fingerprint that the key has to have, as C(ssh-keygen -lf) prints it on the console of the machine.
    type: str
  trust:
    description:
      - Whether to take whatever key is offered when O(fingerprint) is not given. Only in a network where nobody can stand in between, for
        instance the closed one that machines boot from.
    type: bool
    default: false
"""

EXAMPLES = r"""
---
- name: Learn the key that was read from the console
  asl.rescue.asl_host_key:
    address: 192.0.2.7
    fingerprint: SHA256:nThbg6kXUpJWGl7E1IGOCspRomTxdCARLviKw6E5SY8
"""

RETURN = r"""
offered:
  description: The fingerprints of the keys that the machine offers.
  returned: always
  type: list
  elements: str
  sample: [SHA256:nThbg6kXUpJWGl7E1IGOCspRomTxdCARLviKw6E5SY8]
actions:
  description: What was learned, or in check mode would be. Empty when a known key is offered.
  returned: always
  type: list
  elements: str
  sample: ["learn SHA256:nThbg6kXUpJWGl7E1IGOCspRomTxdCARLviKw6E5SY8 (ssh-ed25519) of 192.0.2.7"]
reason:
  description: A stable code for why nothing was learned.
  returned: failure
  type: str
  sample: HOST_KEY_WRONG
hint:
  description: What to do next.
  returned: failure
  type: str
  sample: read the fingerprint from its console once more; if it is right, somebody stands in between
"""

# The work is done by the action plugin of the same name, on the control node.
