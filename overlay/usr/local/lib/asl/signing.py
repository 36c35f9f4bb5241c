# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Signatures with SSH keys (the sshsig format), made and checked by the `ssh-keygen -Y` that the machine has.

Keys are whatever there is: a host's, an operator's, one in an agent (name its public half). None is made, copied or kept here, and nobody
is asked for a passphrase: a key that has one belongs into an agent. The namespace keeps these signatures from being taken for others.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple, Optional

from asl.errors import Damaged, Unavailable

if TYPE_CHECKING:
    import subprocess

NAMESPACE = "receipt@asl.rescue"
SECONDS = 20.0
_INSTALL = "install openssh-client (ssh-keygen 8.2 or newer)"
_NAME_A_KEY = "name a key that can be read without a passphrase, or one in the agent by its public half"
_SIGNERS = "one line for each signer: NAME KEYTYPE KEY (ssh-keygen(1), ALLOWED SIGNERS)"
_CANNOT = "the signature cannot be checked"


class Signer(NamedTuple):
    """Whose signature it is. `principal` as in the file of allowed signers, None where nobody was asked for; `key` as type and
    fingerprint (`ED25519 key SHA256:…`)."""

    principal: Optional[str]
    key: str


def sign(data: bytes, key: str) -> str:
    """The armored signature of DATA with the private SSH key in the file KEY, or with the one in the agent whose public half is in KEY.

    Raises Unavailable: NO_SSH_KEYGEN, SIGN."""
    done = _keygen("the receipt cannot be signed", ["sign", "-q", "-f", key, "-n", NAMESPACE], data)
    if done.returncode or not done.stdout:
        raise Unavailable(f"the receipt cannot be signed with {key}: {_words(done)}", reason="SIGN", hint=_NAME_A_KEY)
    return done.stdout.decode("ascii", "replace")


def check(data: bytes, signature: str, signers: Optional[str] = None, identity: Optional[str] = None) -> Signer:
    """Who signed DATA with the armored SIGNATURE: one of those in the file SIGNERS (ssh-keygen(1), ALLOWED SIGNERS), IDENTITY where one is
    named. Without SIGNERS anybody, and only that the signature fits to DATA is known.

    Raises Damaged BAD_SIGNATURE; Unavailable NO_SSH_KEYGEN, SIGNERS."""
    with _file(signature) as path:
        if signers is None:
            done = _keygen(_CANNOT, ["check-novalidate", "-n", NAMESPACE, "-s", path], data)
            return Signer(None, _key(done))
        if not os.access(signers, os.R_OK):
            raise Unavailable(f"the file of allowed signers {signers} cannot be read", reason="SIGNERS", hint=_SIGNERS)
        names = [identity] if identity else _principals(signers, path)
        for number, name in enumerate(names, 1):
            done = _keygen(_CANNOT, ["verify", "-f", signers, "-I", name, "-n", NAMESPACE, "-s", path], data)
            if done.returncode == 0 or number == len(names):
                return Signer(name, _key(done))
    raise Damaged("it is by none of the allowed signers", reason="BAD_SIGNATURE")


def _principals(signers: str, path: str) -> list[str]:
    """The names in the file SIGNERS to whom the key of the signature in the file PATH belongs."""
    done = _keygen(_CANNOT, ["find-principals", "-f", signers, "-s", path], b"")
    found = [name for line in done.stdout.decode("utf-8", "replace").splitlines() for name in line.split(",") if name]
    if not found and b"missing header" in done.stderr:
        _key(done)
    return found


def _key(done: subprocess.CompletedProcess[bytes]) -> str:
    """The key of a good signature. Raises Damaged for any other."""
    said = done.stdout.decode("utf-8", "replace").strip()
    if done.returncode or not said.startswith("Good "):
        raise Damaged(f"the signature does not hold: {_words(done)}", reason="BAD_SIGNATURE")
    return said.rpartition(" with ")[2]


def _words(done: subprocess.CompletedProcess[bytes]) -> str:
    lines = done.stderr.decode("utf-8", "replace").strip().splitlines() or done.stdout.decode("utf-8", "replace").strip().splitlines()
    return lines[0] if lines else f"ssh-keygen ended with status {done.returncode}"


@contextmanager
def _file(signature: str) -> Iterator[str]:
    import tempfile

    with tempfile.NamedTemporaryFile("w", prefix="asl-", suffix=".sig") as file:
        file.write(signature)
        file.flush()
        yield file.name


def _keygen(cannot: str, words: list[str], data: bytes) -> subprocess.CompletedProcess[bytes]:
    import shutil
    import subprocess

    tool = shutil.which("ssh-keygen")
    if tool is None:
        raise Unavailable(f"{cannot}: there is no ssh-keygen on this machine", reason="NO_SSH_KEYGEN", hint=_INSTALL)
    # No terminal and no dialogue: whoever waits for this cannot type a passphrase.
    env = {**os.environ, "LC_ALL": "C", "SSH_ASKPASS_REQUIRE": "never"}
    try:
        argv = [tool, "-Y", *words]
        return subprocess.run(argv, input=data, capture_output=True, timeout=SECONDS, check=False, env=env, start_new_session=True)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"{cannot}: {error}", reason="SIGN", hint=_INSTALL) from error
