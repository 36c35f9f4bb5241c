# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Crashed hosts to practise on: systemd containers reached over SSH, and disk images that look like after a power cut.

Needs root, because it mounts and attaches loop devices. Nothing outside its own folders, namespace and loop devices is changed.

    cache    $ASL_CACHE or ~/.cache/asl-rescue    images, by the hash of their recipe; may vanish at any time
    runs     /run/asl-rig/PROJECT                 keys, inventory, disks of one rig; gone after ``down``
"""
