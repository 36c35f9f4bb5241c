# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every finding preflight can make: its stable code, severity, sentence and what to do next. The documentation is made from this table.

A reason is the code that decided the mode; REASONS says each in a sentence. Codes are never reused for another meaning.
"""

from __future__ import annotations

from typing import Any, NamedTuple

SEVERITIES = ("info", "warning", "error")


class Code(NamedTuple):
    """``text`` is a template for str.format; ``hint`` says what to do next."""

    severity: str
    text: str
    hint: str


_UNMOUNT = "unmount it, or mount it read-only with the option that keeps the journal from being replayed; then run preflight again"
_LABELS = "asl-intake survey shows the pool and its members"

CODES: dict[str, Code] = {
    # environment
    "NOT_RESCUE_ENV": Code(
        "error", "this is not a rescue system: {why}", "boot a live system; an installed system may be the one that is to be rescued"
    ),
    "CONTAINER": Code("info", "this is a container ({kind}): swap, md and device mapper are its host's and were not judged", ""),
    "RESUME_CONFIGURED": Code(
        "warning",
        "the kernel was told to resume from {device}",
        "boot with noresume: resuming would write to the disks of the crashed system",
    ),
    "NO_SCRATCH": Code(
        "error",
        "{path} cannot be used: {why}",
        "mount a tmpfs or a USB stick there, or free memory; never use a disk of the crashed system",
    ),
    "LOW_SCRATCH": Code(
        "warning",
        "{path} is nearly full (less than {need} MiB free)",
        "free space there, or give the live system more room for its overlay",
    ),
    "LOW_MEMORY": Code("warning", "less than {need} MiB of memory are available", "stop what is not needed, or lower intake.jobs"),
    "CLOCK_IMPLAUSIBLE": Code("warning", "the clock shows a time before this software was made", "set the clock: date -s, or chronyd -q"),
    # who touches disks
    "SOURCE_MOUNTED_RW": Code("error", "{device} ({fstype}) is mounted writable at {mount_point}", _UNMOUNT),
    "SWAP_ON_DISK": Code("error", "{name} is in use as swap", "run swapoff on it: swapping writes to the disk"),
    "SOURCE_IMPORTED_RW": Code(
        "error",
        "the pool {name} is imported writable and is not the approved backend",
        "the operator decides: exporting it writes once more",
    ),
    "POOL_IMPORTED": Code(
        "warning",
        "the pool {name} is imported, and whether writable cannot be seen",
        "check it with: zpool get readonly {name}",
    ),
    "MD_ACTIVE": Code(
        "warning",
        "the array {name} ({members}) is assembled and may be written",
        "stop it, or assemble it with --readonly, before an intake",
    ),
    "MD_SYNC": Code(
        "error",
        "the array {name} ({members}) is being written by a {action}",
        "this already changed the members; the operator decides whether to freeze it (sync_action) or let it end",
    ),
    "MD_READ_ONLY": Code("info", "the array {name} ({members}) is assembled read-only", ""),
    "DM_WRITABLE": Code(
        "warning",
        "the {kind} device {name} on {disks} is active and may be written",
        "deactivate it, or activate it read-only, before an intake",
    ),
    "ZFS_UNITS": Code("warning", "{unit} is enabled and would import or mount pools by itself", "mask it: systemctl mask --runtime {unit}"),
    "DISK_DAEMON": Code(
        "warning", "{name} is running and may mount, assemble or repair disks by itself", "stop it before disks are attached"
    ),
    "LIVE_WRITER": Code(
        "error",
        "the pool {name} ({guid}) is being written by another system right now",
        "find that system first; nothing here overrides this",
    ),
    "POOL_WRITTEN": Code(
        "warning",
        "the pool {name} ({guid}) is being written by another system right now, so it cannot be taken as a source",
        "find that system first, for instance another host on the same storage network or a virtual machine",
    ),
    # the local backend
    "STORE_READY": Code("info", "{path} is an initialised store and can be written", ""),
    "STORE_NOT_INITIALISED": Code("warning", "something is mounted at {path}, but it holds no store", "make one: asl-admin init {path}"),
    "STORE_READ_ONLY": Code("warning", "the store at {path} cannot be written", "mount it writable, or check the pool's health"),
    "STORE_NO_ANSWER": Code("warning", "{path} could not be looked at: {why}", "check what is mounted there"),
    "STORE_SHARES_DISK": Code(
        "warning",
        "the store at {path} lies on {disks}, which has other partitions ({others})",
        "make sure that this is no disk of the crashed system",
    ),
    "NO_STORE": Code("info", "there is no store at {path}", "mount one there, or set remote.endpoint or remote.mount"),
    "NO_BACKEND_POOL": Code(
        "warning", "no pool named {name}, and none that is approved, was seen", "attach its disks, or mount a store at local.mount"
    ),
    "APPROVAL_REQUIRED": Code(
        "warning", "the pool {name} ({guid}) could be the backend but is not approved", "approve it by GUID: local.approved = {guid}"
    ),
    "AMBIGUOUS_NAME": Code("warning", "two pools are named {name} ({guids})", "approve the right one by GUID: local.approved"),
    "DUPLICATE_GUID": Code("warning", "two different pools carry the GUID {guid} (a cloned disk?)", "detach one of them"),
    "BACKEND_ON_SOURCE": Code(
        "warning",
        "the pool {name} ({guid}) lies on a disk that also carries data to be rescued",
        "use another backend: this disk is never written",
    ),
    "BACKEND_INCOMPLETE": Code(
        "warning", "of the pool {name} ({guid}) {seen} of {all} top-level vdevs were seen, or a member did not answer", _LABELS
    ),
    "BACKEND_DESTROYED": Code("warning", "the pool {name} ({guid}) is marked as destroyed", _LABELS),
    "BACKEND_DEGRADED": Code(
        "warning",
        "the pool {name} ({guid}) is degraded",
        "repair it first: an intake into it could lose what it acknowledged; or take it as it is: --role backend --allow-degraded",
    ),
    "BACKEND_FOREIGN": Code(
        "warning",
        "the pool {name} ({guid}) was last used by another host and never exported",
        "export it there; or, when that host is surely off: asl-admin pool import {guid} --role backend --force-foreign",
    ),
    "BACKEND_FEATURES": Code(
        "warning",
        "the pool {name} ({guid}) needs features that the ZFS here does not have: {features}",
        "boot a rescue system with a newer ZFS",
    ),
    "MMP_ACTIVE": Code("warning", "the pool {name} ({guid}) is imported by another system (multihost)", "export it there first"),
    "MMP_RULE": Code(
        "warning",
        "the pool {name} ({guid}) has multihost on, and this machine has no hostid",
        "give this machine a hostid: zgenhostid, or /sys/module/spl/parameters/spl_hostid",
    ),
    "MOUNTPOINT_TAKEN": Code("warning", "{path} is in use by something else than {name}/{dataset}", "unmount what is there"),
    "ZFS_UNUSABLE_ABSENT": Code("warning", "there is no ZFS on this system", "use a rescue image with ZFS, or the remote backend"),
    "ZFS_UNUSABLE_TOOLS_ONLY": Code(
        "warning", "the ZFS tools are here, but no module for the running kernel", "install the module that matches the kernel"
    ),
    "ZFS_UNUSABLE_STUB": Code(
        "warning", "{tool} is a script that would install ZFS when run, not ZFS", "install ZFS first, with its import units masked"
    ),
    "ZFS_UNUSABLE_FUSE": Code("warning", "{tool} is that of zfs-fuse, which cannot read today's pools", "install OpenZFS instead"),
    "ZFS_UNUSABLE_MISMATCH": Code(
        "warning", "the ZFS module ({module}) and the tools ({tools}) are of different versions", "install tools and module of one version"
    ),
    # the network
    "NO_NETWORK": Code("info", "no network interface is up", "check the cable and the address, if a remote endpoint is to be used"),
    "ENDPOINT_REACHABLE": Code("info", "{url} can be reached and its certificate is trusted", ""),
    "ENDPOINT_NOT_SET": Code("info", "no remote endpoint is configured", "set remote.endpoint or remote.mount, if the data is to go there"),
    "REMOTE_MOUNT_READY": Code("info", "the store mounted at {url} can be written", ""),
    "REMOTE_NOT_MOUNTED": Code("warning", "nothing is mounted at {url} (remote.mount)", "mount it; nothing here does that by itself"),
    "REMOTE_NO_ANSWER": Code("warning", "what is mounted at {url} does not answer: {detail}", "check the server and the network"),
    "REMOTE_NOT_INITIALISED": Code("warning", "there is no store at {url}", "asl-admin init {url} makes one"),
    "REMOTE_READ_ONLY": Code("warning", "the store mounted at {url} cannot be written", "mount it writable"),
    "ENDPOINT_DNS": Code("warning", "{url} cannot be reached: {detail}", "check the name and /etc/resolv.conf"),
    "ENDPOINT_TCP": Code("warning", "{url} cannot be reached: {detail}", "check routes and firewalls between here and there"),
    "ENDPOINT_TLS": Code(
        "warning",
        "{url} is not what it should be: {detail}",
        "check remote.ca and the clock; a portal or proxy in between looks like this too",
    ),
    "ENDPOINT_CA": Code("warning", "{url} cannot be checked: {detail}", "put the PEM file with the roots there, or unset remote.ca"),
    "CLOCK_SKEW": Code("warning", "{detail}", "set the clock and run preflight again"),
    "CLOCK_DRIFT": Code(
        "info", "our clock and that of {url} differ by more than five minutes", "set the clock, so that receipts can be compared"
    ),
    # the configuration
    "CONFIG_INVALID": Code("error", "{detail}", "correct the configuration and run preflight again"),
}

REASONS: dict[str, str] = {
    "LOCAL_READY": "the local store is mounted and can be written",
    "LOCAL_ELIGIBLE": "an approved backend pool can be imported",
    "LOCAL_NOT_APPROVED": "the backend pool that was seen is not approved, so the remote endpoint or mount is used",
    "REMOTE_CONFIGURED": "the configuration says remote, and the endpoint can be reached, or the store at remote.mount written",
    "REMOTE_ONLY": "there is no local backend, and the endpoint can be reached, or the store at remote.mount written",
    "ENDPOINT_UNREACHABLE": "the configuration says remote, and neither an endpoint nor a store at remote.mount can be used",
    "NOTHING_AVAILABLE": "there is neither a local backend nor an endpoint that can be reached, nor a store at remote.mount",
}


def finding(code: str, **fields: Any) -> dict[str, str]:
    """The finding as it stands in reports. Raises KeyError for a code or field that is not in the table."""
    entry = CODES[code]
    return {"code": code, "severity": entry.severity, "text": entry.text.format(**fields), "hint": entry.hint.format(**fields)}


def sentence(reason: str) -> str:
    """A reason as a sentence: for a finding's code the finding itself says it."""
    return REASONS.get(reason, "see the finding of this name")
