# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""asl_token through its real main(), with real tokens on a root of its own."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from unit.plugins.support import Call

from asl import tokens

Laid = dict[str, str]
KEYS = tokens.parse_keys(tokens.new_key("k1"))


def issued(seconds: int = 86400, domain: str = "rescue-domain") -> str:
    return tokens.issue(KEYS, domain, ["add"], int(time.time()) + seconds)


def files(laid: Laid) -> tuple[Path, Path]:
    return Path(laid["_root"], "run/asl/token"), Path(laid["_root"], "run/asl/ca.pem")


def test_check_run_run_check(call: Call, laid: Laid) -> None:
    token, roots = files(laid)
    words: dict[str, Any] = {"token": issued(), "ca": "roots\n", **laid}
    predicted = call("asl_token", check=True, **words)
    assert (predicted.rc, predicted.result["handed_over"]) == (0, [str(token), str(roots)])
    assert not token.exists() and not roots.exists()
    done = call("asl_token", diff=True, **words)
    assert (done.result["changed"], done.result["handed_over"]) == (True, predicted.result["handed_over"])
    assert (token.read_text(), roots.read_text()) == (words["token"] + "\n", "roots\n")
    assert (token.stat().st_mode & 0o777, roots.stat().st_mode & 0o777) == (0o600, 0o644)
    assert done.result["diff"]["after"] == "roots\n" and words["token"] not in str(done.result)
    for check in (False, True):
        again = call("asl_token", check=check, diff=True, **words).result
        assert (again["changed"], again["handed_over"], "diff" in again) == (False, [], False)
    token.chmod(0o644)
    assert call("asl_token", **words).result["handed_over"] == [str(token)], "a mode that lets others read is put right"


def test_a_token_that_holds_stays_and_one_that_does_not_is_replaced(call: Call, laid: Laid) -> None:
    token, _roots = files(laid)
    first = issued()
    call("asl_token", token=first, **laid)
    assert call("asl_token", token=issued(), keep=3600, **laid).result["changed"] is False
    assert token.read_text() == first + "\n"
    assert call("asl_token", token="", keep=3600, **laid).result["changed"] is False, "none is needed"
    for old, domain in ((issued(600), "rescue-domain"), (first, "site-b"), ("no token", "rescue-domain")):
        token.write_text(old + "\n")
        new = issued(domain=domain)
        for check in (True, False):
            assert call("asl_token", check=check, token=new, keep=3600, domain=domain, **laid).result["handed_over"] == [str(token)], old
        assert token.read_text() == new + "\n"
    vaulted = issued()
    assert call("asl_token", token=vaulted, **laid).result["changed"] is True
    assert token.read_text() == vaulted + "\n", "one from a vault is the one that is wanted"


def test_no_token_where_one_is_needed(call: Call, laid: Laid) -> None:
    failed = call("asl_token", keep=3600, ca="roots\n", **laid)
    assert (failed.rc, failed.result["reason"]) == (1, "TOKEN_MISSING")
    assert "asl-admin token issue" in failed.result["hint"]
    assert not any(path.exists() for path in files(laid))
    roots = call("asl_token", ca="roots\n", **laid).result
    assert roots["handed_over"] == [str(files(laid)[1])], "none is asked for"
