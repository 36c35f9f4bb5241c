# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`zfs:pool/dataset@snapshot`, and `zfs:pool/dataset` on a pool that is imported read-only: the stream of `zfs send`, whole.

`asl-admin cat SNAPSHOT | zfs receive …` makes the dataset again. The stream is that of `zfs send -L -e -c`: blocks as they lie on
disk, so that it depends on nothing but the snapshot and the name its pool is imported by; for an encrypted dataset it is
`zfs send -w`, whether its key is loaded or not. Properties are not in it, for a receive must not mount anything over the rescue
system: the receipt has them.
"""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import tempfile
from contextlib import suppress
from types import TracebackType
from typing import IO, Any, Optional

from asl import system
from asl.errors import Unavailable, Usage
from asl.sources.base import DATA, READ_SIZE, Content, Piece, Pieces, Source, why
from asl.sources.dataset import Dataset, find, need_still
from asl.sources.reader import aligned_buffer
from asl.zfs import core, stream

F_SETPIPE_SZ = 1031  # linux/fcntl.h; Python has a name for it from 3.10 on
PLAIN = ("large_blocks", "embedded_data", "compress")
_OPTIONS = {"large_blocks": "-L", "embedded_data": "-e", "compress": "-c", "raw": "-w"}
RAW_VIEW = "raw: blocks stay encrypted"


class ZfsSource(Source):
    """The send stream of a snapshot, or of the head of a dataset nothing can write to."""

    kind = "zfs"

    def __init__(self, spec: str, name: str) -> None:
        super().__init__(spec)
        self.name = name
        self._dataset: Optional[Dataset] = None
        self._stream: Optional[_Stream] = None

    def __enter__(self) -> ZfsSource:
        """Find it. Raises Unavailable where ZFS, the pool or the dataset is not there, Refused for a head that may change."""
        found = find(self.spec, self.name)
        view = need_still(self.spec, found, f"name a snapshot: {self.spec}@NAME")
        if found.get("type") not in ("filesystem", "volume", "snapshot"):
            raise Usage(f"{self.spec} is a {found.get('type')}, which has no stream", reason="SOURCE_KIND")
        if found.encrypted:
            view = RAW_VIEW if view is None else f"{RAW_VIEW}; {view}"
        if view and not found.is_snapshot:
            self.notes.append(f"{self.spec}: synchronous writes of the last seconds that were in the intent log only are not in it")
        if not found.pool_read_only:
            self.notes.append(f"{self.spec}: its pool is imported writable; the snapshot itself does not change")
        self._dataset, self.view = found, view
        return self

    def __exit__(self, _type: Optional[type[BaseException]], _error: Optional[BaseException], _traceback: Optional[TracebackType]) -> None:
        if self._stream is not None:
            self._stream.stop()
        self._stream = None

    @property
    def flags(self) -> tuple[str, ...]:
        """How it is sent, in the words of lzc_send."""
        return ("raw",) if self._found.encrypted else PLAIN

    @property
    def _found(self) -> Dataset:
        if self._dataset is None:
            raise Usage(f"{self.spec} has not been opened", reason="NOT_OPEN")
        return self._dataset

    def details(self) -> dict[str, Any]:
        """The dataset, its own properties, how it was sent, and what the stream says of itself."""
        told: dict[str, Any] = {**self._found.details(), "flags": [_OPTIONS[flag] for flag in self.flags]}
        head = self._stream.begin if self._stream else None
        if head is not None:
            told.update(stream_name=head.name, stream_guid=str(head.guid), features=list(head.features))
        return told

    def estimate(self) -> Optional[int]:
        """What zfs thinks the stream will come to; it does not think about heads, whose blocks are counted instead."""
        if not self._found.is_snapshot:
            referenced = self._found.get("referenced")
            return int(referenced) if referenced.isdigit() else None
        done = system.run(["zfs", "send", "-nP", *(_OPTIONS[flag] for flag in self.flags), self._found.name], 60.0)
        for line in done.stdout.decode("utf-8", "replace").splitlines():
            word, _tab, number = line.partition("\t")
            if word == "size" and number.isdigit():
                return int(number)
        return None

    def content(self) -> Content:
        """All of the stream."""
        self._stream = _Stream(self, self._found.name, self.flags)
        return self._stream


class _Stream:
    """One process that sends. `begin` is the stream's first record, once that was read."""

    size: Optional[int] = None

    def __init__(self, source: ZfsSource, name: str, flags: tuple[str, ...]) -> None:
        self._source, self._name, self._flags = source, name, flags
        self._process: Optional[subprocess.Popen[bytes]] = None
        self.begin: Optional[stream.Begin] = None

    def pieces(self) -> Pieces:
        """Pieces as they come. A stream cannot go on behind an error: the loss says where it broke.

        Raises Unavailable where ZFS gives nothing of it at all."""
        with tempfile.TemporaryFile() as words:
            at, tail = 0, b""
            process = self._start(words)
            buffer = aligned_buffer()
            assert process.stdout is not None
            while True:
                count = _fill(process.stdout.fileno(), buffer)
                if not count:
                    break
                if at == 0:
                    self.begin = stream.begin(bytes(buffer[: stream.RECORD]))
                tail = (tail + bytes(buffer[max(0, count - stream.RECORD) : count]))[-stream.RECORD :]
                at += count
                yield Piece(DATA, count, buffer[:count])
            status = process.wait()
            words.seek(0)
            self._judge(at, tail, status, " ".join(words.read(4096).decode("utf-8", "replace").split()))

    def _judge(self, size: int, tail: bytes, status: int, said: str) -> None:
        """List it as a loss unless the stream is whole, from its first to its last record."""
        source = self._source
        reason = said or f"zfs send ended with status {status} and said nothing"
        if size == 0:
            hint = f"fs:{source.spec} reads its files"
            raise Unavailable(f"{source.spec} cannot be sent: {reason}", reason="SOURCE_UNREADABLE", hint=hint)
        whole = self.begin is not None and stream.ends(tail, self.begin.guid)
        if status == 0 and whole:
            return
        source.lose("unread", f"{source.spec}: everything behind byte {size}", reason if status else "the stream has no end")
        source.notes.append(f"{source.spec}: the stream is not whole, zfs receive will refuse it; fs:{source.spec} reads what can be read")

    def _start(self, words: IO[bytes]) -> subprocess.Popen[bytes]:
        argv = ["zfs", "send", *(_OPTIONS[flag] for flag in self._flags), self._name]
        if core.present():
            argv = core.command("send", self._name, *self._flags)
        tool = system.find_tool(argv[0])
        if tool is None:
            raise Unavailable(f"cannot run {argv[0]}: there is no such tool on this system", reason="TOOL_MISSING", tool=argv[0])
        process = subprocess.Popen(
            [tool, *argv[1:]],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=words,
            env={"PATH": system.SEARCH, "LC_ALL": "C"},
            start_new_session=True,
        )
        with suppress(OSError):  # a limit on pipes; then it goes in smaller steps
            fcntl.fcntl(process.stdout, F_SETPIPE_SZ, READ_SIZE)  # type: ignore[arg-type]
        self._process = process
        return process

    def stop(self) -> None:
        """End the process where the reader stopped half way; one that hangs in the kernel is left behind."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.stdout is not None:
            process.stdout.close()
        if process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=system.GRACE)


def _fill(fd: int, buffer: memoryview) -> int:
    """Read until BUFFER is full or the stream ends, so that pieces do not depend on how the writer writes."""
    at = 0
    while at < len(buffer):
        try:
            count = os.readv(fd, [buffer[at:]])
        except OSError as error:
            raise Unavailable(f"the stream cannot be read: {why(error)}", reason="SOURCE_UNREADABLE") from error
        if not count:
            break
        at += count
    return at
