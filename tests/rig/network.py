# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One point-to-point link for each container, from the range that RFC 2544 sets aside for tests of devices (198.18.0.0/15).

No bridge, no packet filter, no forwarding: a container reaches this machine and nothing else. The link dies with the container.
"""

from __future__ import annotations

import json

from .process import RigError, output, run


def connect(process: int) -> tuple[str, str]:
    """Link the network namespace of PROCESS; returns this machine's address and the container's. Call under the lock "network"."""
    taken = {
        address["local"] for link in json.loads(output(["ip", "-json", "-4", "address"]) or "[]") for address in link.get("addr_info", [])
    }
    for number in range(1, 4096):
        block, rest = divmod(number * 4, 256)
        ours, theirs = f"198.18.{block}.{rest + 1}", f"198.18.{block}.{rest + 2}"
        if ours not in taken:
            break
    else:
        raise RigError("no free address is left in 198.18.0.0/18; take down rigs that are no longer used")
    outside, inside = f"aslrig{number}", "eth0"
    run(["ip", "link", "delete", outside], check=False)
    run(["ip", "link", "add", outside, "type", "veth", "peer", "name", inside, "netns", str(process)])
    run(["ip", "address", "add", f"{ours}/30", "dev", outside])
    run(["ip", "link", "set", outside, "up"])
    within = ["nsenter", "--target", str(process), "--net"]
    run([*within, "ip", "address", "add", f"{theirs}/30", "dev", inside])
    run([*within, "ip", "link", "set", inside, "up"])
    run([*within, "ip", "link", "set", "lo", "up"])
    return ours, theirs
