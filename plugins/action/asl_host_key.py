# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t
from pathlib import Path

from ansible.plugins.action import ActionBase

from ansible_collections.asl.rescue.plugins.plugin_utils import _host_keys

SPEC: dict[str, t.Any] = {
    "address": {"type": "str", "required": True},
    "port": {"type": "int", "default": 22},
    "known_hosts": {"type": "path", "default": "~/.ssh/known_hosts.rescue"},
    "fingerprint": {"type": "str"},
    "trust": {"type": "bool", "default": False},
}


class ActionModule(ActionBase):
    """Asks a machine for its host key from the control node. It does not log in."""

    TRANSFERS_FILES = False
    _supports_check_mode = True
    _requires_connection = False

    def run(self, tmp: t.Any = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Compare what is offered with what is known, and learn what may be learned."""
        super().run(tmp, task_vars)
        _result, args = self.validate_argument_spec(argument_spec=SPEC)
        path = Path(args["known_hosts"]).expanduser()
        name = _host_keys.name_of(args["address"], args["port"])
        result: dict[str, t.Any] = {"changed": False, "offered": [], "actions": []}
        try:
            found = _host_keys.offered(args["address"], args["port"])
            result["offered"] = [key.fingerprint for key in found]
            keys = _host_keys.decide(found, _host_keys.known_to(path, name), args["fingerprint"], args["trust"], name)
            if keys and not self._task.check_mode:
                _host_keys.learn(path, name, keys)
        except _host_keys.HostKeyError as exc:
            return {**result, "failed": True, "msg": f"{exc} [{exc.reason}]. Next: {exc.hint}", "reason": exc.reason, "hint": exc.hint}
        except OSError as exc:
            sentence = f"cannot write {exc.filename or path}: {exc.strerror} [OS_ERROR]"
            return {**result, "failed": True, "msg": sentence, "reason": "OS_ERROR", "hint": "name another file: asl_known_hosts"}
        actions = [f"learn {key.fingerprint} ({key.kind}) of {name}" for key in keys]
        return {**result, "changed": bool(keys), "actions": actions}
