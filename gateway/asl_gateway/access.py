# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may do what: the token of a request, held against the domain and the verb that the path needs."""

from __future__ import annotations

import os
import time

from starlette.requests import Request

from asl import tokens
from asl.tokens import BadToken, Claims
from asl_gateway.settings import secret


class Access:
    """Checks tokens. Keys and revocations are read anew when their files change, so that no restart is needed."""

    def __init__(self, keys_file: str, revoked_file: str | None) -> None:
        self._keys_file, self._revoked_file = keys_file, revoked_file
        self._keys: dict[str, bytes] = {}
        self._revoked: frozenset[str] = frozenset()
        self._seen: tuple[object, object] = (None, None)
        self.reload()

    def reload(self) -> None:
        """Read the files when they have changed. Raises Usage for a file that cannot be used."""
        seen = (_stamp(self._keys_file), _stamp(self._revoked_file))
        if seen == self._seen:
            return
        self._keys = tokens.parse_keys(secret(self._keys_file, "token.keys"))
        self._revoked = frozenset()
        if self._revoked_file and seen[1] is not None:
            with open(self._revoked_file, encoding="utf-8") as file:
                self._revoked = frozenset(line.partition("#")[0].strip() for line in file)
        self._seen = seen

    def claims(self, request: Request) -> Claims | None:
        """The claims of the request's token, None where it has none. Raises BadToken."""
        given = request.headers.getlist("authorization")
        if not given:
            return None
        scheme, _space, token = given[0].partition(" ")
        if len(given) > 1 or scheme.lower() != "bearer":
            raise BadToken("the request has no Bearer token", reason="TOKEN_INVALID", hint="send Authorization: Bearer TOKEN")
        self.reload()
        claims = tokens.verify(self._keys, token.strip(), time.time())
        if claims.id in self._revoked:
            raise BadToken("the token was revoked", reason="TOKEN_REVOKED", hint="get a new token: asl-admin token issue")
        return claims

    def need(self, request: Request, domain: str, *verbs: str) -> Claims:
        """The claims, when they hold for DOMAIN and for one of VERBS. Raises BadToken."""
        claims = self.claims(request)
        if claims is None:
            raise BadToken("the request has no token", reason="TOKEN_MISSING", hint="send Authorization: Bearer TOKEN")
        if claims.domain != domain:
            raise BadToken("the token is for another domain", reason="TOKEN_DOMAIN", hint="use a token of this domain")
        if not set(verbs) & set(claims.verbs):
            words = " or ".join(verbs) or "do that: no token does"
            raise BadToken(f"the token may not {words}", reason="TOKEN_VERB", hint="use a token with that verb")
        return claims


def _stamp(path: str | None) -> object:
    try:
        found = os.stat(path) if path else None
    except OSError:
        return None
    return (found.st_mtime_ns, found.st_size, found.st_ino) if found else None
