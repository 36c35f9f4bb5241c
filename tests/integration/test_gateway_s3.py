# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gateway over a real object store, Ceph's RGW, started here; and engines that lie, which are refused."""

from __future__ import annotations

import random
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import boto3
import pytest
from asl_gateway.s3 import Bucket  # type: ignore[import-not-found]
from asl_gateway.settings import Settings  # type: ignore[import-not-found]
from botocore.exceptions import ClientError
from integration.support import Tool, host
from moto.server import ThreadedMotoServer
from rig import ceph
from rig.gateway import Replica, Site, environment, free_port

from asl.formats.artifact import TAG_MANIFEST, TAG_RECEIPT
from asl.formats.snapshot import About
from asl.store import Writer

BUCKET = "asl-test"


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ceph.Ceph]:
    with ceph.running(tmp_path_factory.mktemp("ceph")) as found:
        ceph.bucket(found.url, BUCKET)
        yield found


@pytest.fixture(scope="module")
def site(engine: ceph.Ceph, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("gateway")
    found = Site(folder, place=f"s3://{BUCKET}/site", **s3_settings(folder, engine.url))
    found.init()
    yield found
    found.stop()


def s3_settings(folder: Path, url: str) -> dict[str, str]:
    return {"spool": str(folder / "spool"), "s3.endpoint": url, "s3.credentials-file": str(ceph.credentials(folder))}


def place(site: Site, replica: Replica) -> list[str]:
    return ["--store", replica.url, "--set", f"remote.ca={site.certificate}"]


def disk(path: Path, seed: int, size: int = 48 << 20) -> Path:
    """A disk of which nine tenths are the same for every SEED."""
    path.write_bytes(random.Random(1).randbytes(size * 9 // 10) + random.Random(seed).randbytes(size // 10))
    return path


def test_three_hosts_two_gateways_and_the_engine_restarts(engine: ceph.Ceph, site: Site, tmp_path: Path) -> None:
    """All at once in one domain; RGW is killed and started again in the middle; everything ends by itself and comes back."""
    replicas = [site.start(), site.start()]
    hosts = [host(tmp_path / f"host{number}", site, "add") for number in range(3)]
    sources = [disk(tmp_path / f"disk{number}", 10 + number) for number in range(3)]
    running: list[Tool] = []
    for number, machine in enumerate(hosts):
        words = ["run", f"device:{sources[number]}", *place(site, replicas[number % 2]), "--label", f"host={number}"]
        running.append(machine.start("asl-intake", *words, "--set", "block.size=2MiB"))
    while not metrics_have(replicas[0], "asl_gateway_objects_stored_total") and running[0].process.poll() is None:
        threading.Event().wait(0.05)
    engine.kill_rgw()
    engine.start_rgw()
    results = [each.wait() for each in running]
    assert [each.code for each in results] == [0, 0, 0], [each.document for each in results]
    reader = host(tmp_path / "reader", site, "read")
    for number, result in enumerate(results):
        digest = result.document["digest"]
        local = hosts[number].init(tmp_path / f"local{number}")
        assert hosts[number].run("asl-intake", "run", f"device:{sources[number]}", "--store", str(local)).document["digest"] == digest
        assert reader.run("asl-admin", "verify", digest, *place(site, replicas[1])).document["ok"]
        back = tmp_path / f"back{number}"
        reader.run("asl-admin", "restore", digest, "--file", str(back), *place(site, replicas[1]))
        assert back.read_bytes() == sources[number].read_bytes()
    assert reader.run("asl-debug", "check", *place(site, replicas[0])).document["ok"]


@pytest.fixture
def moto() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        yield "http://{}:{}".format(*server.get_host_and_port())
    finally:
        server.stop()


def test_what_is_retained_cannot_be_removed_by_whoever_owns_the_bucket(moto: str, tmp_path: Path) -> None:
    """Object lock: blocks, segments, log and checkpoints are held until their time is over; only the head is replaced."""
    ceph.bucket(moto, "locked", words=["lock"])
    spool = tmp_path / "spool"
    spool.mkdir()
    settings = Settings(
        place="s3://locked/site", spool=str(spool), s3_endpoint=moto, s3_credentials=str(ceph.credentials(tmp_path)), s3_retention_days=2
    )
    place = Bucket(settings)
    assert place.init("rescue-domain")
    with Writer(place.backend("rescue-domain"), adopting=False) as writer:
        digest = writer.put(b"kept")
        writer.commit()
        assert writer.payload(digest) == b"kept"
        manifest, receipt = writer.put(b"{}", TAG_MANIFEST), writer.put(b"{}", TAG_RECEIPT)
        writer.seal_snapshot(About("rescue-domain", manifest, receipt, ("stream:-",), sealed=1))
    s3 = boto3.session.Session(ceph.ACCESS, ceph.SECRET, region_name="us-east-1").client("s3", endpoint_url=moto)
    held = [each for each in s3.list_object_versions(Bucket="locked")["Versions"] if not each["Key"].endswith("meta/head")]
    assert {each["Key"].split("/")[2] for each in held} == {"blocks", "segments", "snapshots", "logs", "meta"}
    for each in held:
        where = {"Bucket": "locked", "Key": each["Key"], "VersionId": each["VersionId"]}
        found = s3.head_object(**where)
        left = found["ObjectLockRetainUntilDate"] - datetime.now(timezone.utc)
        assert found["ObjectLockMode"] == "COMPLIANCE" and timedelta(days=1, hours=23) < left <= timedelta(days=2)
        with pytest.raises(ClientError) as refused:
            s3.delete_object(**where)
        assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


def test_a_locked_bucket_whose_engine_forgets_create_only_is_refused(engine: ceph.Ceph, tmp_path: Path) -> None:
    """RGW 16.2 takes a second put of the same name where a bucket has versions, and object lock needs versions."""
    ceph.bucket(engine.url, "locked", words=["lock"])
    site = Site(tmp_path, place="s3://locked/site", **s3_settings(tmp_path, engine.url), **{"s3.retention-days": "2"})
    assert "create-only does not hold" in refusal(site)


def test_retention_without_object_lock_is_refused(engine: ceph.Ceph, tmp_path: Path) -> None:
    site = Site(tmp_path, place=f"s3://{BUCKET}/plain", **s3_settings(tmp_path, engine.url), **{"s3.retention-days": "2"})
    assert "NO_OBJECT_LOCK" in refusal(site)


def metrics_have(replica: Replica, name: str) -> bool:
    context = ssl.create_default_context(cafile=str(replica.site.certificate))
    with urllib.request.urlopen(f"{replica.url}/metrics", context=context, timeout=10) as answer:
        return any(line.startswith(name + "{") for line in answer.read().decode().splitlines())


def refusal(site: Site) -> str:
    done = subprocess.run(site.argv("probe"), env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 3, done.stdout + done.stderr
    return done.stderr


def test_an_engine_that_takes_wrong_digests_is_refused(moto: str, tmp_path: Path) -> None:
    ceph.bucket(moto, BUCKET)
    site = Site(tmp_path, place=f"s3://{BUCKET}", **s3_settings(tmp_path, moto))
    assert "digest does not hold" in refusal(site)


def test_an_engine_without_create_only_is_refused(tmp_path: Path) -> None:
    port, data = free_port(), tmp_path / "data"
    (data / BUCKET).mkdir(parents=True)
    rclone = Path(sys.executable).with_name("rclone")
    argv = [str(rclone), "serve", "s3", "--addr", f"127.0.0.1:{port}", "--auth-key", f"{ceph.ACCESS},{ceph.SECRET}", str(data)]
    server = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(port)
        site = Site(tmp_path / "site", place=f"s3://{BUCKET}", **s3_settings(tmp_path, f"http://127.0.0.1:{port}"))
        assert "create-only does not hold" in refusal(site)
    finally:
        server.kill()
        server.wait()


def wait_for(port: int) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            threading.Event().wait(0.05)
    raise AssertionError(f"nobody listens on {port}")
