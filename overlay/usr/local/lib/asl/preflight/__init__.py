# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where could an intake go, and is it safe to begin? Looks, decides, reports; mutates nothing but its own report in /run/asl.

facts    what was seen on this machine
finding  something to tell, with a stable code, a severity, a sentence and what to do next
mode     local, remote or none: a recommendation. Importing a pool still needs its approval.
reason   the code that decided the mode
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Optional

from asl.config import Config
from asl.errors import AslError
from asl.preflight import report
from asl.preflight.decide import decide
from asl.preflight.facts import gather
from asl.preflight.pools import PoolFact

__all__ = ["PoolFact", "preflight"]


def preflight(
    config: Optional[Config], *, write: bool, pools: Sequence[PoolFact] = (), config_error: Optional[AslError] = None, root: str = "/"
) -> dict[str, Any]:
    """Look at the machine and decide. Gives ``mode``, ``reason``, ``rule``, ``backend``, ``findings``, ``facts``,
    ``measured``, ``changed``.

    ``write`` puts /run/asl/mode and /run/asl/preflight.json in place when what they say is new (``changed``). An invalid
    configuration is given as ``config=None`` with its error, and decided like everything else (CONFIG_INVALID).
    """
    facts = gather(config, pools, root=root)
    decision = decide(facts, config, config_error.message if config_error else None)
    document = report.document(facts, decision)
    document["changed"] = report.differs(document)
    if write and document["changed"]:
        report.write(document)
    return document
