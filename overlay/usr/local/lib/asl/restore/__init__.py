# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Getting it back: a tree into a directory, one run of bytes into a file or onto a device.

ranges   what a content is made of, past damage      sinks       where one run of bytes is written
tree     directories, names, links                   content     a run of bytes, checked or written
predict  what a restore would change                 plan        how much it would write
attributes  owners, modes, xattrs, times             result      what was done, what was lost
chunks   many chunks at once                         targets     what may be overwritten
batches  many files at once                          line        what waits for them, in order
threads  how many, and their end               readback    what was written, read again

What a snapshot says is not trusted: names and links in it may be made to reach out of the destination. Every step goes through
a descriptor of the directory above and follows no link. Damage is listed, and everything else is restored all the same.
"""

from __future__ import annotations

from asl.restore.content import content_changes, restore_content
from asl.restore.plan import plan_content, plan_tree
from asl.restore.predict import tree_changes
from asl.restore.result import RestoreResult
from asl.restore.tree import restore_tree

__all__ = ["RestoreResult", "content_changes", "plan_content", "plan_tree", "restore_content", "restore_tree", "tree_changes"]
