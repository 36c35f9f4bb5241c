# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the gateway of a configuration is reached: its CA, the file of the token, the limit of the rate."""

from __future__ import annotations

import os

from asl import paths
from asl.backends.https import Remote
from asl.config import Config

CREDENTIAL = "asl-token"


def token_file(config: Config) -> str:
    """Where the token is: remote.token-file, else the systemd credential asl-token, else /run/asl/token."""
    if config.remote_token_file:
        return config.remote_token_file
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    credential = os.path.join(folder, CREDENTIAL) if folder else ""
    return credential if credential and os.path.exists(credential) else paths.run("token")


def remote(config: Config, location: str, domain: str) -> Remote:
    """How the gateway at the URL LOCATION is reached for DOMAIN."""
    return Remote(location.rstrip("/"), domain, token_file(config), config.remote_ca, config.intake_bandwidth)
