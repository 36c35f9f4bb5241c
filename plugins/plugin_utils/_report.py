# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change at any time.
"""Reports of a run: what each phase said of each host, in one JSON document and one short text, and a line for each in a summary.

The phases are the results that the roles register, ``<phase>_result``. Nothing is judged here that a tool has judged already: a host is
rescued when its intake has ended with a snapshot and nothing failed since.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
import typing as t
from pathlib import Path

PHASES = ("overlay", "remote", "preflight", "pool", "intake", "verify")
STATES = {
    "rescued": "rescued",
    "rescued_with_losses": "rescued, with losses",
    "running": "the intake is still running",
    "failed": "failed",
    "unreachable": "could not be reached",
    "predicted": "check mode: nothing was done",
    "incomplete": "not finished",
}
# What ssh says to a key that is not the known one.
HOST_KEY = ("IDENTIFICATION HAS CHANGED", "Host key verification failed")
RESCUED = ("rescued", "rescued_with_losses")
# How much of a snapshot was read back from its store, and what is said where that is not all.
READ_BACK = {"all": "", "sample": "only a sample of it was read back from the store", "nothing": "not read back from the store"}
# What a task result carries for Ansible itself, and what repeats what the report says elsewhere.
NOISE = (
    "ansible_facts", "attempts", "retries", "invocation", "failed", "unreachable", "changed", "diff", "deprecations", "exception",
    "skipped_reason",
)  # fmt: skip


def host_report(name: str, phases: t.Sequence[str], variables: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """Everything that is known of one host, from the variables its phases left."""
    results = {
        phase: of_loop(result)
        for phase in phases
        if isinstance(result := variables.get(f"{phase}_result"), dict) and not result.get("skipped")
    }
    state, culprit = judge(phases, results)
    intake = results.get("intake", {})
    return {
        "host": name,
        "state": state,
        "rescued": state in RESCUED,
        # A check run that found nothing in the way is as good as it can be.
        "ok": state in (*RESCUED, "predicted"),
        "sentence": sentence(state, culprit, results),
        "next": advice(state, culprit, results),
        "phase": culprit,
        "snapshot": intake.get("snapshot"),
        "digest": intake.get("digest"),
        "store": intake.get("store"),
        "read_back": read_back(intake.get("snapshot"), results.get("verify", {})) if intake.get("snapshot") else None,
        "phases": {phase: {"outcome": outcome(result), **cleaned(result)} for phase, result in results.items()},
    }


def of_loop(result: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """The result of a task that was done for each of several pools as one: what failed first, and all of them under C(pools)."""
    if not isinstance(result.get("results"), list):
        return {key: result[key] for key in result if key != "skipped_reason"}
    items = [cleaned(each) for each in result["results"] if not each.get("skipped")]
    first: dict[str, t.Any] = next((each for each in result["results"] if each.get("failed") or each.get("unreachable")), {})
    whole = {key: result[key] for key in result if key not in ("results", "msg", "skipped_reason")}
    return {**whole, **first, "pools": items}


def outcome(result: t.Mapping[str, t.Any]) -> str:
    """How a phase ended, in one word."""
    if result.get("unreachable"):
        return "unreachable"
    if result.get("failed"):
        return "failed"
    return "changed" if result.get("changed") else "ok"


def judge(phases: t.Sequence[str], results: t.Mapping[str, t.Mapping[str, t.Any]]) -> tuple[str, str | None]:
    """The state of a host, and the phase that it is due to."""
    for phase in phases:
        word = outcome(results.get(phase, {}))
        if word in ("unreachable", "failed"):
            return ("running" if results[phase].get("state") in ("queued", "running") else word), phase
    intake = results.get("intake", {})
    if intake.get("state") == "would-run":
        return "predicted", "intake"
    # A pool that would be imported has no root yet; and what would be read from it or into it, nobody knows.
    if not intake and any(pool.get("actions") and not pool.get("altroot") for pool in results.get("pool", {}).get("pools", [])):
        return "predicted", "pool"
    if intake.get("finished") and intake.get("snapshot"):
        losses = intake.get("losses") or intake.get("bytes_unread")
        return ("rescued_with_losses" if losses else "rescued"), None
    if intake.get("state") in ("queued", "running"):
        return "running", "intake"
    return ("incomplete" if results else "unreachable"), None


def sentence(state: str, culprit: str | None, results: t.Mapping[str, t.Mapping[str, t.Any]]) -> str:
    """What a tired operator has to know of the host, in one sentence."""
    if state in ("failed", "unreachable") and culprit:
        # A module's message ends with what to do next, which the report says apart.
        message = str(results[culprit].get("msg") or "no message").removesuffix(f". Next: {results[culprit].get('hint')}")
        message = " ".join(message.removeprefix("Task failed: ").split())
        return f"{STATES[state]} in phase {culprit}: {message}"
    if state.startswith("rescued"):
        intake = results["intake"]
        remark = READ_BACK[read_back(intake["snapshot"], results.get("verify", {}))]
        sealed = f"{STATES[state]}: snapshot {intake['snapshot']} in {intake.get('store')}, {extent(intake)}"
        return f"{sealed}; {remark}" if remark else sealed
    return STATES[state]


def read_back(snapshot: t.Any, verify: t.Mapping[str, t.Any]) -> str:
    """How much of SNAPSHOT the phase verify has read back and found right, a key of READ_BACK.

    To hold a source against a snapshot reads nothing back: it lists no snapshots."""
    read = verify.get("verification") or {}
    if not verify.get("ok") or str(snapshot) not in [str(each) for each in read.get("snapshots") or []]:
        return "nothing"
    return "sample" if read.get("artifacts_skipped") else "all"


def extent(read: t.Mapping[str, t.Any]) -> str:
    """How much of a source, or of all of them, is in the snapshot."""
    unread = read.get("bytes_unread")
    return f"{size(read.get('size'))}, {size(unread) + ' of it could not be read' if unread else 'every byte'}"


def advice(state: str, culprit: str | None, results: t.Mapping[str, t.Mapping[str, t.Any]]) -> str:
    """What to do next."""
    hint = results.get(culprit or "", {}).get("hint")
    if hint:
        return str(hint)
    if state == "unreachable" and any(word in str(results.get(culprit or "", {}).get("msg")) for word in HOST_KEY):
        return "it booted with a new host key: compare its fingerprint on the console, then run hostkeys.yml with asl_host_key"
    return {
        "rescued": "asl-admin restore gives the data back",
        "rescued_with_losses": "look at the losses below; asl-admin restore gives the rest back",
        "running": "run the same playbook again: it joins the running job",
        "unreachable": "check the address, the key and the power of the host, then run the same playbook again",
        "predicted": "run the same playbook without --check",
    }.get(state, "mend the cause, then run the same playbook again: it goes on where it stopped")


def cleaned(result: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """A result without what is Ansible's own."""
    # By key: Ansible warns of a value of its own that is on its way out as soon as it is looked at.
    return {key: result[key] for key in result if key not in NOISE and not key.startswith("_ansible")}


def text(host: t.Mapping[str, t.Any]) -> str:
    """The short report of one host."""
    lines = [f"{host['host']}: {host['sentence']}", f"  next: {host['next']}"]
    for phase, result in host["phases"].items():
        lines.append(f"  {phase:10} {result['outcome']}{note(phase, result)}")
    intake = host["phases"].get("intake", {})
    for source in intake.get("sources") or []:
        lines.append(f"  {source.get('source')}: {source.get('files', 0)} files, {extent(source)}")
        lines += [f"    {remark}" for remark in [source.get("view"), *(source.get("notes") or [])] if remark]
    losses = intake.get("losses") or []
    lines += [f"  lost: {loss.get('what')} {loss.get('where')} ({loss.get('why')})" for loss in losses[:20]]
    if len(losses) > 20 or intake.get("losses_omitted"):
        lines.append("  lost: and more, see the receipt of the snapshot (asl-admin show)")
    return "\n".join(printable(line) for line in lines) + "\n"


def note(phase: str, result: t.Mapping[str, t.Any]) -> str:
    """The few words of a phase that matter."""
    if phase == "overlay":
        return f" ({len(result.get('actions') or [])} actions)"
    if phase == "preflight" and result.get("mode"):
        return f" (mode {result['mode']}, {result.get('reason')})"
    if phase == "pool" and result.get("pools"):
        return f" ({', '.join(str(pool.get('name')) + ' as ' + str(pool.get('role')) for pool in result['pools'] if pool.get('name'))})"
    if phase == "intake" and result.get("snapshot"):
        return f" (snapshot {result['snapshot']}, {size(result.get('bytes_new'))} new, {size(result.get('bytes_duplicate'))} duplicate)"
    return ""


def summary(hosts: t.Sequence[t.Mapping[str, t.Any]], folder: Path) -> str:
    """One line for each host, and how many are safe."""
    width = max((len(host["host"]) for host in hosts), default=0)
    lines = [printable(f"{host['host'].ljust(width)}  {host['sentence']}") for host in hosts]
    safe = sum(1 for host in hosts if host["rescued"])
    return "\n".join([*lines, f"{safe} of {len(hosts)} hosts rescued; reports are in {folder}, begin with report.html"]) + "\n"


def write(folder: Path, hosts: t.Sequence[t.Mapping[str, t.Any]]) -> None:
    """Write <host>.json and <host>.txt for each host, summary.json and summary.txt. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    for host in hosts:
        name = file_name(host["host"])
        replace(folder / f"{name}.json", document(host))
        replace(folder / f"{name}.txt", text(host))
    short = [{key: host[key] for key in ("host", "state", "rescued", "sentence", "next", "snapshot", "digest", "store")} for host in hosts]
    replace(folder / "summary.json", document({"hosts": short}))
    replace(folder / "summary.txt", summary(hosts, folder))


def document(content: t.Any) -> str:
    """JSON that can be read by people and compared between runs. Names on disk need not be UTF-8; escapes keep them."""
    return json.dumps(content, indent=1, sort_keys=True, ensure_ascii=True, default=str) + "\n"


def replace(path: Path, content: str) -> None:
    """Put a whole file in place, so that nobody reads half a report."""
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
        file.write(content)
    os.chmod(temporary, 0o644)
    os.replace(temporary, path)


def file_name(host: str) -> str:
    """A host's name as a file name; what cannot stand in one, and a leading dot, becomes an underscore."""
    return re.sub(r"[^A-Za-z0-9._-]|^\.", "_", host)


def printable(line: str) -> str:
    """Without anything a terminal would act on: names come from crashed disks."""
    return "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in line)


def size(count: t.Any) -> str:
    """Bytes as people read them."""
    if not isinstance(count, (int, float)):
        return "?"
    value, units = float(count), ["B", "KiB", "MiB", "GiB", "TiB"]
    while value >= 1024 and len(units) > 1:
        value /= 1024
        units.pop(0)
    return f"{value:.0f} {units[0]}" if units[0] == "B" else f"{value:.1f} {units[0]}"
