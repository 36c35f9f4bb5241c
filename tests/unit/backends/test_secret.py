# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may read a token: a credential that systemd hands to a unit is taken, a file that others may read is not."""

from __future__ import annotations

import codecs
import os
import shutil
import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from asl.backends.gateway import read_token
from asl.errors import AslError

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="a file of root's that another user reads needs root")
UNIT, STRANGER, GROUP = 61_234, 61_235, 61_236
USER_OBJ, USER, GROUP_OBJ, NAMED_GROUP, MASK, OTHER = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20
NOBODY = 0xFFFF_FFFF


@pytest.fixture
def token() -> Iterator[Path]:
    """A file with a token in a folder that every user may enter, as /run/credentials/UNIT is for its own."""
    folder = Path(tempfile.mkdtemp(dir="/dev/shm"))
    folder.chmod(0o755)
    path = folder / "asl-token"
    path.write_text("asl1.token\n")
    path.chmod(0o400)
    yield path
    shutil.rmtree(folder)


def grant(path: Path, *more: tuple[int, int, int], group: int = 0, other: int = 0) -> None:
    """The access list of a credential, with MORE entries: (tag, permissions, id)."""
    entries = [(USER_OBJ, 4, NOBODY), *more, (GROUP_OBJ, group, NOBODY), (MASK, 4, NOBODY), (OTHER, other, NOBODY)]
    entries.sort(key=lambda entry: entry[0])
    os.setxattr(path, "system.posix_acl_access", struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *each) for each in entries))


def read_as(user: int, path: Path) -> str:
    """What USER gets: the token, or the reason why not."""
    codecs.lookup("ascii")  # the library of this Python may lie where USER cannot load from it any more
    ours, theirs = os.pipe()
    child = os.fork()
    if not child:
        answer = "no answer"
        try:
            os.setgroups([])
            os.setresgid(user, user, user)
            os.setresuid(user, user, user)
            answer = read_token(str(path))
        except AslError as error:
            answer = f"{error.reason}: {error.message}"
        finally:
            os.write(theirs, answer.encode())
            os._exit(0)
    os.close(theirs)
    with os.fdopen(ours) as pipe:
        found = pipe.read()
    os.waitpid(child, 0)
    return found


@needs_root
def test_a_credential_of_a_unit_is_read_by_the_user_it_was_given_to(token: Path) -> None:
    grant(token, (USER, 4, UNIT))
    assert token.stat().st_mode & 0o777 == 0o440, "as systemd leaves it"
    assert read_as(UNIT, token) == "asl1.token"


@needs_root
@pytest.mark.parametrize(
    ("more", "group", "other"),
    [
        ([(USER, 4, UNIT), (USER, 4, STRANGER)], 0, 0),
        ([(USER, 4, UNIT), (NAMED_GROUP, 4, GROUP)], 0, 0),
        ([(USER, 4, UNIT)], 4, 0),
        ([(USER, 4, UNIT)], 0, 4),
    ],
    ids=["another user", "another group", "its own group", "everybody"],
)
def test_a_list_that_lets_others_read_is_refused(token: Path, more: list[tuple[int, int, int]], group: int, other: int) -> None:
    grant(token, *more, group=group, other=other)
    assert read_as(UNIT, token).startswith("TOKEN_FILE: ") and "others may read the token" in read_as(UNIT, token)


@pytest.mark.parametrize("mode", [0o440, 0o404, 0o640, 0o644, 0o660])
def test_a_file_that_a_group_or_everybody_may_read_is_refused(token: Path, mode: int) -> None:
    token.chmod(mode)
    with pytest.raises(AslError) as refused:
        read_token(str(token))
    assert refused.value.reason == "TOKEN_FILE" and "others may read the token" in refused.value.message


@pytest.mark.parametrize("mode", [0o400, 0o600])
def test_a_file_that_only_its_owner_may_read_is_taken(token: Path, mode: int) -> None:
    token.chmod(mode)
    assert read_token(str(token)) == "asl1.token"
