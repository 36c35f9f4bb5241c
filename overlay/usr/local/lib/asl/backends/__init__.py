# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a store lies. A backend knows names and bytes, and nothing of what they mean."""
