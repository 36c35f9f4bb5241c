# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real gateway on the loopback, with a certificate, keys and tokens of its own: replicas that can be killed and started again."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from asl import endpoint, tokens

CHECKOUT = Path(__file__).resolve().parents[2]
LIBRARY = CHECKOUT / "overlay" / "usr" / "local" / "lib"
READY_SECONDS = 60


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for localhost that is its own root, and its key."""
    certificate, key = folder / "tls.pem", folder / "tls.key"
    argv = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30", "-subj",
            "/CN=asl-gateway", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
            "-keyout", str(key), "-out", str(certificate)]  # fmt: skip
    subprocess.run(argv, check=True, capture_output=True)
    return certificate, key


class Site:
    """What all replicas share: place, domains, keys, certificate."""

    def __init__(self, folder: Path, domains: Sequence[str] = ("rescue-domain",), **settings: str) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.place = folder / "place"
        self.certificate, key = certificate(folder)
        self.keys, self.receipt_key = folder / "token.keys", folder / "receipt"
        self.keys.write_text(tokens.new_key("k1") + "\n")
        self.keys.chmod(0o600)
        made = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "asl-gateway", "-f", str(self.receipt_key)]
        subprocess.run(made, check=True)
        self.config = folder / "gateway.conf"
        lines = {
            "listen": "127.0.0.1:8443", "tls.certificate": str(self.certificate), "tls.key": str(key), "place": str(self.place),
            "domains": " ".join(domains), "token.keys": str(self.keys), "receipt.key": str(self.receipt_key), **settings,
        }  # fmt: skip
        self.config.write_text("".join(f"{name} = {value}\n" for name, value in lines.items()))
        self.replicas: list[Replica] = []

    def init(self) -> None:
        """Make the stores."""
        self.run("init")

    def run(self, command: str, *words: str) -> subprocess.CompletedProcess[str]:
        """Run one command of asl-gateway to its end."""
        done = subprocess.run(self.argv(command, *words), env=environment(), check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done

    def argv(self, command: str, *words: str) -> list[str]:
        return [sys.executable, "-B", "-m", "asl_gateway", command, "--config", str(self.config), *words]

    def token(self, *verbs: str, domain: str = "rescue-domain", lifetime: int = 3600) -> str:
        """A token."""
        return tokens.issue(tokens.parse_keys(self.keys.read_text()), domain, verbs, int(time.time()) + lifetime)

    def token_file(self, name: str, *verbs: str, domain: str = "rescue-domain") -> Path:
        """A file of mode 0600 with a token."""
        path = self.folder / name
        path.touch(0o600)
        path.write_text(self.token(*verbs, domain=domain))
        return path

    def start(self, *words: str, port: int = 0) -> Replica:
        """One more replica, ready."""
        replica = Replica(self, port or free_port(), words)
        self.replicas.append(replica)
        replica.start()
        return replica

    def stop(self) -> None:
        """End all replicas."""
        for each in self.replicas:
            each.kill()


class Replica:
    """One gateway process."""

    def __init__(self, site: Site, port: int, words: Sequence[str]) -> None:
        self.site, self.port, self._words = site, port, words
        self.log = site.folder / f"gateway-{port}.log"
        self.url = f"https://localhost:{port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start, and wait until it answers."""
        argv = self.site.argv("serve", "--set", f"listen=127.0.0.1:{self.port}", *self._words)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(argv, env=environment(), stdout=log, stderr=log, start_new_session=True)
        context = endpoint.trust(str(self.site.certificate))
        end = time.monotonic() + READY_SECONDS
        while time.monotonic() < end:
            assert self._process.poll() is None, f"the gateway ended: {self.log.read_text()[-3000:]}"
            try:
                with socket.create_connection(("127.0.0.1", self.port), 5) as plain:
                    context.wrap_socket(plain, server_hostname="localhost").close()
                    return
            except OSError:
                time.sleep(0.05)
        raise AssertionError(f"the gateway does not answer: {self.log.read_text()[-3000:]}")

    def kill(self) -> None:
        """SIGKILL it, with all its workers."""
        if self._process and self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    @property
    def pid(self) -> int:
        assert self._process
        return self._process.pid


def environment() -> dict[str, str]:
    """The engine and the gateway from the checkout."""
    assert shutil.which("openssl") and shutil.which("ssh-keygen"), "install openssl and openssh-client"
    return {**os.environ, "PYTHONPATH": f"{CHECKOUT / 'gateway'}:{LIBRARY}"}


@contextmanager
def running(folder: Path, domains: Sequence[str] = ("rescue-domain",), **settings: str) -> Iterator[tuple[Site, Replica]]:
    """A site with one replica."""
    site = Site(folder, domains, **settings)
    site.init()
    try:
        yield site, site.start()
    finally:
        site.stop()
