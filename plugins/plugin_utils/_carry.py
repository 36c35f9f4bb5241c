# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change at any time.
"""What the action plugins share: make the bundle on this side, and send it only to hosts whose module asks for it."""

from __future__ import annotations

import sys
import tempfile
import typing as t
from pathlib import Path

from ansible import constants as C
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

COLLECTION = Path(__file__).resolve().parents[2]
ENGINE = COLLECTION / "overlay" / "usr" / "local" / "lib"


def local_bundle() -> t.Any:
    """The overlay of this collection as a bundle. Raises AnsibleActionFail when its parts are not all there."""
    write_bytecode, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    sys.path.insert(0, str(ENGINE))
    try:
        from asl.errors import AslError
        from asl.overlay import bundle
    except ImportError as exc:
        raise AnsibleActionFail(f"the collection has no overlay in it: {ENGINE}: {exc}. Install it again") from exc
    finally:
        sys.path.remove(str(ENGINE))
        sys.dont_write_bytecode = write_bytecode
    try:
        return bundle.collect(COLLECTION / "overlay", COLLECTION / "native" / "build")
    except AslError as exc:
        raise AnsibleActionFail(
            f"cannot make the bundle of the overlay: {exc.message} [{exc.reason}]. Install the collection again"
        ) from exc


def packed(bundle: t.Any) -> Path:
    """The bundle as a file, written once a run: Ansible's local temporary folder is shared by all its workers and removed at its end."""
    from asl.overlay import bundle as room

    target = Path(C.DEFAULT_LOCAL_TMP) / f"asl-bundle-{bundle.contents.digest}.tar.gz"
    if not target.exists():
        with tempfile.NamedTemporaryFile(dir=target.parent, delete=False) as file:
            room.write(bundle, t.cast(t.BinaryIO, file))
        Path(file.name).replace(target)
    return target


class CarryingAction(ActionBase):
    """Ask the module first; send the bundle and ask again when it needs one."""

    TRANSFERS_FILES = True
    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: t.Any = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Run the module, with the bundle only when it says that it needs it."""
        super().run(tmp, task_vars)
        bundle = local_bundle()
        args = {**self._task.args, "_digest": bundle.contents.digest}
        result = self._execute_module(module_args=args, task_vars=task_vars)
        if not result.pop("needs_bundle", False):
            return result
        shell = self._connection._shell
        if not shell.tmpdir:
            self._make_tmp_path()
        try:
            remote = shell.join_path(shell.tmpdir, "asl-bundle.tar.gz")
            self._transfer_file(str(packed(bundle)), remote)
            self._fixup_perms2((shell.tmpdir, remote))
            return self._execute_module(module_args={**args, "_bundle": remote}, task_vars=task_vars)
        finally:
            self._remove_tmp_path(shell.tmpdir)
