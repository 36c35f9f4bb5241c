# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """Options of the modules that ask the engine on the host: the members of the action group C(asl)."""

    DOCUMENTATION = r"""
options:
  settings:
    description:
      - Keys of C(asl.conf) that hold for this call, over what stands in C(/etc/asl/asl.conf).
      - A list becomes one comma-separated value; a key with the value V(null) is left out.
      - No key holds a secret; secrets are files on the host, named by a key such as C(remote.token-file).
    type: dict
    default: {}
  store:
    description:
      - The store to work with, a directory or a URL.
      - When unset, C(ASL_STORE), then the mode that preflight found and C(/etc/asl/asl.conf) decide.
    type: str
  _root:
    description:
      - The root whose tools are asked, V(/) when unset. For tests, not for use in playbooks.
    type: path
notes:
  - The module runs the tools that lie on the host. Where there are none it works, as long as nothing is to change,
    with tools that are carried into Ansible's temporary folder and removed afterwards.
  - On the host Python 3.9 or newer is needed, and nothing else.
"""
