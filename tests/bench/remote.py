# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How fast new data goes from a client through TLS into a store in a directory, both ends on this machine; beside restic to rclone's
REST server, through TLS too.

    PYTHONPATH=tests:overlay/usr/local/lib python -B -m bench.remote FOLDER [MIB] [ROUNDS] [KEY=VALUE…]

FOLDER should be in tmpfs, so that the disk is out of the picture. KEY=VALUE are settings of the gateway (workers=2). Prints one JSON
document: MB/s of each round from start to seal, and the CPU seconds of both ends a gigabyte. CPU seconds are what to compare where
the machine has other work.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rig.gateway import Site, certificate, environment, free_port

from asl import kernel

CHECKOUT = Path(__file__).resolve().parents[2]
TICKS = os.sysconf("SC_CLK_TCK")


def material(path: Path, size: int, seed: int) -> None:
    """SIZE bytes that no chunk of is anywhere else."""
    rng = random.Random(seed)
    with path.open("wb") as file:
        for _ in range(0, size, 1 << 20):
            file.write(rng.randbytes(1 << 20))


def cpu_of(group: int) -> float:
    """CPU seconds of the living processes of a process group."""
    found = 0.0
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[2]) == group:
                found += (int(fields[11]) + int(fields[12])) / TICKS
    return found


def material_in(folder: Path, size: int, seed: int) -> Path:
    """A tree of four files, SIZE bytes together."""
    data = folder / "data"
    data.mkdir(parents=True)
    for number in range(4):
        material(data / f"file{number}", size // 4, 4 * seed + number)
    return data


def timed(argv: list[str], env: dict[str, str], group: int, size: int) -> dict[str, Any]:
    """Run the client ARGV; GROUP is the process group of the other end."""
    before, other, began = os.times(), cpu_of(group), time.monotonic()
    done = subprocess.run(argv, env=env, capture_output=True, text=True, check=False)
    seconds, after, used = time.monotonic() - began, os.times(), cpu_of(group) - other
    assert done.returncode == 0, done.stderr
    client = after.children_user + after.children_system - before.children_user - before.children_system
    moved = size / 1e6
    return {
        "mb_per_second": round(moved / seconds), "seconds": round(seconds, 2), "client_cpu_per_gb": round(client / moved * 1000, 2),
        "server_cpu_per_gb": round(used / moved * 1000, 2),
    }  # fmt: skip


def asl(folder: Path, size: int, seed: int, settings: dict[str, str]) -> dict[str, Any]:
    """One intake into an empty store behind a gateway."""
    data, site = material_in(folder, size, seed), Site(folder / "site", **settings)
    site.init()
    replica = site.start()
    run, state = folder / "run", folder / "state"
    for each in (run, state):
        each.mkdir()
    (run / "token").touch(0o600)
    (run / "token").write_text(site.token("add"))
    argv = [sys.executable, "-B", str(CHECKOUT / "overlay/usr/local/bin/asl-intake"), "--json", "--quiet", "run", f"tree:{data}", "--store",
            replica.url, "--set", f"remote.ca={site.certificate}"]  # fmt: skip
    try:
        return timed(argv, {**environment(), "ASL_RUN_DIR": str(run), "ASL_STATE_DIR": str(state)}, replica.pid, size)
    finally:
        site.stop()


def restic(folder: Path, size: int, seed: int, _settings: dict[str, str]) -> dict[str, Any]:
    """One backup into an empty repository behind `rclone serve restic`."""
    data, port = material_in(folder, size, seed), free_port()
    pem, key = certificate(folder)
    rclone = Path(sys.executable).with_name("rclone")
    serve = [str(rclone), "serve", "restic", "--addr", f"127.0.0.1:{port}", "--cert", str(pem), "--key", str(key), str(folder / "kept")]
    server = subprocess.Popen(serve, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    env = {**os.environ, "RESTIC_REPOSITORY": f"rest:https://localhost:{port}/", "RESTIC_PASSWORD": "bench",
           "RESTIC_CACHE_DIR": str(folder / "cache")}  # fmt: skip
    argv = ["restic", "--cacert", str(pem), "--compression", "off", "--quiet"]
    try:
        wait_for(port)
        subprocess.run([*argv, "init"], env=env, check=True, capture_output=True)
        return timed([*argv, "backup", str(data)], env, server.pid, size)
    finally:
        server.kill()
        server.wait()


def wait_for(port: int) -> None:
    """Wait until somebody listens."""
    end = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            assert time.monotonic() < end, f"nobody listens on {port}"
            time.sleep(0.05)


TOOLS: dict[str, Callable[[Path, int, int, dict[str, str]], dict[str, Any]]] = {"asl": asl, "restic": restic}


def rounds_of(folder: Path, size: int, rounds: int, settings: dict[str, str]) -> dict[str, Any]:
    """ROUNDS of each tool in turn; every round of both, and the best of each."""
    assert not kernel.load().slow, f"libasl.so is not that of this checkout ({kernel.load().why}): make overlay"
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in TOOLS}
    for number in range(rounds):
        for name, tool in TOOLS.items():
            place = folder / f"{name}{number}"
            try:
                found[name].append(tool(place, size, number, settings))
            finally:
                shutil.rmtree(place, ignore_errors=True)
            print(name, json.dumps(found[name][-1]), file=sys.stderr)
    best = {name: max(each, key=lambda one: float(one["mb_per_second"])) for name, each in found.items()}
    return {"what": "new data through TLS, both ends here", "bytes": size, "rounds": found, "best": best}


def measure(folder: Path, quick: bool) -> dict[str, Any]:
    """For `python -m bench`: its document of the remote mode."""
    return rounds_of(folder, (256 if quick else 1500) << 20, 1 if quick else 3, {})


def main(words: list[str]) -> None:
    """Measure and print."""
    settings = dict(word.split("=", 1) for word in words if "=" in word)
    plain = [word for word in words if "=" not in word]
    size, rounds = int(plain[1] if plain[1:] else 1500) << 20, int(plain[2] if plain[2:] else 3)
    print(json.dumps(rounds_of(Path(plain[0]), size, rounds, settings), indent=2))


if __name__ == "__main__":
    main(sys.argv[1:])
