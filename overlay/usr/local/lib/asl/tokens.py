# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Capability tokens: what the bearer may do in which domain, and until when. Pure, but for new_key() and the id of a new token.

    token    "asl1." base64url(claims) "." base64url(HMAC-SHA256(key, "asl1." base64url(claims)))        without "=" padding
    claims   canonical JSON: domain, verbs (sorted), expires (seconds since 1970), id (16 hex), key (id of the key)
    keys     a file of lines "id:hex of 32 bytes or more"; `#` comments. The first signs, all of them verify: so a key is changed by
             putting a new line on top, and the old one goes when the last token of it has expired.

Verbs are rights, not methods: a token that may `add` can neither read nor list, and no verb overwrites or deletes.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from asl.errors import AslError, Unavailable, Usage
from asl.formats import canonical
from asl.names import check_domain

ADD, READ = "add", "read"
VERBS: Mapping[str, str] = {
    ADD: "ask what is missing, add blocks and segments, seal snapshots",
    READ: "list and read everything in the domain",
}
PREFIX = "asl1."
LONGEST = 2048  # characters
_KEY = re.compile(r"([A-Za-z0-9_-]{1,32}):((?:[0-9a-f]{2}){32,128})\Z")


class BadToken(Unavailable):
    """The token does not give the right that is asked for. The reason says why, and never repeats the token."""

    default_reason = "TOKEN_INVALID"


@dataclass(frozen=True)
class Claims:
    """What a token says. `expires` in seconds since 1970, by the clock of the gateway."""

    domain: str
    verbs: tuple[str, ...]
    expires: int
    id: str
    key: str

    def document(self) -> dict[str, object]:
        """As it stands in the token; there is no secret in it."""
        return {"domain": self.domain, "verbs": sorted(self.verbs), "expires": self.expires, "id": self.id, "key": self.key}


def new_key(name: str) -> str:
    """A line for the file of keys: 32 random bytes under NAME."""
    line = f"{name}:{os.urandom(32).hex()}"
    parse_keys(line)
    return line


def parse_keys(text: str) -> dict[str, bytes]:
    """The keys in TEXT, the signing one first. Raises Usage; a key is never part of the message."""
    keys: dict[str, bytes] = {}
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].strip()
        if not words:
            continue
        match = _KEY.match(words)
        if not match or match.group(1) in keys:
            hint = "a line is NAME:HEX, with 64 or more hex digits; asl-admin token key makes one"
            raise Usage(f"line {number} of the token keys is no key, or names one twice", reason="BAD_KEY", hint=hint)
        keys[match.group(1)] = bytes.fromhex(match.group(2))
    if not keys:
        raise Usage("there is no token key", reason="BAD_KEY", hint="asl-admin token key FILE makes one")
    return keys


def issue(keys: Mapping[str, bytes], domain: str, verbs: Iterable[str], expires: int) -> str:
    """A token for VERBS in DOMAIN until EXPIRES, signed with the first of KEYS. Raises Usage."""
    check_domain(domain)
    wanted = tuple(sorted(set(verbs)))
    if not wanted or not set(wanted) <= set(VERBS):
        raise Usage(f"{', '.join(wanted) or 'nothing'} cannot be granted", reason="BAD_VERB", hint=f"verbs: {', '.join(VERBS)}")
    name, key = next(iter(keys.items()))
    claims = Claims(domain, wanted, expires, os.urandom(8).hex(), name)
    signed = PREFIX + _encode(canonical.encode(claims.document()))
    return f"{signed}.{_encode(_mac(key, signed))}"


def read(token: str) -> Claims:
    """What TOKEN says, its signature NOT checked. Raises BadToken."""
    try:
        if not token.startswith(PREFIX) or len(token) > LONGEST:
            raise ValueError("no token")
        body = token[len(PREFIX) :].partition(".")[0]
        value = canonical.decode(_decode(body), "a token")
        claims = Claims(value["domain"], tuple(value["verbs"]), value["expires"], value["id"], value["key"])
        if claims.document() != value or not isinstance(claims.expires, int) or not all(isinstance(each, str) for each in claims.verbs):
            raise ValueError("other claims")
        return claims
    except (ValueError, KeyError, TypeError, AslError) as error:
        raise BadToken("the token is not one of asl-admin token", hint="check that the whole token was copied") from error


def verify(keys: Mapping[str, bytes], token: str, now: float) -> Claims:
    """The claims of TOKEN, when one of KEYS signed it and it holds at NOW. Raises BadToken (TOKEN_INVALID, TOKEN_EXPIRED)."""
    claims = read(token)
    signed, _dot, mac = token.rpartition(".")
    key = keys.get(str(claims.key), b"")
    try:
        given = _decode(mac)
    except ValueError:
        given = b""
    # Compared also where the key is not known, so that the time tells nothing.
    if not hmac.compare_digest(_mac(key, signed), given) or not key:
        raise BadToken("the token is not signed with a key of this gateway", hint="get a token from whoever runs this gateway")
    if claims.expires <= now:
        raise BadToken("the token has expired", reason="TOKEN_EXPIRED", hint="get a new token: asl-admin token issue")
    return claims


def _mac(key: bytes, signed: str) -> bytes:
    return hmac.new(key, signed.encode("ascii", "replace"), hashlib.sha256).digest()


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def _decode(text: str) -> bytes:
    """Raises ValueError. Only the one spelling that _encode gives is taken."""
    data = base64.urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
    if _encode(data) != text:
        raise ValueError("another spelling")
    return data
