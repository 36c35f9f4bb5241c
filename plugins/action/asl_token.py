# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.asl.rescue.plugins.plugin_utils._carry import CarryingAction


class ActionModule(CarryingAction):
    """Runs the module of the same name, and carries the overlay to hosts that need it."""
