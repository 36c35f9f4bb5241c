# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Does an S3 engine hold what a store relies on? Tried with real objects, since what an engine says of itself is not enough.

create-only      of two puts with If-None-Match the second is refused, and the first one's bytes stay
digest           a body that is not the one its signed SHA-256 names is refused
range, list      bytes and names come back as they were put; a list begins behind a name
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import boto3
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.exceptions import BotoCoreError, ClientError
from botocore.httpsession import URLLib3Session

from asl.errors import Refused
from asl_gateway.s3 import failure

_HINT = "use an engine that does, such as Ceph RGW, or a directory as the place"


def probe(s3: Any, bucket: str, prefix: str) -> dict[str, str]:
    """Try the engine; each promise and how it held. Raises Refused (PROBE_FAILED), Unavailable."""
    base = f"{prefix}.asl-probe-{os.urandom(8).hex()}"
    trial = _Trial(s3, bucket, base)
    found = {}
    try:
        for name, check in (("create-only", trial.create_only), ("digest", trial.digest), ("range", trial.range), ("list", trial.list)):
            try:
                held = check()
            except (ClientError, BotoCoreError) as error:
                raise failure(f"s3://{bucket}/{prefix}: the probe for {name}", error) from error
            if not held:
                what = f"s3://{bucket}/{prefix}: this engine cannot hold a store: {name} does not hold"
                raise Refused(what, reason="PROBE_FAILED", hint=_HINT, promise=name)
            found[name] = "holds"
        found["object lock"] = trial.object_lock()
    finally:
        trial.clean()
    return found


class _Trial:
    """Objects of one probe."""

    def __init__(self, s3: Any, bucket: str, base: str) -> None:
        self._s3, self._where, self._base = s3, {"Bucket": bucket}, base
        self._keys = [f"{base}/{name}" for name in ("a", "b", "c")]

    def _refused(self, call: Callable[[], Any], *codes: str) -> bool:
        """True when the engine answers CALL with one of CODES."""
        try:
            call()
        except ClientError as error:
            code, status = error.response["Error"].get("Code"), error.response["ResponseMetadata"].get("HTTPStatusCode")
            if code in codes or str(status) in codes:
                return True
            raise
        return False

    def create_only(self) -> bool:
        key = self._keys[0]
        self._s3.put_object(**self._where, Key=key, Body=b"first", IfNoneMatch="*")
        again = functools.partial(self._s3.put_object, **self._where, Key=key, Body=b"second", IfNoneMatch="*")
        return self._refused(again, "412", "PreconditionFailed") and self._read(key) == b"first"

    def digest(self) -> bool:
        """A put whose signed SHA-256 is that of other bytes: what a body damaged on its way looks like."""
        status = _put_lie(self._s3, f"{self._where['Bucket']}/{self._keys[1]}", b"these bytes", hashlib.sha256(b"other bytes").hexdigest())
        return status == 400 and self._refused(lambda: self._read(self._keys[1]), "404", "NoSuchKey")

    def range(self) -> bool:
        key = self._keys[2]
        self._s3.put_object(**self._where, Key=key, Body=b"0123456789", IfNoneMatch="*")
        return bool(self._s3.get_object(**self._where, Key=key, Range="bytes=3-5")["Body"].read() == b"345")

    def list(self) -> bool:
        found = self._s3.list_objects_v2(**self._where, Prefix=f"{self._base}/", StartAfter=self._keys[0])
        return [each["Key"] for each in found.get("Contents", ())] == [self._keys[2]]

    def object_lock(self) -> str:
        try:
            found = self._s3.get_object_lock_configuration(**self._where)
        except (ClientError, BotoCoreError):
            return "not here"
        return str(found.get("ObjectLockConfiguration", {}).get("ObjectLockEnabled", "not here"))

    def _read(self, key: str) -> bytes:
        data: bytes = self._s3.get_object(**self._where, Key=key)["Body"].read()
        return data

    def clean(self) -> None:
        """Remove the objects; where they are locked they stay, a few bytes each."""
        for key in self._keys:
            with contextlib.suppress(ClientError, BotoCoreError):
                self._s3.delete_object(**self._where, Key=key)


def _put_lie(s3: Any, path: str, body: bytes, digest: str) -> int:
    """The status of a put of BODY that is signed as if its SHA-256 were DIGEST."""

    class Liar(S3SigV4Auth):
        def payload(self, request: Any) -> str:
            return digest

    request = AWSRequest("PUT", f"{s3.meta.endpoint_url}/{quote(path)}", data=body)
    credentials = boto3.session.Session().get_credentials()
    Liar(credentials.get_frozen_credentials(), "s3", s3.meta.region_name).add_auth(request)
    return int(URLLib3Session(verify=os.environ.get("AWS_CA_BUNDLE") or True).send(request.prepare()).status_code)
