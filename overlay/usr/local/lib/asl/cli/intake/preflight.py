# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""asl-intake preflight: find out where an intake could go."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Optional

from asl.cli.context import Context
from asl.errors import Refused, Usage

if TYPE_CHECKING:
    from asl.config import Config

HELP = "find out where an intake could go; changes nothing"


def arguments(parser: argparse.ArgumentParser) -> None:
    """--check and --fail-on."""
    parser.add_argument("--check", action="store_true", help="only look: do not write /run/asl/mode and /run/asl/preflight.json")
    parser.add_argument("--fail-on", choices=("warning", "error"), help="exit 3 when there is a finding of this severity or a worse one")


def run(args: argparse.Namespace, context: Context) -> int:
    """Exit 0 whatever the mode is, 2 for an invalid configuration (reported all the same), 3 for --fail-on."""
    from asl.preflight import preflight, report
    from asl.preflight.codes import SEVERITIES
    from asl.preflight.found import pool_facts, probe
    from asl.survey import survey

    config: Optional[Config] = None
    invalid: Optional[Usage] = None
    try:
        config = context.config
    except Usage as error:
        if error.reason != "CONFIG_INVALID":
            raise
        invalid = error
    seen = survey()
    pools = pool_facts(seen, config, written=probe(seen))
    result = preflight(config, write=not args.check, pools=pools, config_error=invalid)
    if invalid is not None:
        result = {"error": invalid.message, "hint": invalid.hint, **result}
    context.document(result)
    context.text(report.text(result))
    if invalid is not None:
        return invalid.exit_code
    limit = SEVERITIES.index(args.fail_on) if args.fail_on else len(SEVERITIES)
    return Refused.exit_code if any(SEVERITIES.index(each["severity"]) >= limit for each in result["findings"]) else 0
