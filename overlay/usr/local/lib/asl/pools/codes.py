# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every reason for which a pool is not imported or exported: its stable code, the sentence, and the way out. docs/zfs.md has them all.

What preflight says too (a pool on a disk with source data, two pools of one GUID, a live writer …) has the code and the words of
asl.preflight.codes, from where refused() takes it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from asl.errors import Refused, Unavailable
from asl.preflight import codes as preflight


class Reason(NamedTuple):
    """Templates for str.format."""

    text: str
    hint: str


_SURVEY = "asl-intake survey shows the pool, its members and what is missing"
_MMP_TEXT = (
    "the pool {name} ({guid}) has multihost on and is {state}, last used with hostid {theirs}: OpenZFS {module} imports such a pool "
    "read-only only when it was exported and this machine's hostid ({ours}) is the same"
)
_MMP_HINT = (
    "this does not say that another host has it. Ways out: {same}give --txg {txg}, which leaves out that check and verifies the whole "
    "pool instead (spa_load_verify_metadata=0 and spa_load_verify_data=0 shorten that); or import copy-on-write overlays of its devices"
)

REASONS: dict[str, Reason] = {
    # which pool, and whether it may be
    "NOT_A_GUID": Reason(
        "{pool} is no GUID, and a pool is named by its GUID only: a name can be that of two", "asl-admin pool list shows the GUIDs"
    ),
    "NOT_APPROVED": Reason("the pool {name} ({guid}) is not approved for an import as {role}", "approve it by its GUID: --approve {guid}"),
    "NO_SUCH_POOL": Reason("no pool with the GUID {guid} was seen on {where}", _SURVEY),
    "SCAN_INCOMPLETE": Reason(
        "the pool {name} ({guid}) lacks devices, and {devices} gave no answer", "look at these first: asl-intake survey"
    ),
    # what the labels say
    "FOREIGN_HOST": Reason(
        "the pool {name} ({guid}) was last used by the host {hostname} (hostid {theirs}) and never exported",
        "when that is the crashed host, surely off: --force-foreign",
    ),
    "POOL_INCOMPLETE": Reason(
        "of the pool {name} ({guid}) too many devices are missing: {missing}", "attach them, or images of them; " + _SURVEY
    ),
    "TOP_LEVEL_MISSING": Reason(
        "of the pool {name} ({guid}) {seen} of {all} top-level vdevs were seen, and labels do not tell whether the others hold data",
        "attach them, or images of them; when it is only the log device that is gone: --allow-missing-log, and ZFS refuses if it is not",
    ),
    "MISSING_LOG": Reason(
        "the log device of the pool {name} ({guid}) is missing: {missing}",
        "attach it, or do without the last seconds of synchronous writes: --allow-missing-log",
    ),
    "POOL_DESTROYED": Reason("the pool {name} ({guid}) was destroyed on purpose", "an operator may import it by hand: zpool import -D"),
    "MEMBER_HELD": Reason("{member}, of the pool {name} ({guid}), is in use by {holder}", "stop what uses it, then run the same again"),
    "FEATURES_UNSUPPORTED": Reason(
        "the pool {name} ({guid}) cannot be read by the ZFS here, which does not know {features}",
        "boot a rescue system with a newer ZFS",
    ),
    "HOSTID_NOT_SET": Reason(
        "the pool {name} ({guid}) has multihost on, and this machine has no hostid",
        "give it one, for an exported pool that of its last host ({theirs}): echo {number} > /sys/module/spl/parameters/spl_hostid",
    ),
    "MMP_RULE": Reason(_MMP_TEXT, _MMP_HINT),
    # this machine
    "MODULE_NOT_LOADED": Reason("the ZFS module is there but not loaded", "allow it: --load-module"),
    "MEMORY_TOO_LOW": Reason("{free} MiB of memory are available, and ZFS needs {need} MiB", "free memory, then run the same again"),
    "ZPOOL_HANGS": Reason(
        "{command} (process {pid}) hangs in the kernel, so another one would hang too",
        "look at dmesg and /proc/{pid}/stack; reboot the rescue system, and take images of the disks before the next import",
    ),
    "UNITS_NOT_MASKED": Reason(
        "{units} would import or mount pools by itself and cannot be masked", "mask it by hand, then run the same again"
    ),
    "MOUNTPOINT_NOT_EMPTY": Reason("{path} is not empty, and a mount would hide what is there", "move it away, then run the same again"),
    # what is imported already
    "WRONG_MODE": Reason(
        "the pool {name} ({guid}) is imported {mode} already, so it cannot be taken as {role}",
        "the operator decides: exporting a pool that is imported writable writes to it once more",
    ),
    "NAME_TAKEN": Reason("another pool is imported under the name {name}", "export that one first"),
    "NOT_OURS": Reason(
        "the pool {name} ({guid}) is imported writable and is no approved backend",
        "exporting it writes to it once more; if that is wanted: zpool export {name}",
    ),
    # what ZFS itself said
    "MMP_ACTIVE": Reason(
        "the pool {name} ({guid}) cannot be imported, its multihost check failed: {words}", "find out whether another system has it"
    ),
    "IMPORT_FAILED": Reason("the pool {name} ({guid}) cannot be imported: {words}", "/proc/spl/kstat/zfs/dbgmsg may say more"),
    "IMPORT_TIMEOUT": Reason(
        "the import of the pool {name} ({guid}) gave no answer within {seconds} seconds{left}",
        "nothing was tried again. Look at dmesg; reboot the rescue system, and take images of the disks before the next import",
    ),
    "AFTER_CHECK": Reason(
        "the pool {name} ({guid}) was imported, but {what}; it was exported at once", "look at zpool get all {name} and dmesg"
    ),
    "EXPORT_FAILED": Reason(
        "the pool {name} ({guid}) was imported, but {what}; it cannot be exported again: {words}",
        "it is still imported: end what uses it, then zpool export {pool}",
    ),
    "NO_DATASET": Reason("the pool {name} ({guid}) has no dataset {dataset}; it was exported again", "have it made: --init"),
    "MOUNT_FAILED": Reason("{dataset} cannot be mounted at {path}: {words}", "mend the cause and run the same again: it goes on there"),
    "DATASET_FAILED": Reason("the dataset {dataset} cannot be made: {words}", "make it by hand, then run the same again"),
    "POOL_BUSY": Reason(
        "the pool {name} ({guid}) cannot be exported: {words}", "end what uses it (lsof, asl-intake status), then run the same again"
    ),
    "EXPORT_TIMEOUT": Reason(
        "the export of the pool {name} ({guid}) gave no answer within {seconds} seconds{left}", "nothing was tried again; look at dmesg"
    ),
    "LABELS_CHANGED": Reason(
        "the labels of {devices} are not what they were before the import of {name} ({guid})", "find out who writes to it"
    ),
}


def told(code: str, **fields: Any) -> tuple[str, str]:
    """The sentence and the way out. Raises KeyError for a code or field that is in neither table."""
    if code in REASONS:
        return REASONS[code].text.format(**fields), REASONS[code].hint.format(**fields)
    found = preflight.finding(code, **fields)
    return found["text"], found["hint"]


def refused(code: str, **fields: Any) -> Refused:
    """A safety rule forbids it."""
    text, hint = told(code, **fields)
    return Refused(text, reason=code, hint=hint)


def unavailable(code: str, **fields: Any) -> Unavailable:
    """It was tried, or could not be."""
    text, hint = told(code, **fields)
    return Unavailable(text, reason=code, hint=hint)


def from_finding(finding: dict[str, str]) -> Refused:
    """What preflight has against it, as a refusal."""
    return Refused(finding["text"], reason=finding["code"], hint=finding["hint"])
