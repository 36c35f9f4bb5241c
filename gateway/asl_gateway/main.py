# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""asl-gateway: serve, init, probe, check. Exit codes as the tools of the overlay have them."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from asl.errors import AslError, Unavailable, Usage
from asl_gateway import VERSION, observe, peers
from asl_gateway.places import open_place
from asl_gateway.settings import DEFAULT, Settings, load

if TYPE_CHECKING:
    from asl_gateway.app import Gateway

HELP = {
    "serve": "serve the domains over HTTPS",
    "init": "make the stores of the domains; changes nothing where they are",
    "probe": "try what the stores rely on: create-only, digests, ranges, lists",
    "check": "check the configuration, the secrets it names and the peers it admits; changes nothing",
}


def parser() -> argparse.ArgumentParser:
    """The command line."""
    found = argparse.ArgumentParser(prog="asl-gateway", description="The remote endpoint of ASL stores.")
    found.add_argument("--version", action="version", version=f"asl-gateway {VERSION}")
    found.add_argument("command", choices=HELP, help="; ".join(f"{name}: {text}" for name, text in HELP.items()))
    found.add_argument("--config", metavar="FILE", help=f"configuration to read (default: {DEFAULT})")
    found.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], dest="settings", help="override one key; may be repeated")
    found.add_argument("--json", action="store_true", help="print one JSON document on stdout and nothing else")
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; its exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    args = parser().parse_args(words)
    try:
        overrides = dict(_setting(text) for text in args.settings)
        settings = load(args.config, overrides)
        found = {"serve": serve, "init": init, "probe": probe, "check": check}[args.command](settings)
    except AslError as error:
        if args.json:
            print(json.dumps(error.document(), default=str))
        print(f"asl-gateway: {error.message} [{error.reason}]", file=sys.stderr)
        if error.hint:
            print(f"  next: {error.hint}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    if args.json:
        print(json.dumps(found))
    else:
        print("\n".join(f"{key}: {value}" for key, value in found.items()))
    return 0


def _setting(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise Usage(f"--set {text}: not of the form KEY=VALUE", hint="for example --set listen=127.0.0.1:8443")
    return key.strip(), value.strip()


def init(settings: Settings) -> dict[str, str]:
    """Make the stores."""
    place = open_place(settings)
    place.probe()
    return {domain: "an empty store was made" if place.init(domain) else "is a store already" for domain in settings.domains}


def probe(settings: Settings) -> dict[str, str]:
    """Try the place."""
    return open_place(settings).probe()


def check(settings: Settings) -> dict[str, str]:
    """Read everything that serve would need before it listens, and try the admitted peers, which serve does without. Raises AslError,
    Unavailable (PEER_UNAVAILABLE) with the peers that cannot be read."""
    gateway = _checked(settings)
    admitted = {name: domain.peers for name, domain in gateway.domains.items() if domain.peers}
    quiet = peers.silent(admitted)
    if quiet:
        hint = "the gateway serves without it, and what it has is sent; check its endpoint, CA and token in federation.conf"
        raise Unavailable("; ".join(quiet), reason="PEER_UNAVAILABLE", hint=hint)
    return {
        "place": settings.place, "domains": ", ".join(settings.domains), "listen": ":".join(map(str, settings.listen)),
        **{f"peers of {name}": ", ".join(each.name for each in found) for name, found in admitted.items()},
    }  # fmt: skip


def _checked(settings: Settings) -> Gateway:
    """The gateway, once all is there that it cannot serve without. Raises AslError."""
    from asl_gateway.app import Gateway

    gateway = Gateway.of(settings, open_place(settings))
    for domain in gateway.domains.values():
        domain.ready()
    _tls(settings)
    return gateway


def _tls(settings: Settings) -> None:
    import ssl

    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(settings.tls_certificate or "", settings.tls_key)
    except (OSError, ssl.SSLError) as error:
        why = getattr(error, "reason", None) or getattr(error, "strerror", None) or error
        what = f"the TLS certificate and key cannot be used: {why}"
        raise Usage(what, reason="TLS_FILES", hint="check tls.certificate and tls.key") from error


def serve(settings: Settings) -> dict[str, str]:
    """Serve until stopped. The place is probed first: one that lies is refused."""
    import uvicorn

    from asl_gateway.wire import PROTOCOL

    place = open_place(settings)
    place.probe()
    _checked(settings)
    os.environ["ASL_GATEWAY_SETTINGS"] = json.dumps(settings.__dict__)
    observe.configure(settings.log_level)
    uvicorn.run(
        "asl_gateway.main:replica", factory=True, host=settings.listen[0], port=settings.listen[1], workers=settings.workers,
        ssl_certfile=settings.tls_certificate, ssl_keyfile=settings.tls_key, http=PROTOCOL, loop="uvloop", lifespan="on",
        access_log=False, log_config=None, server_header=False, timeout_keep_alive=75, timeout_graceful_shutdown=30, ws="none",
        proxy_headers=False,
    )  # fmt: skip
    return {}


def replica() -> object:
    """The application of one worker process."""
    from asl_gateway.app import Gateway, application
    from asl_gateway.around import Around

    values: dict[str, Any] = json.loads(os.environ["ASL_GATEWAY_SETTINGS"])
    for key in ("listen", "domains", "federation"):
        values[key] = tuple(values[key])
    settings = Settings(**values)
    observe.configure(settings.log_level)
    gateway = Gateway.of(settings, open_place(settings))
    return Around(application(gateway), gateway)
