#!/usr/bin/python
# Copyright: (c) 2026, the asl.rescue contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: asl_image
short_description: Make files that bring the overlay onto a rescue medium
version_added: 0.1.0
description:
  - Makes, on the control node, an SRM for SystemRescue, a squashfs layer for Debian live, and a tar for any other live system, all with the
    overlay of this collection. A machine that boots with one of them has the tools before anybody reaches it.
  - The same overlay with the same settings gives the same files, bit for bit, with the same version of C(mksquashfs).
  - Speaks to no host.
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
      - In check mode the files are made in memory and compared, and none is written.
  diff_mode:
    support: none
  idempotent:
    support: full
requirements:
  - C(mksquashfs) 4.5 or newer on the control node
options:
  dir:
    description:
      - The folder on the control node that the files go to. It is made when it is not there.
    type: path
    required: true
  machine:
    description:
      - The machine whose C(libasl.so) is taken along. The tools run on others too, slower.
    type: str
    choices: [x86_64, aarch64]
    default: x86_64
  conf:
    description:
      - Files of C(/etc/asl), their names and their text. Files that are not given are as the overlay has them.
      - No file holds a secret. An image is served to whoever asks for it.
    type: dict
    default: {}
  services:
    description:
      - Whether the units start at boot.
    type: bool
    default: true
  boot:
    description:
      - Further small files, by name below O(dir), and their text, such as the settings of SystemRescue that belong to the SRM.
    type: dict
    default: {}
seealso:
  - module: asl.rescue.asl_overlay
"""

EXAMPLES = r"""
---
- name: Make images with a configuration of the site
  asl.rescue.asl_image:
    dir: images
    conf:
      asl.conf: |
        mode = remote
        remote.endpoint = https://asl-backend.example.com
  delegate_to: localhost
  run_once: true
"""

RETURN = r"""
dir:
  description: The absolute path of the folder.
  returned: success
  type: str
  sample: /root/images
digest:
  description: The digest of the overlay in the images, the same that M(asl.rescue.asl_overlay) returns.
  returned: success
  type: str
  sample: 0d4a1185e1f2f6b0f3f94ab7a7b1bb26a0b1b6df0cfa9c6bf2d20ab23f5ad1a7
actions:
  description: What was written, or in check mode would be written.
  returned: success
  type: list
  elements: str
  sample: [write live/asl.squashfs]
files:
  description: Every file by its name below RV(dir), with its size in bytes.
  returned: success
  type: dict
  sample: {live/asl.squashfs: 524288}
reason:
  description: A stable code for what went wrong.
  returned: failure
  type: str
  sample: NO_MKSQUASHFS
hint:
  description: What to do next.
  returned: failure
  type: str
  sample: install squashfs-tools 4.5 or newer
"""

# The work is done by the action plugin of the same name, on the control node.
