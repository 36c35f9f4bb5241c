# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """What the action plugins of the collection tell the modules."""

    DOCUMENTATION = r"""
options:
  _bundle:
    description:
      - Where the action plugin put the tools it carried. Not for use in playbooks.
    type: path
  _digest:
    description:
      - The digest of the overlay in the collection on the control node. Set by the action plugin, not for use in playbooks.
    type: str
"""
