# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A live rescue system with real OpenZFS, booted by qemu: its root is an overlay in RAM over a squashfs, as on a rescue medium.

cache    $ASL_CACHE or ~/.cache/asl-rescue    vm/: the root and the boot image, by the hash of their recipe
runs     /run/asl-vm/PROJECT                  keys, disks, sockets and console of one machine; gone after ``down``
"""
