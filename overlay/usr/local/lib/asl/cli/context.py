# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a command is given: the configuration, and the one way to print."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, Optional

from asl.errors import AslError, Unavailable, Usage, as_asl_error

if TYPE_CHECKING:
    from asl.config import Config, Federation


class Context:
    """The surroundings of one command. Data goes to stdout; notes and progress go to stderr."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.json: bool = args.json
        self.quiet: bool = args.quiet
        self._config_path: Optional[str] = args.config
        self._settings: list[str] = args.settings or []

    @cached_property
    def config(self) -> Config:
        """asl.conf with the overrides of --set. Raises Usage for an invalid file or key."""
        return self.configured({})

    def configured(self, more: Mapping[str, str]) -> Config:
        """The same with MORE over it: what came with a job. Raises Usage."""
        from asl import config

        return config.load(self._config_path, {**self.overrides, **more})

    @cached_property
    def federation(self) -> Federation:
        """federation.conf: beside the file of --config where that was given and there is one, else that of /etc/asl. Raises Usage."""
        from asl import config

        beside = os.path.join(os.path.dirname(self._config_path), "federation.conf") if self._config_path else ""
        return config.load_federation(beside if os.path.exists(beside) else None, domain_id=self.config.domain_id)

    @property
    def domain_id(self) -> str:
        """The own domain: what --set says, else federation.conf, else asl.conf."""
        return self.config.domain_id if "domain.id" in self.overrides else self.federation.domain_id

    @cached_property
    def overrides(self) -> dict[str, str]:
        """What --set gave, by key. Raises Usage for a word that is no setting."""
        overrides: dict[str, str] = {}
        for setting in self._settings:
            key, equals, value = setting.partition("=")
            if not equals:
                raise Usage(f"--set {setting}: not of the form KEY=VALUE", hint="for example --set mode=local")
            overrides[key.strip()] = value.strip()
        return overrides

    def document(self, document: Mapping[str, Any]) -> None:
        """Print DOCUMENT as JSON when --json was given."""
        if self.json:
            say(json_text(document))

    def text(self, text: str) -> None:
        """Print TEXT for people: not when --json was given."""
        if not self.json and text:
            say(text)

    def note(self, text: str) -> None:
        """Say something beside the result, on stderr; --quiet silences it."""
        if not self.quiet:
            print(text, file=sys.stderr)

    @staticmethod
    def report(tool: str, error: AslError, *, as_json: bool) -> None:
        """Print ERROR: one sentence, the reason code and what to do next; as JSON on stdout with --json."""
        if as_json:
            with contextlib.suppress(OSError, Unavailable):  # the sentence below is all there can be, then
                say(json_text(error.document()))
        print(f"{tool}: {error.message} [{error.reason}]", file=sys.stderr)
        if error.hint:
            print(f"  next: {error.hint}", file=sys.stderr)


def say(text: str) -> None:
    """Print TEXT, and bring it out here, where it is known what to say of an output that does not take it. Raises Unavailable, and
    BrokenPipeError where nobody listens any more."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        raise
    except OSError as error:
        what = f"the answer cannot be written to standard output: {error.strerror}"
        hint = "what was asked for is done; ask again with an output that takes the answer"
        raise Unavailable(what, reason=as_asl_error(error).reason, hint=hint) from error


def json_text(value: object) -> str:
    """VALUE as every document is printed. Raises TypeError."""
    return json.dumps(value, indent=1, default=_plain)


def _plain(value: object) -> str:
    # Names on disk need not be UTF-8; surrogates survive ASCII-only JSON and os.fsencode gives the bytes back.
    if isinstance(value, bytes):
        return os.fsdecode(value)
    raise TypeError(f"{type(value).__name__} does not belong into a JSON document")
