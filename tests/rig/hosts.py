# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Containers that behave like machines booted into a live system: systemd as process 1, root over SSH, the disks they are given."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

from . import image, loops, namespace, network, relay
from .places import RUNS, locked
from .podman import podman
from .process import RigError, run

BOOT_SECONDS = 120
# What the container may see of block devices: nothing but the loop devices it is given. /dev is the container's own tmpfs, which the
# first line makes sure of; the machine's real disks have no node there afterwards.
HIDE_DISKS = """
test "$(stat -f -c %T /dev)" = tmpfs || exit 9
find /dev -xdev -type b -delete
for device in "$@"; do mknod -m 0660 "/dev/loop$device" b 7 "$device"; done
"""


def fit(name: str) -> str:
    """NAME, when containers and folders may be called so. Raises RigError."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,40}", name):
        what = "letters, digits, dots, dashes and underscores, 41 at most, the first a letter or a digit"
        raise RigError(f"{name!r} cannot name a project or a host of the rig: podman takes {what}")
    return name


@dataclasses.dataclass(frozen=True)
class Host:
    """A running container. MONITOR is the process that watches over it, outside."""

    name: str
    address: str
    gateway: str
    container: str
    monitor: int
    process: int


class Rig:
    """The containers, keys and disks of one PROJECT (demo, molecule, a test's name)."""

    def __init__(self, project: str) -> None:
        """Raises RigError for a name that is not fit for podman."""
        self.project = fit(project)
        self.folder = RUNS / project
        self.key = self.folder / "key"
        self.known_hosts = self.folder / "known_hosts"
        self.inventory = self.folder / "hosts.yml"
        self._state = self.folder / "state.json"
        self._variables: dict[str, object] = {}
        self._groups: dict[str, str] = {}

    def hosts(self) -> list[Host]:
        if not self._state.exists():
            return []
        return [Host(**row) for row in json.loads(self._state.read_text())]

    def host(self, name: str) -> Host:
        for host in self.hosts():
            if host.name == name:
                return host
        raise RigError(f"the rig {self.project} has no host {name}; it has: {', '.join(h.name for h in self.hosts()) or 'none'}")

    def enter(self) -> None:
        """Enter the namespace in which this rig's containers run, or a fresh one while there are none."""
        monitors = [host.monitor for host in self.hosts() if namespace.has(host.monitor)]
        namespace.enter(monitors[0] if monitors else 0)

    def prepare(self) -> None:
        """A clean folder with a key of its own; whatever an earlier run left behind goes first."""
        self.down()
        self.folder.mkdir(parents=True, mode=0o700)
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "asl-rig", "-f", str(self.key)])
        self.known_hosts.touch()

    def up(self, name: str, disks: Sequence[str] = (), suite: str = "trixie") -> Host:
        """Boot a host NAME that sees the loop devices DISKS and no others; returns when it answers over SSH."""
        if not self.key.exists():
            self.prepare()
        container = f"asl-{self.project}-{fit(name)}"
        host_key = self._host_key(name)
        monitor_file = self.folder / f"{name}.monitor"
        podman(
            "create", "--name", container, "--label", f"asl-rig={self.project}", "--hostname", name,
            "--systemd=always", "--privileged", "--pids-limit=0", "--network=none",
            f"--conmon-pidfile={monitor_file}", image.ensure(suite), "/sbin/init",
        )  # fmt: skip
        podman("cp", str(host_key), f"{container}:/etc/ssh/ssh_host_ed25519_key")
        podman("cp", f"{self.key}.pub", f"{container}:/root/.ssh/authorized_keys")
        podman("start", container)
        numbers = [disk.removeprefix("/dev/loop") for disk in disks]
        podman("exec", container, "sh", "-ec", HIDE_DISKS, "sh", *numbers)
        process = int(podman("inspect", "--format", "{{.State.Pid}}", container).stdout)
        with locked("network"):
            gateway, address = network.connect(process)
        host = Host(name, address, gateway, container, int(monitor_file.read_text()), process)
        self._remember(host, host_key)
        self._wait(host)
        return host

    def _wait(self, host: Host) -> None:
        """Until systemd has done with booting and root can log in. The answer to a question asked too early is an error, so ask again."""
        deadline = time.monotonic() + BOOT_SECONDS
        while time.monotonic() < deadline:
            state = podman("exec", host.container, "systemctl", "is-system-running", check=False).stdout.strip()
            if state in ("running", "degraded") and self.ssh(host.name, "true", check=False).returncode == 0:
                return
            time.sleep(0.1)
        journal = podman("exec", host.container, "journalctl", "--no-pager", "--lines=5", check=False).stdout.splitlines()
        raise RigError(f"{host.name} did not boot within {BOOT_SECONDS} s: {' / '.join(journal)}")

    def ssh_options(self) -> list[str]:
        return [
            "-o", f"UserKnownHostsFile={self.known_hosts}", "-o", "StrictHostKeyChecking=yes", "-o", "IdentitiesOnly=yes",
            "-o", "BatchMode=yes", "-o", "ConnectTimeout=20", "-F", "none",
        ]  # fmt: skip

    def ssh(self, name: str, command: str, *, check: bool = True, timeout: float = 600) -> subprocess.CompletedProcess[str]:
        """Run the shell line COMMAND on host NAME as root."""
        target = f"root@{self.host(name).address}"
        return run(["ssh", "-i", str(self.key), *self.ssh_options(), target, command], check=check, timeout=timeout)

    def set_variables(self, variables: dict[str, object], groups: Optional[dict[str, str]] = None) -> None:
        """Give every host these variables in the inventory; a host in GROUPS is in the group named there, not among the broken ones."""
        self._variables, self._groups = variables, groups or {}
        self._write_inventory()

    def down(self) -> None:
        """Stop and remove this rig's containers, loop devices and files; nothing to remove is fine."""
        relay.stop(self.folder)
        for host in self.hosts():
            podman("rm", "--force", "--time=0", host.container, check=False)
        leftovers = podman("ps", "--all", "--quiet", "--filter", f"label=asl-rig={self.project}", check=False).stdout.split()
        for container in leftovers:
            podman("rm", "--force", "--time=0", container, check=False)
        if self.folder.exists():
            loops.unmount_all(self.folder)
            loops.detach_all(self.folder)
            shutil.rmtree(self.folder)

    def _host_key(self, name: str) -> Path:
        path = self.folder / f"{name}.hostkey"
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(path)])
        return path

    def _remember(self, host: Host, host_key: Path) -> None:
        public = Path(f"{host_key}.pub").read_text().split()
        with self.known_hosts.open("a") as handle:
            handle.write(f"{host.address} {public[0]} {public[1]}\n")
        rows = [dataclasses.asdict(row) for row in [*self.hosts(), host]]
        self._state.write_text(json.dumps(rows, indent=1))
        self._write_inventory()

    def _write_inventory(self) -> None:
        """An inventory as an operator would write it, in JSON, which is YAML."""
        options = " ".join(self.ssh_options()[:-2])
        common = {
            "ansible_user": "root", "ansible_ssh_private_key_file": str(self.key), "ansible_ssh_common_args": options,
            "ansible_control_path_dir": str(self.folder / "cp"), "ansible_python_interpreter": "/usr/bin/python3",
            **self._variables,
        }  # fmt: skip
        groups: dict[str, dict[str, dict[str, str]]] = {}
        for host in self.hosts():
            groups.setdefault(self._groups.get(host.name, "broken-hosts"), {})[host.name] = {"ansible_host": host.address}
        document = {"all": {"children": {name: {"hosts": hosts, "vars": common} for name, hosts in groups.items()}}}
        self.inventory.write_text(json.dumps(document, indent=2) + "\n")
