# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Uploads in the making: one file for each (token, object), grown at its end, hashed while it grows.

A connection adds bytes at the offset where it believes the file ends, as long as it is its turn. Whoever asks for the offset, or begins
to send, takes the turn from whoever had it, in any process: so what a cut connection still had on the way cannot come in behind an
offset that was told, and be sent twice. A stalled connection hinders nobody, and two of them never mix their bytes. While what is whole
is checked and published, whoever asks is told to come again (BUSY): waiting here would take a thread from the others.
What belongs to different tokens is kept apart: nobody can spoil what another sends. A file that nobody adds to for two days is swept.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import time
from collections.abc import Iterator

from asl.backends.posix import failure
from asl.errors import Conflict, Unavailable

FORGOTTEN = 2 * 86400
_PIECE = 1024 * 1024
# Beside each upload: 16 random bytes that say who may add to it.
_TURN = ".turn"


def _lock(fd: int) -> None:
    """Lock the open upload now. Raises Unavailable (BUSY) when somebody else has it: so large a file is published in a second or more."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        what = "another connection is at work on this upload"
        raise Unavailable(what, reason="BUSY", hint="ask again for the offset in a moment") from error


def _take_turn(path: str) -> bytes:
    """Make it nobody else's turn; the mark of whose it is. Only while the upload is locked. Raises OSError."""
    mark = os.urandom(16)
    with open(path + _TURN, "wb") as file:
        file.write(mark)
    return mark


def _whose_turn(path: str) -> bytes:
    with contextlib.suppress(OSError), open(path + _TURN, "rb") as file:
        return file.read()
    return b""


def _named(fd: int, path: str) -> bool:
    """True while PATH is the open file: not one that was finished, and is a block under another name by now."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(fd))
    except FileNotFoundError:
        return False


def wrong_offset(end: int) -> Conflict:
    """The error for an upload that does not begin where the last one ended."""
    return Conflict(
        f"the upload goes on at {end}", reason="UPLOAD_OFFSET", hint="send from Upload-Offset on", offset=end, header_Upload_Offset=end
    )


class Spool:
    """The folder of the uploads. Any number of processes may share it."""

    def __init__(self, folder: str, space: int = 0) -> None:
        self.folder, self._space = folder, space
        try:
            os.makedirs(folder, mode=0o700, exist_ok=True)
        except OSError as error:
            raise failure(f"{folder}: cannot keep uploads there", error) from error

    def path(self, owner: str, kind: str, name: str) -> str:
        """The file of an upload. OWNER is the id of a token, NAME 64 hex characters."""
        return os.path.join(self.folder, f"{kind}-{owner}-{name}")

    def offset(self, path: str) -> int:
        """How many bytes of the upload are there. Whoever was adding to it is too late from here on. Raises Unavailable (BUSY)."""
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return 0
        except OSError as error:
            raise failure("cannot look at the upload", error) from error
        try:
            _lock(fd)  # let go when it is closed
            _take_turn(path)
            return os.fstat(fd).st_size
        except OSError as error:
            raise failure("cannot look at the upload", error) from error
        finally:
            os.close(fd)

    def check_space(self) -> None:
        """Refuse a new upload when the unfinished ones take all the room they may. Raises Unavailable (QUOTA)."""
        if self._space and sum(entry.stat().st_size for entry in os.scandir(self.folder)) >= self._space:
            raise Unavailable("unfinished uploads take all the room they may have", reason="QUOTA", hint="try again later")

    def drop(self, path: str) -> None:
        """Forget an upload."""
        for each in (path, path + _TURN):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(each)

    def sweep(self) -> int:
        """Remove what nobody goes on with; the number."""
        removed = 0
        for entry in os.scandir(self.folder):
            with contextlib.suppress(OSError):
                if time.time() - entry.stat().st_mtime > FORGOTTEN:
                    os.unlink(entry.path)
                    removed += 1
        return removed


class Upload:
    """One connection that adds to an upload from OFFSET on. Blocking: to be used in threads, one at a time. Raises Conflict
    (UPLOAD_OFFSET), Unavailable (BUSY)."""

    def __init__(self, path: str, offset: int) -> None:
        self.path, self.at = path, offset
        self.hasher = hashlib.sha256()
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | (0 if offset else os.O_CREAT), 0o600)
        except FileNotFoundError as error:
            raise wrong_offset(0) from error
        except OSError as error:
            raise failure("cannot keep the upload", error) from error
        try:
            _lock(self._fd)
            try:
                named = _named(self._fd, path)
                end = os.fstat(self._fd).st_size if named else 0
                if not named or end != offset:
                    raise wrong_offset(end)
                self._turn = _take_turn(path)
            finally:
                fcntl.flock(self._fd, fcntl.LOCK_UN)
            self._hash_what_is_there(offset)
        except BaseException:
            self.close()
            raise

    def _hash_what_is_there(self, size: int) -> None:
        done = 0
        while done < size:
            piece = os.pread(self._fd, min(_PIECE, size - done), done)
            if not piece:
                raise wrong_offset(done)
            self.hasher.update(piece)
            done += len(piece)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Nobody else adds to it, or asks how far it has come, until this is left: for writing, and while what is whole is checked and
        published. Raises Conflict when it is another connection's turn, Unavailable when there is no room."""
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX)
            try:
                end = os.fstat(self._fd).st_size
                if end != self.at or not _named(self._fd, self.path) or _whose_turn(self.path) != self._turn:
                    raise wrong_offset(end)
                yield
            finally:
                fcntl.flock(self._fd, fcntl.LOCK_UN)
        except OSError as error:
            raise failure("cannot keep the upload", error) from error

    def write(self, pieces: list[bytes]) -> None:
        """Add PIECES. Raises as held()."""
        with self.held():
            for piece in pieces:
                view = memoryview(piece)
                while view:
                    view = view[os.pwrite(self._fd, view, self.at + len(piece) - len(view)) :]
                self.at += len(piece)
        for piece in pieces:
            self.hasher.update(piece)

    def sync(self) -> None:
        """Make the bytes durable."""
        try:
            os.fsync(self._fd)
        except OSError as error:
            raise failure("cannot keep the upload", error) from error

    def close(self) -> None:
        """Let go of the file; what was added stays."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
