# Copyright: (c) 2026, the asl.rescue contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: fleet
type: stdout
short_description: Show a rescue as one line a host while it works
version_added: 0.1.0
description:
  - Derived from P(ansible.builtin.default#callback). What the modules of this collection do is shown as one line for each host,
    with phase, bar, rate, time to go, unread bytes and the time since the last good read, and one line for the fleet.
    A host that is still at work is not called C(FAILED - RETRYING).
  - On a terminal the lines stand at its foot and are drawn anew. Elsewhere, in a log or a pipe, each is printed when its phase
    changes, and then every O(interval) seconds.
  - Beyond O(group_beyond) hosts it shows a line for each stage, such as reading, stalled or failed, and the slowest hosts.
  - With C(-v) everything that the default callback prints is printed too.
extends_documentation_fragment:
  - default_callback
  - result_format_callback
requirements:
  - Set as C(stdout_callback = asl.rescue.fleet) in C(ansible.cfg), or by C(ANSIBLE_STDOUT_CALLBACK).
options:
  interval:
    description: How many seconds lie between two lines of a host where there is no terminal. V(0) prints every one.
    type: float
    default: 30
    env:
      - name: ASL_FLEET_INTERVAL
    ini:
      - section: callback_fleet
        key: interval
  group_beyond:
    description: With how many hosts stages are shown instead of hosts.
    type: int
    default: 200
    env:
      - name: ASL_FLEET_GROUP_BEYOND
    ini:
      - section: callback_fleet
        key: group_beyond
  events:
    description:
      - A file that one JSON object a line is appended to, for machines. Its keys are C(event) (V(run), V(play), V(start), V(progress),
        V(result) or V(end)), C(time) (seconds since 1970) and, where they apply, C(host), C(phase), C(state), C(text), C(reason),
        C(progress) and C(counts).
      - When unset, none is written. A file that cannot be written is said once and stops nothing.
    type: path
    env:
      - name: ASL_FLEET_EVENTS
    ini:
      - section: callback_fleet
        key: events
"""

import os
import sys
import time
import typing as t

from ansible import constants as C
from ansible.plugins.callback.default import CallbackModule as Default

from ansible_collections.asl.rescue.plugins.plugin_utils import _fleet, _fleet_view
from ansible_collections.asl.rescue.plugins.plugin_utils._fleet_result import ended
from ansible_collections.asl.rescue.plugins.plugin_utils._report import printable
from ansible_collections.asl.rescue.plugins.plugin_utils._screen import Events, Screen

COLLECTION = "asl.rescue."
# Tasks that sort hosts and say nothing to a person, and the ones whose message is the whole of what they have to say.
SILENT = ("ansible.builtin.group_by", "ansible.builtin.add_host", "ansible.builtin.meta")
SPEAKING = ("ansible.builtin.debug", "ansible.builtin.fail", "ansible.builtin.assert")
COLORS = {"ok": C.COLOR_OK, "changed": C.COLOR_CHANGED, "failed": C.COLOR_ERROR, "unreachable": C.COLOR_UNREACHABLE}
# Seconds between two drawings while a great many hosts answer at once.
FRAME = 0.1


class CallbackModule(Default):
    """One line a host."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "asl.rescue.fleet"

    def __init__(self) -> None:
        super().__init__()
        self._fleet = _fleet.Fleet()
        self._screen = Screen(sys.stdout)
        self._events = Events(None)
        self._width = 0
        self._said: set[str] = set()
        self._printed = 0.0

    def set_options(self, task_keys: t.Any = None, var_options: t.Any = None, direct: t.Any = None) -> None:
        super().set_options(task_keys=task_keys, var_options=var_options, direct=direct)
        self._events = Events(self.get_option("events"))

    # What the default callback prints stands above the live lines.

    def v2_playbook_on_start(self, playbook: t.Any) -> None:
        self._screen.clear()
        super().v2_playbook_on_start(playbook)
        self._tell("run", playbook=os.path.basename(playbook._file_name))

    def v2_playbook_on_play_start(self, play: t.Any) -> None:
        self._screen.clear()
        super().v2_playbook_on_play_start(play)
        names = [str(host) for host in play.get_variable_manager()._inventory.get_hosts(play.hosts)]
        if any(name != "localhost" for name in names):
            self._fleet.expect(names)
        self._width = min(_fleet_view.NAME, max((len(name) for name in self._fleet.hosts), default=0))
        self._tell("play", text=play.get_name().strip(), hosts=len(names))

    def v2_playbook_on_task_start(self, task: t.Any, is_conditional: bool) -> None:
        self._screen.clear()
        if self._own(task) or self._brief(task, (*SILENT, *SPEAKING)):
            self._task_type_cache[task._uuid] = "TASK"
            self._last_task_name = task.get_name().strip()
        else:
            super().v2_playbook_on_task_start(task, is_conditional)
        self._said.clear()
        self._draw()

    def v2_runner_on_start(self, host: t.Any, task: t.Any) -> None:
        super().v2_runner_on_start(host, task)
        phase = self._own(task)
        if phase and phase != "report":
            known = self._fleet.host(host.get_name())
            if known.phase != phase or known.state != "working":
                self._tell("start", host=known.name, phase=phase)
            self._fleet.start(known.name, phase)
            self._draw()

    def v2_runner_retry(self, result: t.Any) -> None:
        phase = self._own(result.task)
        if phase is None:
            self._screen.clear()
            super().v2_runner_retry(result)
            return
        self._advance(result.host.get_name(), phase, result.result)

    def v2_runner_on_ok(self, result: t.Any) -> None:
        phase = self._own(result.task)
        if phase == "intake" and not result.result.get("finished") and result.result.get("state") in ("queued", "running"):
            self._screen.clear()
            self._handle_warnings_and_exception(result)
            self._advance(result.host.get_name(), phase, result.result)
        elif phase:
            self._end(result, phase, "changed" if result.result.get("changed") else "ok")
        elif self._brief(result.task, SPEAKING) and not result.task.loop:
            self._speak(result)
        elif not self._brief(result.task, SILENT):
            self._screen.clear()
            super().v2_runner_on_ok(result)
        self._draw()

    def v2_runner_on_failed(self, result: t.Any, ignore_errors: bool = False) -> None:
        phase = self._own(result.task) or ("end" if self._brief(result.task, SPEAKING) else None)
        if phase:
            self._end(result, phase, "failed")
        else:
            self._screen.clear()
            super().v2_runner_on_failed(result, ignore_errors=ignore_errors)
            if not ignore_errors:
                self._fleet.end(result.host.get_name(), "task", "failed", str(result.result.get("msg")))
        self._draw()

    def v2_runner_on_unreachable(self, result: t.Any) -> None:
        self._end(result, self._own(result.task) or "task", "unreachable")
        self._draw()

    def v2_runner_on_skipped(self, result: t.Any) -> None:
        if self._own(result.task):
            self._fleet.skip(result.host.get_name())
        if not (self._own(result.task) or self._brief(result.task, (*SILENT, *SPEAKING))):
            self._screen.clear()
            super().v2_runner_on_skipped(result)
            self._draw()

    def v2_on_file_diff(self, result: t.Any) -> None:
        self._screen.clear()
        super().v2_on_file_diff(result)

    def v2_runner_item_on_ok(self, result: t.Any) -> None:
        if not (self._own(result.task) or self._brief(result.task, SILENT)) or self._verbose:
            self._screen.clear()
            super().v2_runner_item_on_ok(result)

    def v2_runner_item_on_failed(self, result: t.Any) -> None:
        self._screen.clear()
        super().v2_runner_item_on_failed(result)

    def v2_runner_item_on_skipped(self, result: t.Any) -> None:
        if not (self._own(result.task) or self._brief(result.task, SILENT)) or self._verbose:
            self._screen.clear()
            super().v2_runner_item_on_skipped(result)

    def v2_playbook_on_no_hosts_matched(self) -> None:
        self._screen.clear()
        if self._verbose or not self._fleet.hosts:
            super().v2_playbook_on_no_hosts_matched()
        else:
            self._display.display("no host is left for this")

    def v2_playbook_on_stats(self, stats: t.Any) -> None:
        self._screen.clear()
        self._fleet.settle()
        # Not the default recap: for a host that was put aside it says "rescued=1", which is the last word that host should get.
        if self._verbose or not self._fleet.hosts:
            super().v2_playbook_on_stats(stats)
        else:
            self._display.banner("PLAY RECAP")
            lines = _fleet_view.recap(self._fleet, self._counted(stats))
            self._display.display("\n".join([*lines, _fleet_view.summary(self._fleet)]) + "\n")
        self._tell("end", counts={stage: len(hosts) for stage, hosts in self._fleet.stages().items()})

    # What is ours.

    @property
    def _verbose(self) -> bool:
        return bool(self._display.verbosity)

    def _own(self, task: t.Any) -> str | None:
        """The phase that a task of this collection stands for; None for any other."""
        action = str(task.resolved_action or task.action)
        return _fleet.PHASES.get(action.removeprefix(COLLECTION)) if action.startswith(COLLECTION) else None

    def _brief(self, task: t.Any, actions: t.Sequence[str]) -> bool:
        """True for one of these actions, unless everything is to be seen."""
        return not self._verbose and str(task.resolved_action or task.action) in actions

    def _advance(self, name: str, phase: str, result: t.Mapping[str, t.Any]) -> None:
        """A job said how far it is."""
        changed = self._fleet.advance(name, phase, result)
        host = self._fleet.host(name)
        self._tell("progress", host=name, phase=phase, state=result.get("state"), progress=dict(host.progress))
        if self._screen.live:
            self._draw()
        elif len(self._fleet.hosts) > self.get_option("group_beyond"):
            if self._due(self._printed):
                self._printed = time.monotonic()
                self._display.display("\n".join([*_fleet_view.grouped(self._fleet), _fleet_view.summary(self._fleet)]))
        elif changed or self._due(host.printed):
            host.printed = time.monotonic()
            self._display.display(_fleet_view.plain(host))

    def _due(self, last: float) -> bool:
        return time.monotonic() - last >= float(self.get_option("interval"))

    def _end(self, result: t.Any, phase: str, word: str) -> None:
        """A phase has ended for a host: one line that stays, and with -v what the default callback has to say."""
        name, answer = result.host.get_name(), result.result
        text = ended(phase, word, answer)
        state = word if word in ("failed", "unreachable") else "done"
        self._screen.clear()
        if self._verbose:
            self._default(word)(result)
        else:
            # A failure with a reason, or of a task that was written to fail, is told by its sentence; others need all that is known.
            if answer.get("reason") or phase == "end" or word == "unreachable":
                answer.pop("exception", None)
            self._handle_warnings_and_exception(result)
        if phase == "report" and state == "done":
            return
        self._fleet.end(name, phase, state, text)
        self._tell("result", host=name, phase=phase, state=word, text=text, reason=answer.get("reason"))
        if state == "done" and len(self._fleet.hosts) > self.get_option("group_beyond") and not self._verbose:
            return
        line = f"{word:<11} {_fleet_view.clipped(name, max(self._width, len(name)))}  {phase:<9}  {text}"
        self._display.display(printable(line).rstrip(), color=COLORS[word])

    def _default(self, word: str) -> t.Callable[[t.Any], None]:
        """What the default callback does for an outcome."""
        if word == "failed":
            return super().v2_runner_on_failed
        return super().v2_runner_on_unreachable if word == "unreachable" else super().v2_runner_on_ok

    def _speak(self, result: t.Any) -> None:
        """The message of a debug task, as it was meant to be read; the same one for many hosts is said once."""
        said = result.result.get("msg")
        lines = [str(line) for line in said] if isinstance(said, list) else str(said).splitlines()
        if said is None:
            self._screen.clear()
            super().v2_runner_on_ok(result)
            return
        text = "\n".join(printable(line) for line in lines)
        self._screen.clear()
        if result.task.run_once:
            self._display.display(text)
        elif len(lines) == 1:
            self._display.display(f"{result.host.get_name()}: {text}")
        else:
            self._display.display(f"{result.host.get_name()}:\n" + "\n".join(f"  {line}" for line in text.splitlines()))

    @staticmethod
    def _counted(stats: t.Any) -> dict[str, dict[str, int]]:
        """What Ansible counted for each host."""
        return {name: stats.summarize(name) for name in stats.processed}

    def _draw(self) -> None:
        """The live lines, where there is a terminal."""
        if self._screen.live and self._fleet.working() and self._screen.ready(FRAME if len(self._fleet.hosts) > 20 else 0.0):
            width, height = self._screen.measure()
            self._screen.draw(_fleet_view.block(self._fleet, width, height, self.get_option("group_beyond")))

    def _tell(self, event: str, **fields: t.Any) -> None:
        """One line for machines."""
        problem = self._events.write({"event": event, "time": round(time.time(), 3), **fields})
        if problem:
            self._screen.clear()
            self._display.warning(f"no events are written from here on: {problem}")
