# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t
from pathlib import Path

from ansible.plugins.action import ActionBase

from ansible_collections.asl.rescue.plugins.plugin_utils import _image
from ansible_collections.asl.rescue.plugins.plugin_utils._carry import local_bundle

SPEC: dict[str, t.Any] = {
    "dir": {"type": "path", "required": True},
    "machine": {"type": "str", "choices": ["x86_64", "aarch64"], "default": "x86_64"},
    "conf": {"type": "dict", "default": {}},
    "services": {"type": "bool", "default": True},
    "boot": {"type": "dict", "default": {}},
}


class ActionModule(ActionBase):
    """Makes the images on the control node, from the overlay that the collection has in it; no host is spoken to."""

    TRANSFERS_FILES = False
    _supports_check_mode = True
    _requires_connection = False

    def run(self, tmp: t.Any = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Make every file in memory, and write the ones that differ."""
        super().run(tmp, task_vars)
        _result, args = self.validate_argument_spec(argument_spec=SPEC)
        bundle = local_bundle()
        from asl.errors import AslError

        folder = Path(args["dir"]).expanduser().absolute()
        try:
            tar = _image.archive(bundle, args["conf"], args["machine"], args["services"])
            files = self._files(args, tar, _image.squashfs(tar))
            names = _image.differing(folder, files)
            if not self._task.check_mode:
                _image.write(folder, files, names)
        except AslError as exc:
            return self._failure(exc.message, exc.reason, exc.hint)
        except _image.ImageError as exc:
            return self._failure(str(exc), exc.reason, exc.hint)
        except OSError as exc:
            return self._failure(f"cannot write {exc.filename or folder}: {exc.strerror}", "OS_ERROR", "mend the cause and run it again")
        return {
            "changed": bool(names), "dir": str(folder), "digest": bundle.contents.digest, "actions": [f"write {name}" for name in names],
            "files": {name: len(data) for name, data in sorted(files.items())},
        }  # fmt: skip

    @staticmethod
    def _files(args: dict[str, t.Any], tar: bytes, image: bytes) -> dict[str, bytes]:
        """Every file by its name below the folder."""
        files = {
            f"overlay/asl-overlay-{args['machine']}.tar": tar,
            "sysrescue/iso/sysresccd/asl.srm": image,
            "sysrescue/pxe/asl.srm": image,
            "live/asl.squashfs": image,
            **{str(name): str(text).encode() for name, text in args["boot"].items()},
        }
        return {**files, "SHA256SUMS": _image.sums(files)}

    @staticmethod
    def _failure(message: str, reason: str, hint: str | None) -> dict[str, t.Any]:
        sentence = f"cannot make the images: {message} [{reason}]"
        return {"failed": True, "msg": f"{sentence}. Next: {hint}" if hint else sentence, "reason": reason, "hint": hint}
