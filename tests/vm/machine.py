# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One virtual machine: boot it, talk to it, pull its plug, take it back to how it was.

It is always emulated (TCG): on machines that are virtual themselves /dev/kvm may exist and still hang.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Optional

from rig.places import CHECKOUT, cache
from rig.process import RigError, run

from . import live, qmp

RUNS = Path("/run/asl-vm")
BOOT_SECONDS = 900  # two minutes on an idle machine; this one may be busy
TRIES = 5
GROUND = "ground"  # the snapshot that reset goes back to
# Debian's package would load the module at boot; a rescue system where it is there, but not loaded, is the harder case.
# A kernel that loses its trust in the clock of a busy host patches itself while it runs, which emulation does not always survive.
APPEND = (
    "boot=live live-media=/dev/vda console=ttyS0 net.ifnames=0 systemd.gpt_auto=0 systemd.mask=zfs-load-module.service tsc=reliable quiet"
)


class Panicked(RigError):
    """The guest's kernel gave up while it booted. Emulation with several threads now and then misses code that a kernel has just patched
    (an int3 oops); nothing has been written by then, so it is simply started again."""


class Machine:
    """The machine of one PROJECT. All state is in files, so that another process can go on with it."""

    def __init__(self, project: str) -> None:
        self.project = project
        self.folder = RUNS / project
        # Disks are too large for /run, which is RAM.
        self.disks = cache("vm", "runs", project, "x").parent
        self.key = self.folder / "key"
        self.console = self.folder / "console.log"
        self._qmp = self.folder / "qmp"
        self._pid = self.folder / "pid"
        self._state = self.folder / "state.json"

    # -- life and death

    def up(
        self, disks: Optional[Mapping[str, str]] = None, *, suite: str = "trixie", memory: int = 2048, layers: Sequence[Path] = ()
    ) -> None:
        """Make fresh DISKS (name: size as 512M), boot with them, and return when it answers over SSH. /dev/disk/by-id/virtio-NAME."""
        medium = live.medium(suite, layers)
        self.down()
        self.folder.mkdir(parents=True, mode=0o700)
        self.disks.mkdir(parents=True, exist_ok=True)
        for name in ("key", "host"):
            run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"asl-vm-{name}", "-f", str(self.folder / name)])
        state = {"disks": list(disks or {}), "memory": memory, "medium": [str(medium.image), str(medium.kernel), str(medium.initrd)]}
        self._state.write_text(json.dumps(state))
        for name, size in {"state": "16M", **(disks or {})}.items():
            run(["qemu-img", "create", "-q", "-f", "qcow2", str(self.disk(name)), size])
        self.boot()

    def boot(self) -> None:
        """Start it with the disks that are there, as after a power cut; the root is new, since it was in RAM."""
        for left in reversed(range(TRIES)):
            try:
                self._await_ssh(self._start())
                return
            except Panicked:
                self.kill()
                if not left:
                    raise

    def _start(self) -> int:
        if self.alive():
            raise RigError(f"the machine {self.project} is running already")
        state = json.loads(self._state.read_text())
        port = _free_port()
        self._state.write_text(json.dumps({**state, "port": port}))
        public = (self.folder / "host.pub").read_text().split()
        (self.folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {public[0]} {public[1]}\n")
        run(self._argv({**state, "port": port}), timeout=60)
        return port

    def revive(self) -> None:
        """Start it so that reset works: what the guest boots into is thrown away by it."""
        self._start()

    def kill(self) -> None:
        """Pull the plug: nothing is flushed, nothing is said to the guest."""
        self._forget_connection()
        if self.alive():
            pid = int(self._pid.read_text())
            os.kill(pid, signal.SIGKILL)
            deadline = time.monotonic() + 30
            while not _gone(pid) and time.monotonic() < deadline:
                time.sleep(0.05)
        self._pid.unlink(missing_ok=True)

    def down(self) -> None:
        """Stop it and remove its files and disks; nothing to remove is fine."""
        self.kill()
        for folder in (self.folder, self.disks):
            if folder.exists():
                shutil.rmtree(folder)

    def alive(self) -> bool:
        if not self._pid.exists():
            return False
        try:
            return str(self._qmp) in Path(f"/proc/{int(self._pid.read_text())}/cmdline").read_text()
        except (OSError, ValueError):
            return False

    def save(self, name: str = GROUND) -> None:
        """Remember memory and disks as they are now."""
        self._monitor(f"savevm {name}")

    def saved(self, name: str) -> bool:
        """Whether save was called with this name since it is up."""
        return any(name in line.split() for line in qmp.monitor(self._qmp, "info snapshots").splitlines())

    def reset(self, name: str = GROUND) -> None:
        """Back to what save remembered."""
        self._forget_connection()
        self._monitor(f"loadvm {name}")
        self._await_ssh(self.port)

    def _monitor(self, line: str) -> None:
        words = qmp.monitor(self._qmp, line).strip()
        if words:
            raise RigError(f"qemu could not {line}: {words}")

    # -- what is in it

    def disk(self, name: str) -> Path:
        """The image of disk NAME, a qcow2 file."""
        return self.disks / f"{name}.qcow2"

    def raw(self, name: str, target: Path) -> Path:
        """The bytes of disk NAME as the guest sees them, in the sparse file TARGET; pull the plug first."""
        if self.alive():
            raise RigError(f"the disk {name} cannot be copied while the machine {self.project} runs")
        run(["qemu-img", "convert", "-O", "raw", str(self.disk(name)), str(target)])
        return target

    def pour(self, image: Path, name: str, *, empty: bool = True) -> None:
        """Write the bytes of IMAGE onto the disk NAME; what is zero is left out when that is ``empty``."""
        how = "conv=sparse,fsync" if empty else "conv=fsync"
        line = f"gunzip | dd of=/dev/disk/by-id/virtio-{name} bs=1M iflag=fullblock {how} status=none; udevadm settle"
        with subprocess.Popen(["gzip", "-1", "-c", str(image)], stdout=subprocess.PIPE) as packed:
            done = subprocess.run([*self.ssh_argv(), line], stdin=packed.stdout, capture_output=True, text=True, check=False, timeout=600)
        if done.returncode or packed.returncode:
            raise RigError(f"{image} could not be written onto the disk {name}: {done.stderr.strip()}")

    @property
    def port(self) -> int:
        """Where on 127.0.0.1 its SSH server answers."""
        if not self._state.exists():
            raise RigError(f"there is no machine {self.project}; start one with: tests/vm/run up")
        return int(json.loads(self._state.read_text())["port"])

    def ssh_argv(self, *options: str) -> list[str]:
        """An ssh command line, without the command. One connection is made and shared by all."""
        return [
            "ssh", "-F", "none", "-i", str(self.key), "-p", str(self.port), "-o", f"UserKnownHostsFile={self.folder / 'known_hosts'}",
            "-o", "StrictHostKeyChecking=yes", "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes", "-o", "ConnectTimeout=30",
            "-o", "LogLevel=ERROR", "-o", f"ControlPath={self.folder / 'cp'}", "-o", "ControlMaster=auto", "-o", "ControlPersist=600",
            *options, "root@127.0.0.1",
        ]  # fmt: skip

    def run(self, line: str, *, check: bool = True, timeout: float = 600, stdin: Optional[str] = None) -> subprocess.CompletedProcess[str]:
        """Run the shell line LINE in it as root."""
        return run([*self.ssh_argv(), line], check=check, timeout=timeout, stdin=stdin)

    def output(self, line: str, *, timeout: float = 600) -> str:
        """What LINE prints, without the last newline."""
        return self.run(line, timeout=timeout).stdout.strip()

    def push(self, folder: Path, target: str, *names: str) -> None:
        """Copy NAMES of FOLDER (all of it when none are given) below TARGET in the machine, owned by root."""
        tar = ["tar", "-c", "--owner=0", "--group=0", "--exclude=__pycache__", "-C", str(folder), *(names or (".",))]
        line = f"mkdir -p {target} && tar -x -p --no-overwrite-dir -C {target}"
        with subprocess.Popen(tar, stdout=subprocess.PIPE) as archive:
            done = subprocess.run([*self.ssh_argv(), line], stdin=archive.stdout, capture_output=True, text=True, check=False, timeout=600)
        if done.returncode or archive.returncode:
            raise RigError(f"{folder} could not be copied into the machine: {done.stderr.strip()}")

    def pull(self, path: str) -> bytes:
        """The bytes of a file in the machine."""
        done = subprocess.run([*self.ssh_argv(), f"cat {path}"], stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=600)
        if done.returncode:
            raise RigError(f"{path} could not be copied out of the machine: {done.stderr.decode(errors='replace').strip()}")
        return done.stdout

    def lay_tools(self) -> None:
        """The tools and the engine of this checkout, as files; no unit is started."""
        self.push(CHECKOUT / "overlay", "/", "usr", "etc")

    # -- inner works

    def _argv(self, state: Mapping[str, Any]) -> list[str]:
        image, kernel, initrd = state["medium"]
        argv = [
            "qemu-system-x86_64", "-name", f"asl-vm-{self.project}", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2",
            "-m", str(state["memory"]), "-nodefaults", "-no-user-config", "-display", "none", "-daemonize", "-pidfile", str(self._pid),
            "-serial", f"file:{self.console}", "-qmp", f"unix:{self._qmp},server=on,wait=off",
            "-kernel", kernel, "-initrd", initrd, "-append", APPEND,
            "-netdev", f"user,id=net,hostfwd=tcp:127.0.0.1:{state['port']}-:22", "-device", "virtio-net-pci,netdev=net,romfile=",
            "-device", "virtio-rng-pci",
            "-drive", f"if=none,id=live,file={image},format=raw,readonly=on", "-device", "virtio-blk-pci,drive=live,serial=live",
            *self._credentials(),
        ]  # fmt: skip
        for name in [*state["disks"], "state"]:
            argv += ["-drive", f"if=none,id=disk-{name},file={self.disk(name)},format=qcow2,discard=unmap"]
            # The state disk only carries the memory of snapshots: the guest never sees it.
            argv += ["-device", f"virtio-blk-pci,drive=disk-{name},serial={name}"] if name != "state" else []
        return argv

    def _credentials(self) -> list[str]:
        """Keys as systemd credentials: nothing secret is in the medium, and every machine has its own."""
        allowed = base64.b64encode((self.folder / "key.pub").read_bytes()).decode()
        host = base64.b64encode((self.folder / "host").read_bytes()).decode()
        rule = base64.b64encode(f"f~ /etc/ssh/ssh_host_ed25519_key 0600 root root - {host}\n".encode()).decode()
        argv = []
        for name, value in (("ssh.authorized_keys.root", allowed), ("tmpfiles.extra", rule)):
            argv += ["-smbios", f"type=11,value=io.systemd.credential.binary:{name}={value}"]
        return argv

    def _await_ssh(self, port: int) -> None:
        """Try until the server answers and lets us in."""
        deadline = time.monotonic() + BOOT_SECONDS
        while time.monotonic() < deadline:
            if not self.alive():
                raise RigError(f"qemu ended while {self.project} booted; see {self.console}")
            if "Kernel panic" in self.console.read_text(errors="replace"):
                raise Panicked(f"the kernel of {self.project} panicked while it booted; see {self.console}")
            if _greeted(port) and self.run("true", check=False, timeout=120).returncode == 0:
                return
            time.sleep(0.5)
        raise RigError(f"the machine {self.project} did not answer over SSH within {BOOT_SECONDS} s; see {self.console}")

    def reconnect(self) -> None:
        """Drop the connection that all commands share, as a network does."""
        self._forget_connection()

    def _forget_connection(self) -> None:
        if (self.folder / "cp").exists():
            run(["ssh", "-F", "none", "-o", f"ControlPath={self.folder / 'cp'}", "-O", "exit", "root@127.0.0.1"], check=False, timeout=20)
            (self.folder / "cp").unlink(missing_ok=True)


def _gone(pid: int) -> bool:
    """Whether a process has let go of all its files. Whoever inherited it may take his time to reap it."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        return state == "Z" and len(list(Path(f"/proc/{pid}/task").iterdir())) == 1
    except OSError:
        return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _greeted(port: int) -> bool:
    """Whether an SSH server says its name. qemu itself accepts the connection long before the guest listens."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=10) as link:
            return link.recv(4) == b"SSH-"
    except OSError:
        return False
