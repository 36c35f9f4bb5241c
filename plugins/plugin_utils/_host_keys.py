# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change at any time.
"""Host keys: which ones a machine offers, which ones are known, and whether a new one may be learned."""

from __future__ import annotations

import base64
import binascii
import contextlib
import fcntl
import hashlib
import subprocess
import typing as t
from pathlib import Path

SECONDS = 10


class HostKeyError(Exception):
    """A key is not learned; one sentence, its reason code and what to do next."""

    def __init__(self, message: str, reason: str, hint: str) -> None:
        super().__init__(message)
        self.reason, self.hint = reason, hint


class Key(t.NamedTuple):
    """One public key: its type and its base64."""

    kind: str
    blob: str

    @property
    def fingerprint(self) -> str:
        """As ssh-keygen -lf prints it."""
        return "SHA256:" + base64.b64encode(hashlib.sha256(base64.b64decode(self.blob)).digest()).decode().rstrip("=")


def parse(text: str) -> list[Key]:
    """The keys in the output of ssh-keyscan or ssh-keygen -F; comments and whatever is none are left out."""
    found = []
    for line in text.splitlines():
        words = line.split()
        if len(words) >= 3 and not line.startswith(("#", "@")):
            with contextlib.suppress(binascii.Error, ValueError):
                base64.b64decode(words[2], validate=True)
                found.append(Key(words[1], words[2]))
    return found


def name_of(address: str, port: int) -> str:
    """How a host is called in known_hosts."""
    return address if port == 22 else f"[{address}]:{port}"


def offered(address: str, port: int) -> list[Key]:
    """The keys that the machine offers now. Raises HostKeyError."""
    done = _run("ssh-keyscan", "-T", str(SECONDS), "-p", str(port), address)
    found = parse(done.stdout)
    if not found:
        said = " ".join(line for line in done.stderr.splitlines() if not line.startswith("#")) or f"no answer within {SECONDS} seconds"
        raise HostKeyError(
            f"{name_of(address, port)} offers no host key: {said}", "HOST_KEY_NO_ANSWER", "check the address, the power and the firewall"
        )
    return found


def decide(found: t.Sequence[Key], known: t.Sequence[Key], fingerprint: str | None, trust: bool, name: str) -> list[Key]:
    """The keys to learn, none when one that is known is offered. Raises HostKeyError."""
    if set(found) & set(known) and (fingerprint is None or fingerprint in {key.fingerprint for key in found if key in known}):
        return []
    offers = ", ".join(f"{key.fingerprint} ({key.kind})" for key in found)
    if fingerprint is not None:
        fitting = [key for key in found if key.fingerprint == fingerprint]
        if not fitting:
            raise HostKeyError(
                f"{name} offers {offers}, and not {fingerprint}",
                "HOST_KEY_WRONG",
                "read the fingerprint from its console once more; if it is right, somebody stands in between",
            )
        return fitting
    if trust:
        return list(found)
    what = "another host key than the one that is known" if known else "a host key that nobody has seen before"
    raise HostKeyError(
        f"{name} offers {what}: {offers}",
        "HOST_KEY_CHANGED" if known else "HOST_KEY_UNKNOWN",
        "compare it on its console (ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub), then: hostkeys.yml -e asl_host_key=SHA256:...",
    )


def known_to(path: Path, name: str) -> list[Key]:
    """The keys that PATH has for a host, hashed names too."""
    return parse(_run("ssh-keygen", "-F", name, "-f", str(path)).stdout) if path.exists() else []


def learn(path: Path, name: str, keys: t.Sequence[Key]) -> None:
    """Forget what PATH has for a host and write KEYS; several processes may do so at once. Raises OSError."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with path.with_name(path.name + ".lock").open("w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if path.exists():
            _run("ssh-keygen", "-R", name, "-f", str(path))
            path.with_name(path.name + ".old").unlink(missing_ok=True)
        with path.open("a", encoding="ascii") as file:
            file.write("".join(f"{name} {key.kind} {key.blob}\n" for key in keys))


def _run(*argv: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(argv, capture_output=True, text=True, errors="replace", check=False, stdin=subprocess.DEVNULL)
    except FileNotFoundError as exc:
        raise HostKeyError(f"{argv[0]} is not on this machine", "TOOL_MISSING", "install openssh-client") from exc
