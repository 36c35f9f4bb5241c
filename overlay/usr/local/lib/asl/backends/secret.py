# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may read a file with a secret in it: its owner, and nobody else whom this process does not know.

systemd hands a credential to a unit with a user of its own as a file of root's (0440) whose access list names that user. The bits of
the group are then no group's, but the mask of the list (acl(5)): what they seem to give to a group, they give to that user.
"""

from __future__ import annotations

import os
import struct

_ACL = "system.posix_acl_access"
# As the kernel hands it out (linux/posix_acl_xattr.h): a version, then a tag, permissions and an id for each entry.
_VERSION, _ENTRY = struct.Struct("<I"), struct.Struct("<HHI")
_USER, _GROUP_OBJ, _GROUP, _MASK, _OTHER = 0x02, 0x04, 0x08, 0x10, 0x20
_OWNER_ALONE = 0o077


def others_may_read(fd: int) -> bool:
    """True when a group, everybody, or a user who is neither the owner, root, nor the one of this process may use the open file FD.
    Raises OSError when it cannot be looked at."""
    if not os.fstat(fd).st_mode & _OWNER_ALONE:
        return False
    try:
        acl = os.getxattr(fd, _ACL)
    except OSError:
        return True  # no list: the bits say what they seem to say
    if len(acl) < _VERSION.size or (len(acl) - _VERSION.size) % _ENTRY.size or _VERSION.unpack_from(acl)[0] != 2:
        return True
    entries = list(_ENTRY.iter_unpack(acl[_VERSION.size :]))
    mask = next((permissions for tag, permissions, _id in entries if tag == _MASK), 0o7)
    return any(_is_another(tag, user) and permissions & (0o7 if tag == _OTHER else mask) for tag, permissions, user in entries)


def _is_another(tag: int, user: int) -> bool:
    """True for an entry of an access list that is about somebody else than the owner, root and the user of this process."""
    return tag in (_OTHER, _GROUP_OBJ, _GROUP) or (tag == _USER and user not in (0, os.geteuid()))
