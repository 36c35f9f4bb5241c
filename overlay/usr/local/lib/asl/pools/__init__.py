# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pools of ZFS in and out, in one of two roles that are never mixed.

source   a pool of the crashed machine: read-only, always; under a name of its own, nothing mounted, its devices set read-only
backend  the pool that is to hold the store: writable, approved by GUID, never on a disk with data to be rescued; mounted at local.mount

A pool is named by its GUID, has to be approved by it, and is looked at anew before every import. What is refused, and why, is in
codes.py; what runs is one command line of zpool that is returned with the result.
"""

from __future__ import annotations

from asl.pools.listing import list_pools
from asl.pools.release import export_pools
from asl.pools.request import Request
from asl.pools.work import import_pool

__all__ = ["Request", "export_pools", "import_pool", "list_pools"]
