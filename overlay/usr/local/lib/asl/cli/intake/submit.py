# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""asl-intake submit: queue an intake, or join the one that is there."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from asl.cli import requests
from asl.cli.context import Context
from asl.cli.jobs import job_text

if TYPE_CHECKING:
    from asl.intake.request import Request

HELP = "queue an intake, or join the one that is already queued or running"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    requests.add_arguments(parser)
    parser.add_argument("--check", action="store_true", help="only say what would be done; write nothing")


def run(args: argparse.Namespace, context: Context) -> int:
    """Submit, and print the job."""
    request = requests.from_arguments(args, context)
    document = predict(request, context) if args.check else submit(request, context.overrides)
    context.document(document)
    context.text(job_text(document))
    return 0


def submit(request: Request, settings: Mapping[str, str]) -> dict[str, Any]:
    """Queue the request, with SETTINGS of asl.conf for this job, and see to it that somebody works on it."""
    from asl.intake import queue, serve

    job = queue.submit(request, settings)
    if job.state == queue.QUEUED:
        serve.ensure_server(sys.argv[0])
    return job.document()


def predict(request: Request, context: Context) -> dict[str, Any]:
    """What a submit would come to: no action when the same sources are in the store already, under the same labels."""
    from asl.intake import queue
    from asl.intake.reach import remote
    from asl.sources.open import open_source
    from asl.store import sealed_before

    for spec in request.sources:
        open_source(spec)
    reached = remote(context.config, request.store, request.domain)
    known = sealed_before(request.store, request.domain, request.sources, request.labels, remote=reached)
    known = known and not request.media.retry  # a retry reads what a snapshot lacks: that there is one says nothing
    actions = [] if known else request.actions()
    return {
        "job": request.id, "state": queue.WOULD_RUN, "finished": False, "changed": bool(actions),
        "actions": actions, "progress": None, "result": None,
    }  # fmt: skip
