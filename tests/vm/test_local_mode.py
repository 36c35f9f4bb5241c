# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole local mode over SSH: rescue.yml imports the approved pool, mounts it, reads dirty file systems, verifies, reports; release.yml
lets go of all of it. And the plug pulled in the middle of an intake into the pool."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from rig.places import CHECKOUT

from vm.conftest import BY_ID, CRASH, prepare, sh
from vm.machine import Machine

# File systems in use when the power went: their images are copied while they are mounted and written to.
SYSTEMS = {"ext4": "64M", "xfs": "320M", "btrfs": "128M"}
MAKE = """
mkdir -p /v /m; mountpoint -q /v || mount -t tmpfs none /v; mkdir -p /v/kept
make() {
  truncate -s $2 /v/$1; mkfs.$1 -q /v/$1; mkdir /m/$1; mount -o loop /v/$1 /m/$1
  cp -a /etc/systemd /usr/bin/python3 /m/$1/; head -c 3M /dev/urandom > /m/$1/noise
  mount -o remount,ro /m/$1; mount -o remount,rw /m/$1  # what came before is in its place, and what comes now in the journal only
  echo more > /m/$1/late; sync /m/$1/late
  cp --sparse=always /v/$1 /v/kept/; umount /m/$1; losetup -f --show /v/kept/$1
}
"""


@pytest.fixture
def vm(crashed: Machine) -> Machine:
    """The rescue system with the disks of a host that crashed."""
    return crashed


def playbook(vm: Machine, folder: Path, name: str, **variables: Any) -> tuple[int, dict[str, int], str]:
    """Run a playbook against it: status, the counts of the recap, all it printed."""
    words = vm.ssh_argv()
    options = [word for at, word in enumerate(words[:-1]) if words[at - 1] == "-o" and not word.startswith(("Control", "Connect"))]
    host = {"ansible_host": "127.0.0.1", "ansible_port": vm.port, "ansible_user": "root", "ansible_ssh_private_key_file": str(vm.key)}
    inventory = {"broken-hosts": {"hosts": {"web07": {**host, "ansible_ssh_common_args": " ".join(f"-o {each}" for each in options)}}}}
    (folder / "hosts.json").write_text(json.dumps(inventory))
    (folder / "vars.json").write_text(json.dumps({"asl_report_dir": str(folder / "reports"), **variables}))
    argv = [str(Path(sys.executable).parent / "ansible-playbook"), f"playbooks/{name}.yml", "-i", str(folder / "hosts.json"),
            "-e", f"@{folder / 'vars.json'}"]  # fmt: skip
    settings = {"CONFIG": str(CHECKOUT / "playbooks/ansible.cfg"), "NOCOLOR": "1", "TIMEOUT": "120", "STDOUT_CALLBACK": "default"}
    environment = {**os.environ, **{f"ANSIBLE_{key}": value for key, value in settings.items()}, "ANSIBLE_LOCAL_TEMP": str(folder / "tmp")}
    done = subprocess.run(argv, cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    recap = re.search(r"^web07\s+:(.*)$", done.stdout, re.MULTILINE)
    counts = {key: int(value) for key, value in re.findall(r"(\w+)=(\d+)", recap[1] if recap else "")}
    return done.returncode, counts, done.stdout + done.stderr


def guid(vm: Machine, name: str) -> str:
    (found,) = [each for each in json.loads(vm.output("asl-intake survey --json"))["pools"] if each["name"] == name]
    return str(found["guid"])


def host_report(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "reports" / "web07.json").read_text())
    return found


def test_the_whole_local_mode(vm: Machine, tmp_path: Path) -> None:
    loops = [sh(vm, f"{MAKE}\nmake {name} {size} 2>/dev/null").splitlines()[-1] for name, size in SYSTEMS.items()]
    disks = " ".join([f"{BY_ID}-one", f"{BY_ID}-two", *loops])
    before = vm.output(f"sha256sum {disks}")
    sources = [f"fs:{path}" for path in loops]
    # Nobody approved anything: there is no place for the data, and nothing is imported.
    rc, _, said = playbook(vm, tmp_path, "rescue", asl_sources=sources, asl_conf={"mode": "local"})
    assert rc != 0
    assert "APPROVAL_REQUIRED" in said
    assert vm.output("zpool list -H -o name") == ""
    backend, source = guid(vm, "rescuepool"), guid(vm, "tank")
    asked = {
        "asl_sources": [*sources, "zfs:tank/etc"], "asl_conf": {"mode": "local", "local.approved": [backend]}, "asl_init": True,
        "asl_source_pools": [source], "asl_force_foreign": [source],
    }  # fmt: skip
    rc, counts, said = playbook(vm, tmp_path, "rescue", **asked)
    assert rc == 0, said[-6000:]
    first = host_report(tmp_path)
    assert (first["rescued"], first["store"]) == (True, "/mnt/asl/local")
    assert all(each["files"] > 0 for each in first["phases"]["intake"]["sources"])
    assert [pool["role"] for pool in first["phases"]["pool"]["pools"]] == ["backend", "source"]
    assert vm.output("findmnt -no SOURCE /mnt/asl/local") == "rescuepool/asl"
    rc, counts, said = playbook(vm, tmp_path, "rescue", **asked)
    assert (rc, counts["changed"], counts["failed"]) == (0, 0, 0), said[-6000:]
    assert host_report(tmp_path)["digest"] == first["digest"]
    assert vm.run("asl-debug check --store /mnt/asl/local", check=False).returncode == 0
    rc, _, said = playbook(vm, tmp_path, "release", asl_conf=asked["asl_conf"])
    assert rc == 0, said[-6000:]
    assert vm.output("zpool list -H -o name; ls /mnt/asl/local /usr/local/lib/asl 2>/dev/null; cat /sys/block/vd[bc]/ro | sort -u") == "0"
    rc, counts, said = playbook(vm, tmp_path, "release")
    assert (rc, counts["changed"]) == (0, 0), said[-6000:]
    assert vm.output(f"sha256sum {disks}") == before


def test_the_plug_is_pulled_in_the_middle_of_an_intake(vm: Machine, tmp_path: Path) -> None:
    """The pool comes back as any store after a crash: what was acknowledged is there, and the same command ends in the same digest."""
    backend = guid(vm, "rescuepool")
    attach = f"asl-admin pool import {backend} --role backend --approve {backend} --init --json"
    vm.run(attach)
    sources = f"tree:/usr/lib/x86_64-linux-gnu device:{BY_ID}-one"
    vm.run("asl-admin init /run/other")
    wanted = json.loads(vm.output(f"asl-intake run {sources} --store /run/other --json"))["digest"]
    vm.run(f"nohup asl-intake run {sources} --store /mnt/asl/local > /dev/null 2>&1 &")
    vm.run("until find /mnt/asl/local/blocks -type f | grep -q .; do :; done")
    assert vm.run("pgrep -f 'asl-intake run'", check=False).returncode == 0, "it was still at work"
    vm.kill()
    image = vm.raw("three", tmp_path / "three")
    # The machine as it was before it ever saw the pool imported, and the pool's disk as it was when the plug was pulled.
    vm.revive()
    vm.reset(CRASH)
    vm.pour(image, "three", empty=False)
    prepare(vm)
    again = json.loads(vm.output(attach))
    assert again["mounted_at"] == "/mnt/asl/local"
    assert json.loads(vm.output(f"asl-intake run {sources} --store /mnt/asl/local --json"))["digest"] == wanted
    checked = json.loads(vm.output("asl-debug check --store /mnt/asl/local --json"))
    assert (checked["ok"], checked["faults"]) == (True, [])
