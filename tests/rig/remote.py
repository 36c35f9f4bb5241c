# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The scene of remote mode: a server for a gateway, and crashed machines that have no place of their own and nearly the same disk."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from . import disks, loops, relay
from .hosts import Rig
from .places import CHECKOUT
from .process import run

SERVER, NAME, PORT = "gateway-01", "asl-backend", 8443
# What the live image has: Python 3.13 on this kind of machine.
PYTHON = "3.13"
OWN = 8 << 20  # bytes at the end of each disk that no other one has


def build(rig: Rig, names: Sequence[str]) -> None:
    """Boot the server and hosts NAMES; call inside the rig's namespace. What an earlier run left goes first."""
    rig.prepare()
    image = rig.folder / "crashed.img"
    disks.crashed(image)
    server = rig.up(SERVER)
    sources = {}
    for name in names:
        own = rig.folder / f"{name}.img"
        run(["cp", "--sparse=always", str(image), str(own)])
        own.chmod(0o600)
        with own.open("ab") as disk:
            seed = hashlib.sha256(name.encode()).digest()
            disk.write(b"".join(hashlib.sha256(seed + at.to_bytes(4, "big")).digest() for at in range(OWN // 32)))
        device = loops.attach(own)
        host = rig.up(name, [device])
        rig.ssh(name, f"echo '{host.gateway} {NAME}' >> /etc/hosts")
        sources[name] = [f"device:{device}"]
    certificate, key = _certificate(rig.folder)
    relay.start(rig.folder, PORT, server.address)
    conf = {"mode": "remote", "remote.endpoint": f"https://{NAME}:{PORT}", "remote.ca": "/run/asl/ca.pem", "domain.id": "rescue-domain"}
    variables: dict[str, object] = {
        "asl_conf": conf, "asl_gateway": SERVER, "asl_ca": str(certificate), "gateway_tls_certificate": str(certificate),
        "gateway_tls_key": str(key), "gateway_wheels": str(wheels()), "gateway_packages": [], "rig_sources": sources,
        "asl_sources": "{{ rig_sources[inventory_hostname] }}",
    }  # fmt: skip
    rig.set_variables(variables, {SERVER: "gateways"})
    (rig.folder / "scene.json").write_text(json.dumps({"sources": sources, "own": OWN}))


def _certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for the name under which the hosts know the gateway; it is its own root."""
    certificate, key = folder / "tls.pem", folder / "tls.key"
    run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30", "-subj",
         f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}", "-keyout", str(key), "-out", str(certificate)])  # fmt: skip
    return certificate, key


def wheels() -> Path:
    """A folder with what the gateway needs on the server, fetched once. The server reaches no package index."""
    wanted = ["pip", "httptools>=0.6", "prometheus_client>=0.20", "starlette>=0.47", "uvicorn>=0.30", "uvloop>=0.19"]
    folder = CHECKOUT / ".cache" / f"wheels-{PYTHON}-{hashlib.sha256(' '.join(wanted).encode()).hexdigest()[:12]}"
    if not folder.exists():
        half = folder.with_suffix(".part")
        names = ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")
        platforms = [word for name in names for word in ("--platform", name)]
        argv = [sys.executable, "-m", "pip", "download", "--quiet", "--dest", str(half), "--only-binary=:all:", "--python-version", PYTHON]
        done = subprocess.run([*argv, *platforms, *wanted], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        half.rename(folder)
    return folder
