# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import datetime
import typing as t
from pathlib import Path

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.asl.rescue.plugins.plugin_utils import _report, _report_document, _report_page, _report_receipts

SPEC: dict[str, t.Any] = {
    "dir": {"type": "path", "required": True},
    "hosts": {"type": "list", "elements": "str"},
    "phases": {"type": "list", "elements": "str", "default": list(_report.PHASES)},
}


def _variables(hostvars: t.Any, name: str) -> t.Any:
    """What the phases of a host left, as it was registered: nothing of it is a template, and rendering it would touch every value."""
    found = hostvars.raw_get(name)
    return found if isinstance(found, dict) else {}


class ActionModule(ActionBase):
    """Writes the reports on the control node; no host is spoken to, so that hosts which cannot be reached have theirs too."""

    TRANSFERS_FILES = False
    _supports_check_mode = True
    _requires_connection = False

    def run(self, tmp: t.Any = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Write one report for each host and a summary of all."""
        super().run(tmp, task_vars)
        variables = task_vars or {}
        _result, args = self.validate_argument_spec(argument_spec=SPEC)
        names = args["hosts"] or list(variables["ansible_play_hosts_all"])
        hosts = [_report.host_report(name, args["phases"], _variables(variables["hostvars"], name)) for name in names]
        folder = Path(args["dir"]).expanduser().absolute()
        if not self._task.check_mode:
            try:
                _report.write(folder, hosts)
                for host in hosts:
                    _report_receipts.write(folder, host["host"], _report_receipts.given(host["phases"].get("intake", {})))
                whole = _report_document.fleet(hosts, datetime.datetime.now(datetime.timezone.utc))
                _report.replace(folder / "report.json", _report.document(whole))
                _report.replace(folder / "report.html", _report_page.render(whole))
            except OSError as exc:
                raise AnsibleActionFail(f"cannot write the reports to {folder}: {exc.strerror or exc}") from exc
        return {
            "changed": False,
            "dir": str(folder),
            "page": str(folder / "report.html"),
            "hosts": {host["host"]: {key: host[key] for key in ("state", "rescued", "ok", "sentence", "next")} for host in hosts},
            "rescued": [host["host"] for host in hosts if host["rescued"]],
            "not_rescued": [host["host"] for host in hosts if not host["rescued"]],
            "summary": _report.summary(hosts, folder).splitlines(),
        }
