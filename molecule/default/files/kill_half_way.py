#!/usr/bin/python3
# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs on a host: start an intake into an empty store and kill -9 everything of it half way. Prints how far it had come.

The request is the one of the job that ran before, so that the playbook's next run joins and finishes it.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

STORE, STATE = "/mnt/asl/local", "/var/lib/asl"
DEADLINE = time.monotonic() + 120


def tool(*words):
    done = subprocess.run([*words, "--json"], capture_output=True, text=True, check=False)
    if not done.stdout:
        sys.exit(f"{' '.join(words)} said nothing: {done.stderr}")
    return json.loads(done.stdout)


def wipe():
    """An empty store and no memory of the runs before."""
    for name in os.listdir(STORE):
        path = os.path.join(STORE, name)
        if name != "lost+found":
            shutil.rmtree(path) if os.path.isdir(path) else os.unlink(path)
    for name in ("cache", "runtime"):
        for entry in os.listdir(os.path.join(STATE, name)):
            path = os.path.join(STATE, name, entry)
            shutil.rmtree(path) if os.path.isdir(path) else os.unlink(path)
    tool("/usr/local/bin/asl-admin", "init", STORE)


def half_way(job):
    """Wait until the job has read between a fifth and four fifths; returns the share."""
    while time.monotonic() < DEADLINE:
        answer = tool("/usr/local/bin/asl-intake", "status", job)
        if answer["finished"]:
            sys.exit("the intake was done before it could be killed")
        progress = answer["progress"] or {}
        if progress.get("bytes_total"):
            share = progress["bytes_done"] / progress["bytes_total"]
            if share > 0.2:
                return share
    sys.exit("the intake did not come half way in two minutes")


def kill():
    """SIGKILL to every process of the tools; systemd must not start the service anew before it is seen dead."""
    subprocess.run(["systemctl", "kill", "--kill-whom=all", "--signal=SIGKILL", "asl-intake.service"], check=False)
    for number in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{number}/cmdline", "rb") as handle:
                words = handle.read().split(b"\0")
        except OSError:
            continue
        if any(word.endswith(b"/asl-intake") for word in words) and int(number) != os.getpid():
            os.kill(int(number), signal.SIGKILL)


def main():
    subprocess.run(["systemctl", "stop", "asl-intake.service"], check=True)
    requests = [os.path.join(folder, "request.json") for folder, _, files in os.walk(f"{STATE}/runtime/queue") if "request.json" in files]
    with open(requests[0], encoding="utf-8") as handle:
        asked = json.load(handle)
    labels = [word for key, value in asked["labels"].items() for word in ("--label", f"{key}={value}")]
    wipe()
    subprocess.run(["systemctl", "start", "asl-intake.service"], check=True)
    job = tool("/usr/local/bin/asl-intake", "submit", *asked["sources"], *labels)["job"]
    share = half_way(job)
    subprocess.run(["systemctl", "mask", "--runtime", "asl-intake.service"], check=True)
    kill()
    subprocess.run(["systemctl", "unmask", "--runtime", "asl-intake.service"], check=True)
    acknowledged = tool("/usr/local/bin/asl-admin", "snapshots")["snapshots"]
    if acknowledged or tool("/usr/local/bin/asl-intake", "status", job)["finished"]:
        sys.exit("the intake was done before it was killed")
    print(f"killed at {share:.0%} of the first pass")


main()
