# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""From what is missing of a disk to the names of the files that it hits.

disk   a disk in a snapshot, read at any place      fuse  that as a file, whose missing ranges fail
view   the file, mounted where nobody else sees it  extents  where the bytes of a file lie: the file system's own map
renamed a btrfs under another UUID than the real disk has
volume the files of one file system                  find   every file system on the disk
"""
