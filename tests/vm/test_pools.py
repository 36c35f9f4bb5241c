# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Survey and preflight on real pools in the live system: what they find, and that they leave no trace on any device."""

from __future__ import annotations

import json
import re
from typing import Any

from vm.machine import Machine

HASHES = "for n in one two three four; do sha256sum < /dev/disk/by-id/virtio-$n; done"
BY_ID = "/dev/disk/by-id/virtio"


def survey(vm: Machine) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(vm.output("asl-intake survey --json"))
    return found


def zdb(vm: Machine, path: str) -> dict[str, str]:
    """The words of `zdb -l` about the first good label: the last value of each key at the outermost level."""
    return dict(re.findall(r"^    (\w+): '?([^'\n]*)'?$", vm.output(f"zdb -l {path}"), re.MULTILINE))


def test_without_the_module(vm: Machine) -> None:
    """No module is loaded by looking, and the empty disks show no pool."""
    assert survey(vm)["pools"] == []
    report = json.loads(vm.output("asl-intake preflight --check --json"))
    assert report["facts"]["zfs"]["status"] == "loadable"
    assert vm.output("lsmod | grep -c zfs || true") == "0"


def test_a_pool_says_the_same_to_us_and_to_zdb(vm: Machine) -> None:
    vm.run("modprobe zfs && zgenhostid -f 0badcafe && echo 195939070 > /sys/module/spl/parameters/spl_hostid")
    vm.run(f"zpool create -f tank mirror {BY_ID}-one {BY_ID}-two log {BY_ID}-three && zpool sync tank")
    guid = vm.output("zpool get -Hpo value guid tank")
    vm.run("zpool export tank")
    (pool,) = survey(vm)["pools"]
    assert (pool["guid"], pool["name"], pool["state"]) == (guid, "tank", "exported")
    assert (pool["top_level"], pool["top_level_seen"], pool["hazards"], pool["hostid"]) == (2, 2, [], 195939070)
    assert [(member["path"], member["role"], member["labels"]) for member in pool["members"]] == [
        ("/dev/vdb1", "data", 4),
        ("/dev/vdc1", "data", 4),
        ("/dev/vdd1", "log", 4),
    ]
    for member in pool["members"]:
        said = zdb(vm, member["path"])
        assert (said["pool_guid"], said["guid"], said["name"]) == (guid, member["guid"], "tank")
        assert (int(said["hostid"]), said["hostname"]) == (pool["hostid"], pool["hostname"])


def test_looking_changes_nothing(crashed: Machine) -> None:
    """After a power cut: devices hashed before and after, no device opened for writing, and no tool of others run."""
    vm = crashed
    before = vm.output(HASHES)
    found = survey(vm)["pools"]
    assert {each["name"]: each["state"] for each in found} == {"tank": "active", "rescuepool": "exported"}
    vm.run("strace -f -e trace=open,openat,execve -o /run/trace asl-intake preflight --check --json > /run/report.json")
    opened = vm.output("grep '\"/dev/[a-z]' /run/trace | grep -v '/dev/null'")
    assert "/dev/vdb" in opened
    assert "O_RDWR" not in opened
    assert "O_WRONLY" not in opened
    report = json.loads(vm.pull("/run/report.json"))
    assert {each["guid"] for each in report["facts"]["pools"]} == {each["guid"] for each in found}
    assert vm.output(HASHES) == before
    run = re.findall(r'execve\("([^"]*)".* = 0$', vm.output("grep execve /run/trace"), re.MULTILINE)
    assert [path.rpartition("/")[2] for path in run if "python" not in path] == ["asl-intake"]


STATES = """
state() { cd /usr/local/lib; python3 -B -c 'from asl.preflight.zfs import capability; print(capability().status)'; }
modules=/lib/modules/$(uname -r)
modprobe zfs; state
rmmod zfs spl; state
sed -i '/zfs.ko/d' $modules/modules.dep; state
mv /usr/sbin/zpool /usr/sbin/zpool.real; state
printf '#!/bin/sh\\nexit 9\\n' > /usr/sbin/zpool; chmod +x /usr/sbin/zpool; state
"""


def test_capability(vm: Machine) -> None:
    assert vm.output(STATES).split() == ["loaded", "loadable", "tools_only", "absent", "stub"]
