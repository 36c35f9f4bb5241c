# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """The attributes every module of the collection states."""

    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    description: Can run in C(check_mode) and say what it would do without changing anything.
  diff_mode:
    description: Returns what changed, or would change, when run in diff mode.
  idempotent:
    description: Run again with the same options it finds nothing left to do.
  platform:
    description: The systems the module can work on.
    support: full
    platforms: Linux
  async:
    description: Supports use of the C(async) keyword.
    support: none
    details:
      - The module carries the tools to hosts that do not have them, and that takes more than one step.
      - Long work runs detached on the host anyway, see M(asl.rescue.asl_ingest).
"""
