# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change at any time.
"""Run the tools of the overlay on this host and read their one JSON document. The tools decide; nothing is decided here."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tarfile
import tempfile
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ansible.module_utils.basic import AnsibleModule

OLDEST = (3, 9)
INDEX = "usr/local/lib/asl/overlay.index"
MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
# What an error may tell besides its sentence, its reason and its hint. Modules return it as C(details).
DETAILS = ("argv", "block", "device", "members", "peer", "place", "promise", "root", "stdout", "tool")

# What is told of the first of a list: where it is, what it is, why.
FIRST = ("source", "path", "what", "where", "why")

# What the action plugins of the collection say to the modules; not for playbooks.
INTERNAL_SPEC: dict[str, t.Any] = {"_bundle": {"type": "path"}, "_digest": {"type": "str"}, "_root": {"type": "path"}}
ENGINE_SPEC: dict[str, t.Any] = {"settings": {"type": "dict", "default": {}}, "store": {"type": "str"}, **INTERNAL_SPEC}


class ToolError(Exception):
    """A tool refused, failed or could not be understood. ``fields`` go into the module's result."""

    def __init__(self, message: str, **fields: t.Any) -> None:
        super().__init__(message)
        details = {key: fields.pop(key) for key in DETAILS if key in fields}
        self.fields: dict[str, t.Any] = {"reason": "FAILED", "hint": None, **fields, **({"details": details} if details else {})}


class NeedsBundle(Exception):
    """The host does not have the tools for this; the action plugin sends them and runs the module again."""


class Tools:
    """The tools that lie under a root: of the host, or of an unpacked bundle."""

    def __init__(self, module: AnsibleModule, root: str, *, carried: bool) -> None:
        self.module = module
        self.root = root
        self.carried = carried

    def run(self, tool: str, *arguments: str) -> dict[str, t.Any]:
        """The document of C(asl-intake), C(asl-admin) or C(asl-debug), called with ``arguments`` and C(--json). Raises ToolError."""
        return self.ask([os.path.join(self.root, "usr/local/bin", tool), "--json", *arguments])

    def overlay(self, *arguments: str) -> dict[str, t.Any]:
        """The document of the engine's overlay room. Raises ToolError."""
        return self.ask(["-m", "asl.overlay", *arguments, "--json"], {"PYTHONPATH": os.path.join(self.root, "usr/local/lib")})

    def ask(self, arguments: Sequence[str], environment: dict[str, str] | None = None) -> dict[str, t.Any]:
        """Run this Python without writing byte code, and read what it answers. Raises ToolError."""
        command = [sys.executable, "-B", *arguments]
        rc, stdout, stderr = self.module.run_command(command, environ_update={"LC_ALL": "C", "LANGUAGE": "C", **(environment or {})})
        call: dict[str, t.Any] = {"rc": rc, "cmd": command, "stderr": stderr.strip()}
        try:
            document = json.loads(stdout)
        except ValueError as exc:
            name = os.path.basename(arguments[0]) if arguments[0] != "-m" else arguments[1]
            said = " ".join((stderr or stdout).split())[-400:] or "nothing"
            message = f"{name} ended with status {rc} and without a JSON document ({exc}); it said: {said}"
            raise ToolError(message, reason="BAD_ANSWER", stdout=stdout, **call) from exc
        if not isinstance(document, dict):
            raise ToolError(f"{arguments[0]} answered with something else than one document", reason="BAD_ANSWER", stdout=stdout, **call)
        if document.get("error"):
            raise ToolError(str(document.pop("error")), **{**document, **call})
        return document


@contextlib.contextmanager
def tools(module: AnsibleModule, *, carried: bool) -> Iterator[Tools]:
    """The tools to use: the ones on the host, or, when ``carried`` allows it, the ones of the bundle that was sent.

    In check mode the host's own serve only when they are the very ones that would be laid: an older overlay cannot predict what a
    newer one does. Raises NeedsBundle, ToolError.
    """
    check_python()
    params = module.params
    if params["_bundle"]:
        with unpacked(module) as folder:
            yield Tools(module, os.path.join(folder, "root"), carried=True)
        return
    root = params["_root"] or "/"
    found = laid_digest(root)
    if found and (found == params["_digest"] or not module.check_mode or not params["_digest"]):
        yield Tools(module, root, carried=False)
        return
    if carried:
        raise NeedsBundle
    raise ToolError("no overlay is laid on this host", reason="NOT_LAID", hint="lay it first with asl.rescue.asl_overlay")


def check_python() -> None:
    """Raise ToolError when this Python cannot run the engine."""
    if sys.version_info < OLDEST:
        found = ".".join(str(number) for number in sys.version_info[:2])
        raise ToolError(
            f"the tools need Python 3.9 or newer on the host, and {sys.executable} is {found}",
            reason="PYTHON_TOO_OLD",
            hint="set ansible_python_interpreter to a newer one",
        )


def laid_digest(root: str) -> str | None:
    """The digest of the bundle that is laid under ``root``, from the first line of its index."""
    try:
        with open(os.path.join(root, INDEX), encoding="utf-8", errors="replace") as file:
            words = file.readline().split()
    except OSError:
        return None
    return words[2] if words[:2] == ["#", "bundle"] and len(words) == 3 else None


@contextlib.contextmanager
def unpacked(module: AnsibleModule) -> Iterator[str]:
    """The bundle that was sent, unpacked in Ansible's temporary folder for as long as it is needed."""
    with tempfile.TemporaryDirectory(prefix="asl-", dir=module.tmpdir) as folder:
        with tarfile.open(module.params["_bundle"]) as tar:
            # The bundle is our own; old Pythons know no filter.
            safely: dict[str, t.Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
            tar.extractall(folder, **safely)
        name = os.uname().machine
        library = os.path.join(folder, "native", MACHINES.get(name, name), "libasl.so")
        if os.path.exists(library):
            os.symlink(library, os.path.join(folder, "root/usr/local/lib/libasl.so"))
        yield folder


def settings(module: AnsibleModule) -> list[str]:
    """O(settings) as the tools take them."""
    arguments: list[str] = []
    for key, value in sorted(module.params["settings"].items()):
        if value is not None:
            text = ", ".join(str(each) for each in value) if isinstance(value, (list, tuple)) else plain(value)
            arguments += ["--set", f"{key}={text}"]
    return arguments


def store(module: AnsibleModule) -> list[str]:
    """O(store) as the tools take it."""
    return ["--store", module.params["store"]] if module.params["store"] else []


def counted(found: dict[str, t.Any], name: str) -> int:
    """How many there are in the list ``name`` of a document, listed or not."""
    return len(found.get(name) or []) + int(found.get(f"{name}_omitted") or 0)


def first_of(found: Sequence[dict[str, t.Any]]) -> str:
    """The first of a list of losses, damages or differences, in words; empty where there is none."""
    return ": ".join(str(found[0][key]) for key in FIRST if found[0].get(key)) if found else ""


def warn_of_losses(module: AnsibleModule, result: dict[str, t.Any]) -> None:
    """Say how many losses a result has, and the first; nothing where there are none."""
    if result.get("losses"):
        module.warn(f"{counted(result, 'losses')} losses, the first is {first_of(result['losses'])}")


def plain(value: t.Any) -> str:
    """A value of YAML as the text that a person would have typed."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def finish(module: AnsibleModule, work: t.Callable[[], dict[str, t.Any]], **always: t.Any) -> t.NoReturn:
    """Run ``work`` and end the module with what it returns; errors become one sentence with its reason and what to do next.

    ``always`` are keys that a failure has too.
    """
    try:
        result = work()
    except NeedsBundle:
        module.exit_json(changed=False, needs_bundle=True)
    except ToolError as exc:
        fail(module, str(exc), **{**always, **exc.fields})
    module.exit_json(**result)
    raise SystemExit(0)  # exit_json has ended the process; only the checker of types does not know


def fail(module: AnsibleModule, message: str, **fields: t.Any) -> t.NoReturn:
    """End the module with a sentence, and the next step behind it."""
    hint = fields.get("hint")
    module.fail_json(msg=f"{message} [{fields.get('reason')}]" + (f". Next: {hint}" if hint else ""), **fields)
    raise SystemExit(1)  # as above
