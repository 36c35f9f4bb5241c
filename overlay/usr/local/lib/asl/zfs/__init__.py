# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ZFS is asked for once its kernel module is in: what is imported, what a dataset is, a stream, a snapshot that is held.

ask    properties of pools and datasets; nothing here ever loads the module
core   libzfs_core through the distribution's python3-pyzfs, as a program of its own
keep   a snapshot of the dataset a store lies on, held
"""
