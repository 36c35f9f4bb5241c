# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""asl-admin token: make keys and capability tokens for a gateway, and show what a token allows."""

from __future__ import annotations

import argparse
import os
import re
import sys
import time
from typing import TYPE_CHECKING, Any

from asl import tokens
from asl.cli.output import fields
from asl.cli.reading import example, local_time
from asl.errors import Unavailable, Usage

if TYPE_CHECKING:
    from asl.cli.context import Context

HELP = "make keys and capability tokens for a gateway, and show what a token allows"
_UNITS = {"m": 60, "h": 3600, "d": 86400}
# Longer than any rescue; a token that never ends is a password.
_LONGEST = 366 * 86400
_MOST = 100_000  # tokens at once


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("action", choices=("key", "issue", "show"), help="key: a new signing key in FILE; issue: a token; show: its claims")
    parser.add_argument("file", metavar="FILE", help="the file of keys (key, issue), or of the token (show); - for standard input")
    parser.add_argument("--domain", metavar="ID", help="issue: the domain the token is for (default: domain.id)")
    parser.add_argument(
        "--verb", metavar="VERB", action="append", choices=sorted(tokens.VERBS), help="issue: add or read; may be repeated (default: add)"
    )
    parser.add_argument("--lifetime", metavar="N[mhd]", default="24h", help="issue: minutes, hours or days (default: 24h, at most 366d)")
    parser.add_argument("--count", metavar="N", type=int, default=1, help="issue: so many tokens, one a line, each with an id of its own")
    parser.add_argument("--output", metavar="FILE", help="issue: write the token to FILE (mode 0600) instead of standard output")
    example(
        parser,
        "asl-admin token key /etc/asl-gateway/token.keys",
        "asl-admin token issue /etc/asl-gateway/token.keys --domain rescue-domain --verb add --output /run/asl/token",
        "asl-admin token show /run/asl/token",
    )


def run(args: argparse.Namespace, context: Context) -> int:
    """Do it. No key is ever printed; a token only where no --output is named."""
    return {"key": _key, "issue": _issue, "show": _show}[args.action](args, context)


def _key(args: argparse.Namespace, context: Context) -> int:
    """A new key on top of FILE: it signs from now on, the older ones still verify."""
    older = _read(args.file) if os.path.exists(args.file) else ""
    names = tokens.parse_keys(older) if older.strip() else {}
    name = next(f"k{number}" for number in range(len(names) + 1, 10**6) if f"k{number}" not in names)
    _write(args.file, f"{tokens.new_key(name)}\n{older}")
    context.document({"file": args.file, "key": name, "keys": [name, *names], "changed": True})
    context.text(f"{args.file}: the key {name} signs from now on" + (f"; {', '.join(names)} still verify" if names else ""))
    return 0


def _issue(args: argparse.Namespace, context: Context) -> int:
    keys = tokens.parse_keys(_read(args.file))
    expires = int(time.time()) + _seconds(args.lifetime)
    if not 0 < args.count <= _MOST or (args.count > 1 and args.output):
        hint = f"--count takes 1 to {_MOST}, and more than one token goes to standard output"
        raise Usage(f"{args.count} tokens cannot be issued at once like this", reason="USAGE", hint=hint)
    issued = [tokens.issue(keys, args.domain or context.domain_id, args.verb or [tokens.ADD], expires) for _each in range(args.count)]
    if args.count > 1:
        context.text("\n".join(issued))
        context.document({"tokens": issued, "ids": [tokens.read(each).id for each in issued], "expires": expires})
        return 0
    token = issued[0]
    claims = tokens.read(token)
    document: dict[str, Any] = {**claims.document(), "file": args.output}
    if args.output:
        _write(args.output, token + "\n")
        context.text(f"{args.output}: {_words(claims)}")
    else:
        document["token"] = token
        context.text(token)
    context.document(document)
    return 0


def _show(args: argparse.Namespace, context: Context) -> int:
    """The claims. Whether the gateway accepts the token, only the gateway knows."""
    claims = tokens.read(_read(args.file).strip())
    left = claims.expires - int(time.time())
    context.document({**claims.document(), "expired": left <= 0, "seconds_left": max(0, left)})
    context.text(
        fields(
            [
                ("domain", claims.domain),
                ("may", "; ".join(f"{verb} ({tokens.VERBS.get(verb, 'unknown here')})" for verb in claims.verbs)),
                ("expires", f"{local_time(claims.expires)}{' - it HAS expired' if left <= 0 else ''}"),
                ("id", claims.id),
                ("key", claims.key),
            ]
        )
    )
    return 0


def _words(claims: tokens.Claims) -> str:
    return f"a token that may {' and '.join(claims.verbs)} in {claims.domain} until {local_time(claims.expires)}"


def _seconds(text: str) -> int:
    match = re.fullmatch(r"(\d{1,6})([mhd])", text)
    seconds = int(match.group(1)) * _UNITS[match.group(2)] if match else 0
    if not 0 < seconds <= _LONGEST:
        raise Usage(f"{text!r} is no lifetime of a token", reason="BAD_LIFETIME", hint="for example 90m, 24h or 30d; at most 366d")
    return seconds


def _read(path: str) -> str:
    try:
        if path == "-":
            return sys.stdin.read(1 << 20)
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(1 << 20)
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise Unavailable(f"{path}: cannot be read: {why}", reason="TOKEN_FILE", hint="check the path and its mode") from error


def _write(path: str, text: str) -> None:
    """TEXT in PATH, mode 0600 from its first byte on, in place of what was there."""
    temporary = f"{path}.{os.getpid()}.new"
    try:
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(fd)
        os.replace(temporary, path)
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise Unavailable(f"{path}: cannot be written: {why}", reason="TOKEN_FILE", hint="name a file in a folder that is there") from error
