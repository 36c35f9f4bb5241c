# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real S3 engine: Ceph's RGW over a monitor and one OSD in memory, all of it in one folder and on the loopback."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rig.gateway import free_port

ACCESS, SECRET = "asl-test-access", "asl-test-secret-key"
SECONDS = 120
CONFIG = """
[global]
fsid = 6b8b4567-327b-23c6-643c-98696633488d
mon_host = [v2:127.0.0.1:{mon}]
auth_cluster_required = cephx
auth_service_required = cephx
auth_client_required = cephx
keyring = {folder}/$name.keyring
run_dir = {folder}
admin_socket = {folder}/$name.asok
pid_file = {folder}/$name.pid
log_file = {folder}/$name.log
crash_dir = {folder}
setuser_match_path = {folder}
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 4
osd_pool_default_pgp_num = 4
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
mon_allow_pool_size_one = true
mon_warn_on_pool_no_redundancy = false
mon_data_avail_crit = 1
mon_max_pg_per_osd = 1000
[mon.a]
mon_data = {folder}/mon
[osd.0]
osd_data = {folder}/osd
osd_objectstore = memstore
memstore_device_bytes = 4294967296
[client.rgw]
rgw_frontends = beast endpoint=127.0.0.1:{s3}
rgw_data = {folder}/rgw
rgw_enable_usage_log = false
"""


class Ceph:
    """The engine. `url` is its S3 endpoint."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port, self._mon = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.config = folder / "ceph.conf"
        self._rgw: subprocess.Popen[bytes] | None = None
        self._daemons: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        """Make the cluster and start it; ready when this returns."""
        for name in ("mon", "osd", "rgw"):
            (self.folder / name).mkdir(parents=True)
        self.config.write_text(CONFIG.format(folder=self.folder, mon=self._mon, s3=self.port))
        key = str(self.folder / "client.admin.keyring")
        caps = ["--cap", "mon", "allow *", "--cap", "osd", "allow *", "--cap", "mgr", "allow *"]
        self._run("ceph-authtool", "--create-keyring", key, "--gen-key", "-n", "client.admin", *caps)
        mon_key = str(self.folder / "mon.keyring")
        self._run("ceph-authtool", "--create-keyring", mon_key, "--gen-key", "-n", "mon.", "--cap", "mon", "allow *")
        self._run("ceph-authtool", mon_key, "--import-keyring", key)
        self._run("monmaptool", "--create", "--addv", "a", f"[v2:127.0.0.1:{self._mon}]", "--fsid", "6b8b4567-327b-23c6-643c-98696633488d",
                  str(self.folder / "monmap"))  # fmt: skip
        self._run("ceph-mon", "-c", str(self.config), "--mkfs", "-i", "a", "--monmap", str(self.folder / "monmap"), "--keyring", mon_key)
        (self.folder / "mon" / "keyring").write_text((self.folder / "mon.keyring").read_text())
        self._daemon("ceph-mon", "-i", "a")
        for name, osd in (("osd.0", "allow *"), ("client.rgw", "allow rwx")):
            mon = "allow profile osd" if name == "osd.0" else "allow rw"
            made = self._ceph("auth", "get-or-create", name, "mon", mon, "osd", osd)
            (self.folder / f"{name}.keyring").write_text(made)
        self._ceph("osd", "new", "7b8b4567-327b-23c6-643c-98696633488d", "0")
        self._run("ceph-osd", "-c", str(self.config), "-i", "0", "--mkfs", "--osd-uuid", "7b8b4567-327b-23c6-643c-98696633488d")
        self._daemon("ceph-osd", "-i", "0")
        self.start_rgw()
        self._run("radosgw-admin", "-c", str(self.config), "user", "create", "--uid", "asl", "--display-name", "asl",
                  "--access-key", ACCESS, "--secret-key", SECRET)  # fmt: skip

    def _run(self, *argv: str) -> str:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=SECONDS, check=False, stdin=subprocess.DEVNULL)
        assert done.returncode == 0, f"{' '.join(argv)}\n{done.stdout}{done.stderr}"
        return done.stdout

    def _ceph(self, *words: str) -> str:
        return self._run("ceph", "-c", str(self.config), "--connect-timeout", "60", *words)

    def _daemon(self, *argv: str) -> subprocess.Popen[bytes]:
        with (self.folder / "daemons.log").open("ab") as log:
            words = [argv[0], "-c", str(self.config), "-f", *argv[1:]]
            started = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        self._daemons.append(started)
        return started

    def start_rgw(self) -> None:
        """Start the gateway of the engine, and wait until it answers."""
        import urllib.error
        import urllib.request

        self._rgw = self._daemon("radosgw", "-n", "client.rgw")
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            assert self._rgw.poll() is None, "radosgw ended"
            with contextlib.suppress(OSError):
                try:
                    urllib.request.urlopen(self.url, timeout=5).close()
                except urllib.error.HTTPError:
                    return
                return
            time.sleep(0.2)
        raise AssertionError("radosgw does not answer")

    def kill_rgw(self) -> None:
        """SIGKILL it."""
        assert self._rgw
        os.killpg(self._rgw.pid, signal.SIGKILL)
        self._rgw.wait()

    def stop(self) -> None:
        """End everything."""
        for each in reversed(self._daemons):
            if each.poll() is None:
                os.killpg(each.pid, signal.SIGKILL)
                each.wait()


def credentials(folder: Path, access: str = ACCESS, secret: str = SECRET) -> Path:
    """A credentials file as AWS's tools have it."""
    path = folder / "credentials"
    path.touch(0o600)
    path.write_text(f"[default]\naws_access_key_id = {access}\naws_secret_access_key = {secret}\n")
    return path


def bucket(url: str, name: str, access: str = ACCESS, secret: str = SECRET, words: Sequence[str] = ()) -> None:
    """Make a bucket."""
    import boto3

    session = boto3.session.Session(access, secret, region_name="us-east-1")
    session.client("s3", endpoint_url=url).create_bucket(Bucket=name, **({"ObjectLockEnabledForBucket": True} if "lock" in words else {}))


@contextmanager
def running(folder: Path) -> Iterator[Ceph]:
    """An engine, gone afterwards."""
    engine = Ceph(folder)
    try:
        engine.start()
        yield engine
    finally:
        engine.stop()
