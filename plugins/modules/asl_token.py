#!/usr/bin/python
# Copyright: (c) 2026, the asl.rescue contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: asl_token
short_description: Hand a host the token and the roots that a gateway asks for
version_added: 0.1.0
description:
  - Puts a capability token into C(/run/asl/token), readable for root alone, and the roots to trust into C(/run/asl/ca.pem). Both lie in
    memory and are gone with the next boot.
  - A token is never shown, neither in a result nor in a difference.
author:
  - The asl.rescue contributors (!UNKNOWN)
extends_documentation_fragment:
  - asl.rescue._attributes
  - asl.rescue._carried
attributes:
  check_mode:
    support: full
  diff_mode:
    support: partial
    details:
      - The roots only. A token is a secret.
  idempotent:
    support: full
    details:
      - With O(keep), for as long as the token that is there holds.
options:
  token:
    description:
      - The token, as C(asl-admin token issue) prints it. Empty when there is none to hand over.
    type: str
    default: ""
  keep:
    description:
      - A token for O(domain) that lies there already and holds for so many seconds or more stays, and O(token) is let go. V(0) always
        puts O(token) there.
      - When O(token) is empty, the module fails unless such a token lies there. With V(0) it leaves the token alone.
    type: int
    default: 0
  domain:
    description:
      - The domain that a token which stays has to be for.
    type: str
    default: rescue-domain
  ca:
    description:
      - The roots to trust, the text of a PEM file. Empty for those of the system; then no file is touched.
    type: str
    default: ""
  _root:
    description:
      - The root below which they are put, V(/) when unset. For tests, not for use in playbooks.
    type: path
seealso:
  - module: asl.rescue.asl_overlay
  - module: asl.rescue.asl_ingest
"""

EXAMPLES = r"""
---
- name: Hand over a token from a vault, and the roots of the gateway's certificate
  asl.rescue.asl_token:
    token: "{{ vaulted_token }}"
    ca: "{{ lookup('ansible.builtin.file', 'files/roots.pem', rstrip=false) }}"

- name: Hand over the token that was issued for this host, unless the one it has holds for another hour
  asl.rescue.asl_token:
    token: "{{ issued.stdout }}"
    keep: 3600
"""

RETURN = r"""
handed_over:
  description: The files that were written, or would be in check mode.
  returned: success
  type: list
  elements: str
  sample: [/run/asl/token, /run/asl/ca.pem]
reason:
  description: A stable code for what went wrong.
  returned: failure
  type: str
  sample: TOKEN_MISSING
hint:
  description: What to do next.
  returned: failure
  type: str
  sample: try asl-admin token issue on the gateway, then run the same again
"""

import os
import tempfile
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.asl.rescue.plugins.module_utils._tool import INTERNAL_SPEC, ToolError, Tools, finish, tools

ARGUMENT_SPEC: dict[str, t.Any] = {
    "token": {"type": "str", "default": "", "no_log": True},
    "keep": {"type": "int", "default": 0},
    "domain": {"type": "str", "default": "rescue-domain"},
    "ca": {"type": "str", "default": ""},
    **INTERNAL_SPEC,
}
TOKEN = "run/asl/token"
ROOTS = "run/asl/ca.pem"


def holds(tool: Tools, path: str, domain: str, seconds: int) -> bool:
    """Whether the file PATH has a token for DOMAIN that holds for SECONDS more. What it says of itself: only the gateway knows better."""
    if not os.path.exists(path):
        return False
    try:
        claims = tool.run("asl-admin", "token", "show", path)
    except ToolError:
        return False  # it is no token
    return bool(claims["domain"] == domain and claims["seconds_left"] >= seconds)


def put(module: AnsibleModule, path: str, text: str, mode: int) -> bool:
    """TEXT in the file PATH with MODE from its first byte on, owned by whoever runs this; whether that changes anything."""
    wanted = text.rstrip("\n") + "\n"
    if read(path) == wanted and os.stat(path).st_mode & 0o777 == mode:
        return False
    if module.check_mode:
        return True
    temporary = None
    try:
        os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
        fd, temporary = tempfile.mkstemp(prefix=".asl-", dir=os.path.dirname(path))  # mode 0600
        with os.fdopen(fd, "w", encoding="utf-8") as file:
            file.write(wanted)
        os.chmod(temporary, mode)
        os.replace(temporary, path)
    except OSError as exc:
        if temporary and os.path.exists(temporary):
            os.unlink(temporary)
        raise ToolError(f"{path} cannot be written: {exc.strerror}", reason="TOKEN_FILE", hint="lay the overlay first, as root") from exc
    return True


def read(path: str) -> str:
    """The text of a file; empty where there is none."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def work(module: AnsibleModule) -> dict[str, t.Any]:
    """Put there what is not there yet."""
    params, root = module.params, module.params["_root"] or "/"
    token, roots = os.path.join(root, TOKEN), os.path.join(root, ROOTS)
    done, result = [], {}
    with tools(module, carried=True) as tool:
        stays = params["keep"] > 0 and holds(tool, token, params["domain"], params["keep"])
    if not stays and params["keep"] > 0 and not params["token"]:
        what = f"there is no token to hand over, and none for {params['domain']} that holds for another {params['keep']} seconds lies there"
        hint = "try asl-admin token issue on the gateway, then run the same again"
        raise ToolError(what, reason="TOKEN_MISSING", hint=hint)
    if not stays and params["token"] and put(module, token, params["token"], 0o600):
        done.append(token)
    before = read(roots)
    if params["ca"] and put(module, roots, params["ca"], 0o644):
        done.append(roots)
        if module._diff:
            after = params["ca"].rstrip("\n") + "\n"
            result["diff"] = {"before": before, "after": after, "before_header": roots, "after_header": roots}
    return {"changed": bool(done), "handed_over": done, **result}


def main() -> t.NoReturn:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    finish(module, lambda: work(module))


if __name__ == "__main__":
    main()
