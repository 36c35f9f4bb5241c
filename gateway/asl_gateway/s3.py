# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stores in a bucket of an S3 engine. Implements the contract of asl.backends.base with create-only puts, ranged gets and lists.

An object is whole or not there, so nothing is staged in the bucket, nothing is torn and a barrier has nothing to do: a put that was
answered is durable. What is different from a directory:

    logs/00000000000000000024   a piece of the log: its records from this byte on. The log is the pieces one behind the other.
                                Appending makes the piece that begins where the log ends, create-only: of two writers one is first,
                                and the other reads on and tries again. There is no lock.
    meta/head                   replaced by whoever appended. It may fall back by a race, never beyond what was acknowledged once:
                                the log may reach further than the head.

Every put carries the SHA-256 of its body, which the engine has to check. One put an object: blocks have 72 MiB at most.
"""

from __future__ import annotations

import base64
import bisect
import hashlib
import os
import re
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import IO, Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from asl.backends import layout
from asl.errors import AslError, Conflict, NotFound, Refused, Unavailable, Usage
from asl.formats.artifact import Buffer
from asl.store import fill, marker
from asl_gateway.places import Takes
from asl_gateway.settings import Settings

# Segments whose files are kept open; what is mapped stays mapped when its file is closed.
_FILES = 64
_PIECE = re.compile(r"logs/(\d{20})\Z")
_MISSING = ("404", "NoSuchKey", "NotFound", "NoSuchBucket")
_TAKEN = ("412", "PreconditionFailed", "409", "ConditionalRequestConflict", "OperationAborted")
_FULL = ("QuotaExceeded", "InsufficientStorage", "507")


def failure(what: str, error: Exception) -> AslError:
    """The AslError for what the engine or the library said."""
    if isinstance(error, ClientError):
        code = str(error.response.get("Error", {}).get("Code", ""))
        if code in _MISSING:
            return NotFound(f"{what}: not there")
        if code in _TAKEN:
            return Conflict(f"{what}: exists")
        if code in _FULL:
            return Unavailable(f"{what}: the engine is full", reason="NO_SPACE", hint="free space in the object store")
        return Unavailable(f"{what}: the engine says {code}", reason="S3", hint="check the engine, its credentials and the bucket")
    return Unavailable(f"{what}: {type(error).__name__}", reason="S3", hint="check that the engine can be reached")


def _md5(body: bytes | IO[bytes]) -> str:
    """Content-MD5, which S3 asks for where an object is retained. It protects nothing here: the signed SHA-256 does."""
    if isinstance(body, bytes):
        found = hashlib.md5(body, usedforsecurity=False)
    else:
        found = hashlib.file_digest(body, lambda: hashlib.md5(usedforsecurity=False))  # type: ignore[arg-type]
        body.seek(0)
    return base64.b64encode(found.digest()).decode("ascii")


class Bucket:
    """Stores in a bucket: s3://BUCKET/PREFIX/DOMAIN. Implements asl_gateway.places.Place."""

    def __init__(self, settings: Settings) -> None:
        self.location, self.spool = settings.place, settings.spool or ""
        self.bucket, _slash, prefix = settings.place[len("s3://") :].partition("/")
        self.prefix = f"{prefix}/" if prefix else ""
        self._retention = settings.s3_retention_days
        self.client = client(settings)
        self._logs: dict[str, Pieces] = {}

    def backend(self, domain: str) -> Takes:
        pieces = self._logs.setdefault(domain, Pieces())
        return S3(self.client, self.bucket, f"{self.prefix}{domain}/", pieces, self.spool, self._retention)

    def init(self, domain: str) -> bool:
        backend = self.backend(domain)
        try:
            marker.check(backend)
        except NotFound:
            fill(backend)
            return True
        return False

    def probe(self) -> dict[str, str]:
        from asl_gateway.probe import probe

        found = probe(self.client, self.bucket, self.prefix)
        if self._retention and found["object lock"] != "Enabled":
            what = f"{self.location}: s3.retention-days is set, and the bucket has no object lock"
            raise Refused(what, reason="NO_OBJECT_LOCK", hint="make a bucket with object lock: it cannot be turned on later")
        return found


def client(settings: Settings) -> Any:
    """The S3 client. Credentials from the file that the settings name, else from AWS's own places. Raises Usage."""
    # The ways of AWS's own tools, so that every session of this process goes them.
    if settings.s3_ca:
        os.environ["AWS_CA_BUNDLE"] = settings.s3_ca
    if settings.s3_credentials:
        os.environ["AWS_SHARED_CREDENTIALS_FILE"] = settings.s3_credentials
    os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")
    config = Config(
        signature_version="s3v4", retries={"mode": "standard", "max_attempts": 5}, connect_timeout=5, read_timeout=60,
        max_pool_connections=32, request_checksum_calculation="when_required", response_checksum_validation="when_required",
        s3={"addressing_style": "path", "payload_signing_enabled": True},
    )  # fmt: skip
    try:
        return boto3.session.Session().client("s3", endpoint_url=settings.s3_endpoint, config=config)
    except (BotoCoreError, ValueError) as error:
        raise Usage(f"the S3 client cannot be set up: {error}", reason="S3", hint="check s3.endpoint and the credentials") from error


class Pieces:
    """What one process keeps of a store: the pieces of its log that are known, in order, and files of segments.

    Pieces never change, so what is known stays right; the list only grows."""

    def __init__(self) -> None:
        self.starts: list[int] = []
        self.data: dict[int, bytes] = {}
        self.mutex = threading.RLock()
        self._files: dict[str, IO[bytes]] = {}

    @property
    def end(self) -> int:
        """Where the log ends, as far as is known."""
        return self.starts[-1] + len(self.data[self.starts[-1]]) if self.starts else 0

    def add(self, start: int, data: bytes) -> None:
        """A piece was read or made. A gap before it means that another one is still to come."""
        if start == self.end:
            self.starts.append(start)
            self.data[start] = data

    def file(self, name: str, folder: str, read: Callable[[], bytes]) -> str:
        """A path, good for some time, under which the object NAME can be mapped. Objects never change."""
        with self.mutex:
            if name not in self._files:
                file = tempfile.TemporaryFile(dir=folder or None)  # noqa: SIM115  open as long as it is likely to be mapped anew
                file.write(read())
                file.flush()
                self._files[name] = file
                if len(self._files) > _FILES:
                    self._files.pop(next(iter(self._files))).close()
            return f"/proc/self/fd/{self._files[name].fileno()}"

    def read(self, offset: int, length: int | None) -> bytes:
        """The bytes of the log from OFFSET on."""
        first = max(0, bisect.bisect_right(self.starts, offset) - 1)
        base = self.starts[first] if self.starts else 0
        joined = b"".join(self.data[start] for start in self.starts[first:])[max(0, offset - base) :]
        return joined if length is None else joined[:length]


class S3:
    """One store in a bucket. Implements Takes."""

    def __init__(self, s3: Any, bucket: str, prefix: str, pieces: Pieces, spool: str, retention: int) -> None:
        self._s3, self._bucket, self._prefix, self._pieces = s3, bucket, prefix, pieces
        self._spool, self._retention = spool, retention

    @property
    def location(self) -> str:
        return f"s3://{self._bucket}/{self._prefix.rstrip('/')}"

    def path(self, name: str) -> str | None:
        """Segments are looked up in, so they are kept in files without a name, which vanish with the process."""
        return self._pieces.file(name, self._spool, lambda: self._get(name)) if name.startswith("segments/") else None

    def _call(self, what: str, **fields: Any) -> Any:
        try:
            return getattr(self._s3, what)(Bucket=self._bucket, **fields)
        except (ClientError, BotoCoreError) as error:
            raise failure(f"{self.location}: {fields.get('Key', fields.get('Prefix', ''))}", error) from error

    def read(self, name: str, offset: int = 0, length: int | None = None) -> bytes:
        if name == layout.LOG:
            with self._pieces.mutex:
                self._follow()
                return self._pieces.read(offset, length)
        return self._get(name, offset, length)

    def _get(self, name: str, offset: int = 0, length: int | None = None) -> bytes:
        if length == 0:
            return b""
        ranged = {"Range": f"bytes={offset}-{'' if length is None else offset + length - 1}"} if offset or length is not None else {}
        try:
            data: bytes = self._s3.get_object(Bucket=self._bucket, Key=self._prefix + name, **ranged)["Body"].read()
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") in ("InvalidRange", "416"):
                return b""
            raise failure(f"{self.location}: cannot read {name}", error) from error
        except (BotoCoreError, OSError) as error:
            raise failure(f"{self.location}: cannot read {name}", error) from error
        return data

    def _follow(self) -> None:
        """Read the pieces that others have made since. Raises NotFound where there is no log at all."""
        after = f"logs/{self._pieces.starts[-1]:020d}" if self._pieces.starts else ""
        for name in self._names("logs/", after):
            match = _PIECE.match(name)
            if match:
                self._pieces.add(int(match.group(1)), self._get(name))
        if not self._pieces.starts:
            raise NotFound(f"{self.location}: there is no log")

    def size(self, name: str) -> int:
        if name == layout.LOG:
            with self._pieces.mutex:
                self._follow()
                return self._pieces.end
        return int(self._call("head_object", Key=self._prefix + name)["ContentLength"])

    def names(self, folder: str) -> Iterator[str]:
        if folder == "tmp":
            return iter(())
        return self._names(f"{folder}/", "")

    def _names(self, prefix: str, after: str) -> Iterator[str]:
        fields = {"Prefix": self._prefix + prefix, **({"StartAfter": self._prefix + after} if after else {})}
        while True:
            page = self._call("list_objects_v2", **fields)
            for entry in page.get("Contents", ()):
                yield str(entry["Key"])[len(self._prefix) :]
            if not page.get("IsTruncated"):
                return
            fields = {"Prefix": self._prefix + prefix, "ContinuationToken": page["NextContinuationToken"]}

    def _put(self, name: str, body: Buffer | IO[bytes], *, over: bool = False) -> None:
        fields: dict[str, Any] = {"Key": self._prefix + name, "Body": body if hasattr(body, "read") else bytes(body)}
        if not over:
            fields["IfNoneMatch"] = "*"
            if self._retention:
                until = datetime.now(UTC) + timedelta(days=self._retention)
                fields |= {"ObjectLockMode": "COMPLIANCE", "ObjectLockRetainUntilDate": until, "ContentMD5": _md5(fields["Body"])}
        self._call("put_object", **fields)

    def stage(self) -> Staged:
        return Staged(self, self._spool)

    def take(self, path: str, name: str) -> None:
        with open(path, "rb") as file:
            self._put(name, file)

    def create(self, name: str, data: Buffer) -> None:
        if name == layout.LOG:
            self._put(f"logs/{0:020d}", data)
            return
        try:
            self._put(name, data)
        except Conflict:
            # Perhaps it was this very put, and its answer was lost: then the bytes are ours.
            if layout.parse_block(name) is None and self._get(name) != bytes(data):
                raise

    def ensure(self, name: str) -> None:
        """What was put is durable."""

    def barrier(self) -> None:
        """What was put is durable."""

    @contextmanager
    def lock(self) -> Iterator[None]:
        yield  # create-only puts decide

    def append(self, name: str, data: bytes, at: int) -> None:
        if not data:
            return
        with self._pieces.mutex:
            if self._pieces.end != at:
                self._follow()
            if self._pieces.end != at:
                raise Conflict(f"{self.location}: {name} does not end at {at} any more")
            self._put(f"logs/{at:020d}", data)
            self._pieces.add(at, data)

    def cut(self, name: str, at: int) -> None:
        raise AslError(f"{self.location}: the log has bytes behind its last record, which cannot be in a bucket", reason="BAD_LOG")

    def set_aside(self, name: str) -> None:
        hint = "the engine checks what it keeps: look at its own reports, and heal the store from another one where it lies in a directory"
        raise Unavailable(f"{self.location}: {name} is damaged, and nothing is replaced in a bucket", reason="DAMAGED_BLOCK", hint=hint)

    def replace_head(self, data: bytes) -> None:
        self._put(layout.HEAD, data, over=True)

    def sweep(self) -> int:
        return 0


class Staged:
    """An object in the making, in the spool."""

    def __init__(self, backend: S3, spool: str) -> None:
        self._backend = backend
        self._file = tempfile.TemporaryFile(dir=spool or None)  # noqa: SIM115  lives as long as the object is being made

    def write(self, data: Buffer) -> None:
        self._file.write(data)

    def publish(self, name: str) -> None:
        self._file.seek(0)
        try:
            self._backend._put(name, self._file)
        finally:
            self.drop()

    def drop(self) -> None:
        self._file.close()
